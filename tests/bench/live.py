"""`make bench-live`: the live path from the exchange's frames to rows in Postgres, part by part, goal beside figure.

`python -m tests.bench.live [--only producer|catch-up|latency|memory] [--seconds N]`. All real: Kafka, Flink, Postgres,
the producer; only the exchange is the simulator. Everything printed was measured in this run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from rich.console import Console

from tests.bench.live_producer import compare_producers
from tests.bench.measuring import Goal, goals_table

PARTS: Final[dict[str, Callable[[Console], list[Goal]]]] = {
    "producer": compare_producers,
}


def main() -> None:
    """Run the parts, print their tables, and last the goals."""
    parser = argparse.ArgumentParser(prog="bench-live", description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    options = parser.parse_args()
    console = Console()
    goals: list[Goal] = []
    for name, part in PARTS.items():
        if options.only in (None, name):
            goals += part(console)
    console.print(goals_table(goals))


if __name__ == "__main__":
    main()
