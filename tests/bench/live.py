"""`make bench-live`: the live path from the exchange's frames to rows in Postgres, in parts, each with its goals.

`python -m tests.bench.live [--only producer|frames|symbols|catch-up|latency|memory] [--seconds N]`. Kafka, Flink,
Postgres and the producer are real; the exchange is the simulator. Every figure that it prints was measured in that run.
"""

from __future__ import annotations

import argparse
from typing import Final

from rich.console import Console

from tests.bench.live_catch_up import compare_catch_up
from tests.bench.live_frames import measure_frames
from tests.bench.live_market import LEAST_SECONDS, latency_goals, latency_table, memory_table, run_market
from tests.bench.live_producer import compare_producers
from tests.bench.live_symbols import measure_symbols
from tests.bench.measuring import Goal, goals_table

PARTS: Final = ("producer", "frames", "symbols", "catch-up", "latency", "memory")
PRODUCER, FRAMES, SYMBOLS, CATCH_UP, LATENCY, MEMORY = PARTS
CALM: Final = 1_000
"""Trades a second of the run that has goals."""
BUSY: Final = 5_000
"""Trades a second of the second run."""
BUSY_SECONDS: Final = 180.0


def main() -> None:
    """Run the parts, print their tables, and at the end the goals."""
    options = _arguments()
    console = Console()
    parts = {options.only} if options.only else set(PARTS)
    goals: list[Goal] = []
    if PRODUCER in parts:
        goals += compare_producers(console)
    if FRAMES in parts:
        goals += measure_frames(console)
    if SYMBOLS in parts:
        goals += measure_symbols(console)
    if CATCH_UP in parts:
        goals += compare_catch_up(console)
    if parts & {LATENCY, MEMORY}:
        calm = run_market(CALM, options.seconds, console)
        if MEMORY in parts:
            console.print(memory_table(calm))
        if LATENCY in parts:
            console.print(latency_table(calm))
            goals += latency_goals(calm)
            console.print(latency_table(run_market(BUSY, min(options.seconds, BUSY_SECONDS), console)))
    if goals:
        console.print(goals_table(goals))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-live", description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=600.0, help="length of the run at 1,000 trades/s")
    options = parser.parse_args()
    if options.seconds < LEAST_SECONDS:
        parser.error(f"--seconds must be at least {LEAST_SECONDS}, got {options.seconds:g}")
    return options


if __name__ == "__main__":
    main()
