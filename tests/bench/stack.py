"""Measures how long `pipeline up` and `down` take, and each service in them; over many rounds it is a soak test.

`python -m tests.bench.stack [--times N] [--busy]`. Every second `up` starts with the data of the one before. With
`--busy`, half of them run beside a program on every core that only computes. The exit code is 1 when an `up` or a
`down` failed, or left a process behind.
"""

from __future__ import annotations

import argparse
import itertools
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console
from rich.table import Table

from local.stack.supervision import stack_processes
from tests.bench.measuring import Goal, cores, cpu_seconds, goals_table, median
from tests.support.command import Pipeline

UP_GOAL_SECONDS: Final = 30.0
DOWN_GOAL_SECONDS: Final = 5.0

_DONE: Final = re.compile(r"(?:up|down): (\w+) \([\d.]+ s\)")
_LONGEST_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Round:
    """One `up` and its `down`.

    `at`, `ended_at`: when each service or preparation was done, in seconds after the start of `up` and of `down`.
    `cpu`: CPU seconds that each service had used at the end of `up`, and those of `up` itself.
    """

    is_new: bool
    is_busy: bool
    up_seconds: float
    down_seconds: float
    at: dict[str, float]
    ended_at: dict[str, float]
    cpu: dict[str, float]


class RoundError(RuntimeError):
    """An `up` or a `down` failed, or left a process behind."""


def main() -> None:
    """Run the rounds and print what they took."""
    options = _arguments()
    console = Console(soft_wrap=True)
    rounds: list[Round] = []
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-stack-") as folder:
        for number in range(options.times):
            pipeline = Pipeline(Path(folder, f"home{number // 2}"))
            is_busy = options.busy and number % 4 > 1
            try:
                rounds.append(run_round(pipeline, is_new=number % 2 == 0, is_busy=is_busy))
                console.print(f"{number + 1}: up {rounds[-1].up_seconds:.1f} s, down {rounds[-1].down_seconds:.1f} s")
            except RoundError as error:
                faults.append(f"{number + 1}: {error}")
                console.print(faults[-1], markup=False)
            finally:  # also after a round that failed or was interrupted
                pipeline.run("down", *(["--remove-data"] if number % 2 else []))
    for table in _tables(rounds):
        console.print(table)
    if rounds:
        console.print(goals_table(goals(rounds)))
    console.print(f"{len(faults)} of {options.times} failed")
    sys.exit(1 if faults else 0)


def run_round(pipeline: Pipeline, *, is_new: bool, is_busy: bool) -> Round:
    """One `up` and `down`. Raises RoundError when one fails, or when a process is left."""
    with ExitStack() as beside:
        if is_busy:
            beside.enter_context(computing())
        before = _children_cpu()
        up_seconds, at = timed(pipeline, "up")
        cpu = {"up itself": _children_cpu() - before, **_services_cpu(pipeline)}
        down_seconds, ended_at = timed(pipeline, "down")
    if left := stack_processes(pipeline.home):
        raise RoundError(f"left behind: {left}")
    return Round(is_new, is_busy, up_seconds, down_seconds, at, ended_at, cpu)


def timed(pipeline: Pipeline, command: str) -> tuple[float, dict[str, float]]:
    """The seconds that a command took, and those until it reported each service. Raises RoundError when it fails."""
    began = time.monotonic()
    process = pipeline.start(command)
    assert process.stderr is not None
    printed, at = [], {}
    for line in process.stderr:
        printed.append(line)
        if done := _DONE.match(line):
            at[done[1]] = time.monotonic() - began
    seconds = time.monotonic() - began
    if process.wait(_LONGEST_SECONDS):
        raise RoundError(f"`pipeline {command}` ended with {process.returncode} after {seconds:.0f} s: {printed[-1:]}")
    return seconds, at


@contextmanager
def computing() -> Iterator[None]:
    """A program on every core that only computes."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(psutil.cpu_count() or 1)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def goals(rounds: Sequence[Round]) -> list[Goal]:
    """The goals of the rounds without other programs on the machine, with what was measured."""
    calm = [item for item in rounds if not item.is_busy] or rounds
    up, down = median([item.up_seconds for item in calm]), median([item.down_seconds for item in calm])
    return [
        Goal("up, median", f"below {UP_GOAL_SECONDS:g} s", f"{up:.1f} s", up < UP_GOAL_SECONDS),
        Goal("down, median", f"below {DOWN_GOAL_SECONDS:g} s", f"{down:.1f} s", down < DOWN_GOAL_SECONDS),
    ]


def _tables(rounds: Sequence[Round]) -> Iterator[Table]:
    totals = Table("", "n", "up min", "median", "max", "CPU", "down min", "median", "max", title=f"seconds, {cores()}")
    for is_new, is_busy in itertools.product((True, False), (False, True)):
        some = [item for item in rounds if (item.is_new, item.is_busy) == (is_new, is_busy)]
        if some:
            name = f"{'new home' if is_new else 'with data'}{', busy machine' if is_busy else ''}"
            up, down = [item.up_seconds for item in some], [item.down_seconds for item in some]
            cpu = median([sum(item.cpu.values()) for item in some])
            totals.add_row(name, str(len(some)), *_three(up), f"{cpu:.1f}", *_three(down))
    yield totals
    calm = [item for item in rounds if not item.is_busy] or rounds
    services = Table("", "up at", "CPU", "ended at", title="medians of each service, seconds after the command began")
    names = {name for item in calm for name in (*item.at, *item.cpu)}
    for name in sorted(names, key=lambda name: _median_of([item.at for item in calm], name)):
        columns = ([item.at for item in calm], [item.cpu for item in calm], [item.ended_at for item in calm])
        cells = [_median_of(column, name) for column in columns]
        services.add_row(name, *("" if cell == 0 else f"{cell:.1f}" for cell in cells))
    yield services


def _three(values: Sequence[float]) -> tuple[str, str, str]:
    return f"{min(values):.1f}", f"{median(values):.1f}", f"{max(values):.1f}"


def _median_of(each: Sequence[dict[str, float]], name: str) -> float:
    found = [values[name] for values in each if name in values]
    return median(found) if found else 0.0


def _services_cpu(pipeline: Pipeline) -> dict[str, float]:
    supervisor = int((pipeline.home / "supervisord.pid").read_text())
    used = {item["name"]: cpu_seconds(item["pid"]) for item in pipeline.status()["services"] if item["pid"]}
    return {**used, "supervisord": sum(psutil.Process(supervisor).cpu_times()[:2])}


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-stack", description=__doc__)
    parser.add_argument("--times", type=int, default=8, help="number of rounds of `up` and `down`")
    parser.add_argument("--busy", action="store_true", help="half of them while other programs use every core")
    options = parser.parse_args()
    if options.times < 1:
        parser.error(f"--times must be at least 1, got {options.times}")
    return options


if __name__ == "__main__":
    main()
