"""`python -m tests.support.simulated [--minutes N] [--seed S] [--trace]`: runs at random until N minutes are judged.

A minute is one of one symbol with trades in the topic. The exit code is 1 if there is a violation; each is printed with
the seed of its run, and `--minutes 1 --seed S --trace` repeats that run with all that happened in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from itertools import count

from tests.support.simulated.judge import Verdict
from tests.support.simulated.runs import Run, random_plan


def main() -> None:
    """Run, print every violation, and at the end the figures."""
    options = _arguments()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # A set's order depends on it, and with it the order of some actions: a run would not repeat itself.
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606  # this program
    began, total, trades, kills, runs = time.monotonic(), Verdict(), 0, 0, 0
    for seed in count(options.seed):
        if total.minutes >= options.minutes:
            break
        run = Run(seed, random_plan(seed))
        verdict = run.result()
        total.add(verdict)
        trades, kills, runs = trades + run.trades(), kills + run.kills, runs + 1
        if options.trace:
            show(*run.told())
        show(*(f"seed {seed}: {violation}" for violation in verdict.violations))
    show(
        f"{runs:,} runs, {total.minutes:,} minutes, {trades:,} trades, {kills:,} kills,"
        f" {time.monotonic() - began:.0f} s: {len(total.violations)} violations; {total.complete:,} minutes complete,"
        f" {total.confirmed:,} confirmed, {total.needless:,} in gaps although whole; {total.lost:,} trades lost"
    )
    sys.exit(1 if total.violations else 0)


def show(*lines: str) -> None:
    """Print lines."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.support.simulated", description=__doc__)
    parser.add_argument("--minutes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; each further one has the next number")
    parser.add_argument("--trace", action="store_true", help="print what happens in each run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
