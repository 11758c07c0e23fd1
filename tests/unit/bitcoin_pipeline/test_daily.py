"""The days that a daily run looks at, and the time for which it waits."""

from __future__ import annotations

import datetime as dt

from bitcoin_pipeline.daily import deadline, first_checked, overdue
from bitcoin_pipeline.ingests import SymbolDay


def test_a_run_checks_the_seven_days_before_its_own() -> None:
    assert first_checked(dt.date(2024, 3, 5)) == dt.date(2024, 2, 27)


def test_a_run_waits_until_noon_of_the_second_day() -> None:
    assert deadline(dt.date(2024, 3, 5)) == dt.datetime(2024, 3, 7, 12, tzinfo=dt.UTC)
    assert deadline(dt.date(2024, 3, 5), dt.timedelta(0)) == dt.datetime(2024, 3, 6, tzinfo=dt.UTC)


def test_a_day_without_a_file_is_overdue_after_its_deadline() -> None:
    items = [SymbolDay("BTCUSDT", dt.date(2024, 3, number)) for number in (4, 5)]
    assert overdue(items, dt.datetime(2024, 3, 7, 11, 59, tzinfo=dt.UTC)) == items[:1]
    assert overdue(items, dt.datetime(2024, 3, 7, 12, tzinfo=dt.UTC)) == items
