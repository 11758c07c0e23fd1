"""The stack with the synthetic market at real time, whose processes tests kill.

It runs in another time zone, and the exchange's clock is three seconds ahead of the machine's; neither may have an
effect on results.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.command import Pipeline
from tests.support.runs import in_containers

SYMBOLS: Final = "BTCUSDT,DOGEUSDT,ETHUSDT,SOLUSDT"
RATE: Final = os.environ.get("CHAOS_RATE", "50" if in_containers() else "200")
"""Trades a second over all symbols."""
CLOCK_OFFSET_US: Final = 3_000_000


@contextmanager
def stack(home: Path, backing: str) -> Iterator[Pipeline]:
    """The stack, up until the end of the context."""
    pipeline = Pipeline(
        home,
        TZ="Asia/Tokyo",
        PIPELINE_SYMBOLS=SYMBOLS,
        PIPELINE_SYNTHETIC_RATE=RATE,
        PIPELINE_CONCURRENT_FETCHES="1",  # so that a kill finds some days fetched and others not
        PIPELINE_CLOCK_OFFSET_MS=str(CLOCK_OFFSET_US // 1000),
    )
    try:
        pipeline.done("up", "--backing", backing)
        yield pipeline
    finally:
        pipeline.done("down", "--remove-data")
