"""The states of a symbol-day: planning, the days of a batch, and absent files."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from bitcoin_pipeline.errors import FinalError
from bitcoin_pipeline.ingests import (
    BatchDays,
    Fetched,
    FetchStatus,
    IngestStatus,
    Recorded,
    SymbolDay,
    UnknownSymbolError,
    absent_status,
    batch_days,
    missing_days,
    parse_fetched,
    parse_symbol_day,
)


def day(number: int) -> SymbolDay:
    return SymbolDay("BTCUSDT", dt.date(2024, 1, number))


LOADED = Recorded(IngestStatus.LOADED, "s-1", "e-1", "candles-1")
FAILED = Recorded(IngestStatus.FAILED, "", "e-1", "candles-1")
NO_TRADES = Recorded(IngestStatus.NO_TRADES, batch_id="candles-1")


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
    known = {day(1): LOADED, day(2): FAILED, day(3): NO_TRADES}
    known[SymbolDay("ETHUSDT", dt.date(2024, 1, 4))] = LOADED
    assert missing_days("BTCUSDT", dt.date(2024, 1, 1), dt.date(2024, 1, 5), known) == [day(2), day(4), day(5)]


def test_a_plan_of_days_in_the_wrong_order_is_empty() -> None:
    assert missing_days("BTCUSDT", dt.date(2024, 1, 2), dt.date(2024, 1, 1), {}) == []


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


def test_an_answer_of_the_function() -> None:
    answer = {"status": "stored", "sha256": "s-1", "etag": "e-1", "generation": 7, "object": "raw/x"}
    assert parse_fetched(answer) == Fetched(FetchStatus.STORED, "s-1", "e-1", "7")
    assert parse_fetched({"status": "stored", "sha256": None, "etag": "", "generation": 7}).version == "7"
    assert parse_fetched({"status": "no_trades"}) == Fetched(FetchStatus.NO_TRADES)
    for wrong in ({}, {"status": "vanished"}):
        with pytest.raises(ValueError, match="is not a valid FetchStatus"):
            parse_fetched(wrong)


def test_the_days_of_a_batch() -> None:
    fetched = {
        day(6): Fetched(FetchStatus.NOT_PUBLISHED),
        day(5): Fetched(FetchStatus.NO_TRADES),
        day(4): Fetched(FetchStatus.CORRUPT, "s-4"),
        day(3): Fetched(FetchStatus.UNCHANGED, "s-3"),
        day(2): Fetched(FetchStatus.STORED, "s-2"),
        day(1): Fetched(FetchStatus.NO_TRADES),
    }
    found = batch_days(fetched, {})
    assert found == BatchDays((day(2), day(3), day(4)), (day(1), day(5)), (day(6),))
    assert found.of_batch == (day(2), day(3), day(4), day(1), day(5))


def test_each_answer_but_one_has_its_place() -> None:
    for status in set(FetchStatus) - {FetchStatus.UNKNOWN_SYMBOL}:
        found = batch_days({day(1): Fetched(status)}, {})
        assert (*found.load, *found.no_trades, *found.not_published) == (day(1),), status


UNCHANGED = Fetched(FetchStatus.UNCHANGED, "s-1", "e-1")


@pytest.mark.parametrize(
    ("recorded", "fetched", "covered"),
    [
        (LOADED, UNCHANGED, True),
        (LOADED, Fetched(FetchStatus.STORED, "s-1", "e-1"), True),  # the file was lost from the lake, and is the same
        (LOADED, Fetched(FetchStatus.UNCHANGED, "s-2", "e-2"), False),
        (LOADED, Fetched(FetchStatus.UNCHANGED, "s-1", "e-2"), True),  # uploaded again with the same content
        (LOADED, Fetched(FetchStatus.CORRUPT, "s-2", "e-2"), False),
        (LOADED, Fetched(FetchStatus.NO_TRADES), False),
        (FAILED, Fetched(FetchStatus.CORRUPT, "s-1", "e-1"), True),
        (FAILED, Fetched(FetchStatus.STORED, "s-2", "e-2"), False),
        (Recorded(IngestStatus.FAILED), Fetched(FetchStatus.UNCHANGED, "s-1"), False),  # the raw file was absent
        (NO_TRADES, Fetched(FetchStatus.NO_TRADES), True),
        (NO_TRADES, Fetched(FetchStatus.STORED, "s-1", "e-1"), False),
        (FAILED, Fetched(FetchStatus.NOT_PUBLISHED), False),
    ],
)
def test_a_row_covers_the_file_that_its_batch_has_read(recorded: Recorded, fetched: Fetched, covered: bool) -> None:
    assert recorded.covers(fetched) is covered


def test_a_failed_day_whose_file_is_the_same_is_computed_again_only_when_requested() -> None:
    fetched = {day(1): Fetched(FetchStatus.CORRUPT, "s-1", "e-1"), day(2): Fetched(FetchStatus.STORED, "s-2", "e-2")}
    known = {day(1): FAILED, day(2): FAILED}
    assert batch_days(fetched, known) == BatchDays(load=(day(2),), still_failed=(day(1),))
    assert batch_days(fetched, known, again=True) == BatchDays(load=(day(1), day(2)))


def test_again_computes_nothing_of_a_day_whose_file_is_the_same() -> None:
    fetched = {
        day(1): UNCHANGED,
        day(2): Fetched(FetchStatus.NO_TRADES),
        day(3): Fetched(FetchStatus.UNCHANGED, "s-3", "e-3"),  # killed after the fetch of the revised file
    }
    known = {day(1): LOADED, day(2): NO_TRADES, day(3): LOADED}
    assert batch_days(fetched, known, again=True) == BatchDays(load=(day(3),), unchanged=(day(1), day(2)))


@pytest.mark.parametrize("fetched", [{}, {day(1): Fetched(FetchStatus.NOT_PUBLISHED)}])
def test_days_that_are_not_published_need_no_batch(fetched: dict[SymbolDay, Fetched]) -> None:
    assert batch_days(fetched, {}).of_batch == ()


def test_days_without_trades_need_a_batch_that_records_them() -> None:
    assert batch_days({day(1): Fetched(FetchStatus.NO_TRADES)}, {}).of_batch == (day(1),)


def test_an_unknown_symbol_is_an_error_that_no_other_try_changes() -> None:
    fetched = {
        day(1): Fetched(FetchStatus.STORED),
        SymbolDay("NOSUCHUSDT", day(1).day): Fetched(FetchStatus.UNKNOWN_SYMBOL),
    }
    with pytest.raises(UnknownSymbolError, match="the exchange's archive has no symbol NOSUCHUSDT"):
        batch_days(fetched, {})
    assert issubclass(UnknownSymbolError, FinalError)


def test_a_day_whose_batch_has_not_ended_is_loaded_again() -> None:
    for status, fetched in (
        (IngestStatus.LOADED, Fetched(FetchStatus.UNCHANGED, "s-1", "e-1")),
        (IngestStatus.NO_TRADES, Fetched(FetchStatus.NO_TRADES)),
    ):
        known = {day(1): Recorded(status, fetched.sha256, fetched.etag, "candles-1", unfinished=True)}
        assert missing_days("BTCUSDT", day(1).day, day(1).day, known) == [day(1)]
        assert batch_days({day(1): fetched}, known).of_batch == (day(1),)
        finished = {day(1): replace(known[day(1)], unfinished=False)}
        assert missing_days("BTCUSDT", day(1).day, day(1).day, finished) == []
        assert batch_days({day(1): fetched}, finished).of_batch == ()
