"""A warehouse that holds days and no candles, for the tests of the dashboard."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from bitcoin_pipeline.ingests import IngestStatus
from dashboard.warehouse import CANDLES, DayLoaded, WarehouseError

TODAY: Final = dt.date(2026, 8, 9)
"""The day of the newest live minute that the tests use."""


@dataclass
class DaysOnly:
    """A warehouse with these days, by symbol. While `fault` is set, it fails; `queries`: how often it was read."""

    found: dict[str, list[DayLoaded]] = field(default_factory=dict)
    fault: str = ""
    queries: int = 0

    def candles(self, symbol: str, level_s: int, start_s: int, end_s: int) -> pa.Table:
        return CANDLES.empty_table()

    def days(self) -> dict[str, list[DayLoaded]]:
        self.queries += 1
        if self.fault:
            raise WarehouseError(self.fault)
        return self.found


def loaded(
    day: dt.date, status: IngestStatus = IngestStatus.LOADED, reason: str = "", quarantined: int = 0
) -> DayLoaded:
    """A record of the batch; a day that was loaded has its last trade half a second before midnight."""
    last = dt.datetime.combine(day, dt.time(23, 59, 59, 500_000), dt.UTC) if status is IngestStatus.LOADED else None
    return DayLoaded(day, status, reason, quarantined, last)


def ago(days: int) -> dt.date:
    """The day so many days before TODAY."""
    return TODAY - dt.timedelta(days)
