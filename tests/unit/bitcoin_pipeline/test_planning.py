"""The plan of a backfill: its batches, what is fetched, and what follows from answers."""

from __future__ import annotations

import datetime as dt

import pytest

from bitcoin_pipeline.ingests import (
    BatchDays,
    Fetched,
    FetchStatus,
    IngestStatus,
    Recorded,
    SymbolDay,
    UnknownSymbolError,
)
from bitcoin_pipeline.listings import DayRequest, ListedFile, Listing, ListingRequest
from bitcoin_pipeline.planning import Plan, in_batches


def day(number: int, symbol: str = "BTCUSDT") -> SymbolDay:
    return SymbolDay(symbol, dt.date(2024, 1, number))


# START                                                      3 days a batch
#   1     2     3     4     5     6     7
# |-----------------|-----------------|-----------------|
def test_a_batch_has_consecutive_days() -> None:
    items = [day(number) for number in range(1, 8)]
    start, end = items[0].day, items[-1].day
    assert in_batches(items, start, end, size=3) == [items[:3], items[3:6], items[6:]]
    assert in_batches([], start, end, size=3) == []


def test_scattered_days_are_not_in_one_batch() -> None:
    old, new = SymbolDay("BTCUSDT", dt.date(2020, 4, 1)), SymbolDay("BTCUSDT", dt.date(2024, 1, 1))
    assert in_batches([old, new], dt.date(2020, 3, 25), new.day) == [[old], [new]]


def test_days_that_are_done_do_not_change_the_other_batches() -> None:
    items = [day(number) for number in range(1, 10)]
    left = [items[1], *items[4:]]
    assert in_batches(left, items[0].day, items[-1].day, size=3) == [[items[1]], items[4:6], items[6:]]


def test_several_symbols_share_a_batch_of_the_same_days() -> None:
    eth, btc = ([day(number, symbol) for number in (1, 2, 3)] for symbol in ("ETHUSDT", "BTCUSDT"))
    start, end = day(1).day, day(3).day
    assert in_batches(eth + btc, start, end, 2, size=4) == [[*btc[:2], *eth[:2]], [btc[2], eth[2]]]
    assert in_batches(eth + btc, start, end, 2, size=1) == [[btc[0], eth[0]], [btc[1], eth[1]], [btc[2], eth[2]]]


def spans(symbols: int, days: int) -> list[tuple[int, int]]:
    """The days, and the symbol-days, of each batch of a whole backfill with the default sizes."""
    start = dt.date(2020, 3, 25)
    items = [
        SymbolDay(f"S{number}USDT", start + dt.timedelta(days=offset))
        for offset in range(days)
        for number in range(symbols)
    ]
    batches = in_batches(items, start, items[-1].day, symbols)
    assert [item for batch in batches for item in sorted(batch)] == [item for batch in batches for item in batch]
    assert sum(map(len, batches)) == len(items)
    return [
        ((max(item.day for item in batch) - min(item.day for item in batch)).days + 1, len(batch)) for batch in batches
    ]


def test_the_first_of_several_batches_is_small_and_none_has_days_far_apart() -> None:
    assert spans(1, 2400) == [(120, 120), *[(500, 500)] * 4, (280, 280)]
    assert spans(50, 2400) == [(2, 100), *[(30, 1500)] * 79, (28, 1400)]
    assert len(spans(10, 2400)) == 17  # so a run of the DAG has 53 task instances
    assert spans(1, 500) == [(500, 500)]
    assert spans(4, 60) == [(60, 240)]
    assert spans(2000, 2) == [(1, 2000), (1, 2000)]


MD5 = "2a2ed0f1a9d5ab1c0a53b3eeb0b7cd2d"
FILE, IN_PARTS = ListedFile(MD5, 7), ListedFile(f"{MD5}-2", 8)
UNCHANGED = Fetched(FetchStatus.UNCHANGED, "s-1", "e-1", "1")
LOADED = Recorded(IngestStatus.LOADED, "s-1", "e-1", "candles-0")


def plan(known: dict[SymbolDay, Recorded] | None = None, *, again: bool = False, days: int = 4) -> Plan:
    return Plan(["BTCUSDT", "ETHUSDT"], day(1).day, day(days).day, known or {}, again=again)


def test_one_listing_of_each_symbol_over_its_planned_days() -> None:
    known = {day(1): LOADED, **{day(number, "ETHUSDT"): LOADED for number in (1, 2, 4)}}
    assert plan(known).listings() == [
        ListingRequest("BTCUSDT", day(2).day, day(4).day),
        ListingRequest("ETHUSDT", day(3).day, day(3).day),
    ]


def test_only_what_the_listings_leave_open_is_fetched() -> None:
    found = plan()
    first, second = found.listings()
    answers = {day(1): UNCHANGED, day(2): Fetched(FetchStatus.NO_TRADES)}
    found.take_listing(first, Listing(answers, {day(3): FILE, day(4): IN_PARTS}))
    [batch] = found.batches
    assert found.to_fetch(batch) == [
        DayRequest(day(3), FILE),
        DayRequest(day(4)),  # its ETag is no md5
        *(DayRequest(day(number, "ETHUSDT")) for number in (1, 2, 3, 4)),  # without a listing
    ]
    found.take_listing(
        second, Listing({day(n, "ETHUSDT"): Fetched(FetchStatus.NOT_PUBLISHED) for n in range(1, 5)}, {})
    )
    found.answers[day(3)] = Fetched(FetchStatus.STORED, "s-3", "e-3", "3")
    found.not_fetched[day(4)] = "reason"
    assert found.work_of(batch) == BatchDays(
        load=(day(1), day(3)),
        no_trades=(day(2),),
        not_published=tuple(day(number, "ETHUSDT") for number in range(1, 5)),
    )


def test_again_fetches_nothing_of_a_file_that_the_listing_shows_unchanged() -> None:
    known = {day(1): LOADED, day(2): Recorded(IngestStatus.FAILED, "s-2", "e-2", "candles-0")}
    found = Plan(["BTCUSDT"], day(1).day, day(2).day, known, again=True)
    [request] = found.listings()
    found.take_listing(request, Listing({day(1): UNCHANGED, day(2): Fetched(FetchStatus.UNCHANGED, "s-2", "e-2")}, {}))
    assert found.to_fetch(found.days) == []
    assert found.work_of(found.days) == BatchDays(load=(day(2),), unchanged=(day(1),))


def test_an_unknown_symbol() -> None:
    found = plan()
    with pytest.raises(UnknownSymbolError, match="the exchange's archive has no symbol BTCUSDT"):
        found.take_listing(found.listings()[0], None)


def test_a_plan_of_revised_files_has_settled_days_and_computes_those_whose_file_differs() -> None:
    known = {
        day(1): Recorded(IngestStatus.LOADED, etag="e-1"),
        day(2): Recorded(IngestStatus.LOADED, etag="e-2"),
        day(3): Recorded(IngestStatus.FAILED, etag="e-3"),
    }
    plan = Plan(["BTCUSDT"], day(1).day, day(3).day, known, revised=True)
    assert plan.days == [day(1), day(2), day(3)]
    plan.answers.update({item: Fetched(FetchStatus.STORED, etag=f"e-{item.day.day}") for item in plan.days})
    plan.answers[day(1)] = Fetched(FetchStatus.STORED, etag="revised")
    assert plan.work_of(plan.days) == BatchDays(load=(day(1),), unchanged=(day(2),), still_failed=(day(3),))
