"""The rules of the daily schedule: which days a run looks at, and how long it waits for the newest file.

Part of the core; any module may import it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.times import day_start_us, to_datetime

PATIENCE: Final = dt.timedelta(hours=36)
"""Time after the end of a day for which a run waits for its file; the exchange publishes within 24 hours."""

REVISED_WITHIN: Final = dt.timedelta(days=7)
"""Time for which a loaded day is checked daily for another file under its name."""


def first_checked(day: dt.date) -> dt.date:
    """The first of the days that the run of `day` checks, in order to load those whose files are new or revised."""
    return day - REVISED_WITHIN


def deadline(day: dt.date, patience: dt.timedelta = PATIENCE) -> dt.datetime:
    """The time after which the run of `day` waits no longer for its file."""
    return to_datetime(day_start_us(day)) + dt.timedelta(days=1) + patience


def overdue(not_published: Iterable[SymbolDay], now: dt.datetime) -> list[SymbolDay]:
    """The days without a file for which a run at `now` waits no longer."""
    return [item for item in not_published if now >= deadline(item.day)]
