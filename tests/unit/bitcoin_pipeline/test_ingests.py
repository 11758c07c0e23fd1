"""The states of a symbol-day: planning, the days of a batch, and absent files."""

from __future__ import annotations

import datetime as dt

import pytest

from bitcoin_pipeline.errors import FinalError
from bitcoin_pipeline.ingests import (
    BatchDays,
    FetchStatus,
    IngestStatus,
    SymbolDay,
    UnknownSymbolError,
    absent_status,
    batch_days,
    in_batches,
    missing_days,
    parse_symbol_day,
)


def day(number: int) -> SymbolDay:
    return SymbolDay("BTCUSDT", dt.date(2024, 1, number))


def test_a_symbol_day_as_text_and_back() -> None:
    assert str(day(2)) == "BTCUSDT:2024-01-02"
    assert parse_symbol_day("BTCUSDT:2024-01-02") == day(2)


@pytest.mark.parametrize(
    "text", ["", "BTCUSDT", "BTCUSDT:", ":2024-01-02", "BTCUSDT:2024-1-2", "BTCUSDT:2024-01-02:", "x:2024-01-02"]
)
def test_no_symbol_days(text: str) -> None:
    with pytest.raises(ValueError, match=r"a symbol-day is written|a day is written|a symbol is"):
        parse_symbol_day(text)


def test_the_plan_is_what_is_unknown_or_failed() -> None:
    known = {day(1): IngestStatus.LOADED, day(2): IngestStatus.FAILED, day(3): IngestStatus.NO_TRADES}
    known[SymbolDay("ETHUSDT", dt.date(2024, 1, 4))] = IngestStatus.LOADED
    assert missing_days("BTCUSDT", dt.date(2024, 1, 1), dt.date(2024, 1, 5), known) == [day(2), day(4), day(5)]


def test_a_plan_of_days_in_the_wrong_order_is_empty() -> None:
    assert missing_days("BTCUSDT", dt.date(2024, 1, 2), dt.date(2024, 1, 1), {}) == []


def test_batches_keep_order_and_size() -> None:
    items = [day(number) for number in range(1, 8)]
    assert in_batches(items, 3) == [items[:3], items[3:6], items[6:]]
    assert in_batches([], 3) == []


@pytest.mark.parametrize(
    ("today", "status"),
    [
        (dt.date(2024, 1, 1), FetchStatus.NOT_PUBLISHED),
        (dt.date(2024, 1, 2), FetchStatus.NOT_PUBLISHED),
        (dt.date(2024, 1, 5), FetchStatus.NOT_PUBLISHED),
        (dt.date(2024, 1, 6), FetchStatus.NO_TRADES),
        (dt.date(2025, 1, 1), FetchStatus.NO_TRADES),
    ],
)
def test_an_absent_file(today: dt.date, status: FetchStatus) -> None:
    assert absent_status(dt.date(2024, 1, 2), today) is status


def test_the_last_day_of_the_calendar_is_not_published() -> None:
    assert absent_status(dt.date.max, dt.date(2024, 1, 2)) is FetchStatus.NOT_PUBLISHED


def test_what_the_batch_has_to_read() -> None:
    assert {status for status in FetchStatus if status.landed} == {
        FetchStatus.STORED,
        FetchStatus.UNCHANGED,
        FetchStatus.CORRUPT,
    }


def test_the_days_of_a_batch() -> None:
    fetched = {
        day(6): FetchStatus.NOT_PUBLISHED,
        day(5): FetchStatus.NO_TRADES,
        day(4): FetchStatus.CORRUPT,
        day(3): FetchStatus.UNCHANGED,
        day(2): FetchStatus.STORED,
        day(1): FetchStatus.NO_TRADES,
    }
    found = batch_days(fetched)
    assert found == BatchDays((day(2), day(3), day(4)), (day(1), day(5)), (day(6),))
    assert found.needs_batch


def test_each_answer_but_one_has_its_place() -> None:
    for status in set(FetchStatus) - {FetchStatus.UNKNOWN_SYMBOL}:
        found = batch_days({day(1): status})
        assert (*found.load, *found.no_trades, *found.not_published) == (day(1),), status


@pytest.mark.parametrize("fetched", [{}, {day(1): FetchStatus.NOT_PUBLISHED}])
def test_days_that_are_not_published_need_no_batch(fetched: dict[SymbolDay, FetchStatus]) -> None:
    assert not batch_days(fetched).needs_batch


def test_days_without_trades_need_a_batch_that_records_them() -> None:
    assert batch_days({day(1): FetchStatus.NO_TRADES}).needs_batch


def test_an_unknown_symbol_is_an_error_that_no_other_try_changes() -> None:
    fetched = {day(1): FetchStatus.STORED, SymbolDay("NOSUCHUSDT", day(1).day): FetchStatus.UNKNOWN_SYMBOL}
    with pytest.raises(UnknownSymbolError, match="the exchange's archive has no symbol NOSUCHUSDT"):
        batch_days(fetched)
    assert issubclass(UnknownSymbolError, FinalError)
