"""The topic's end: which trades, minutes and gaps a producer finds that starts. Times are seconds after BASE_MS."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from bitcoin_pipeline.bybit.frames import PlainTrade
from bitcoin_pipeline.live.records import (
    Gap,
    GapState,
    Heartbeat,
    Minute,
    encoded_trade,
    gap_record,
    heartbeat_record,
    minute_record,
)
from bitcoin_pipeline.live.tail import Tail
from bitcoin_pipeline.times import MS_US, SECOND_US
from tests.support.feeds import BASE_MS

YEAR = 365 * 86_400
OLDEST, NEWEST = -3000.0, 600.0


def at(second: float) -> int:
    return BASE_MS * MS_US + round(second * SECOND_US)


def trade(second: float) -> bytes:
    trade_id = str(UUID(int=round(abs(second) * 1000)))
    return encoded_trade(PlainTrade("BTCUSDT", trade_id, at(second), 1, "Buy", "2", "3", "6"))


def minute(second: float, count: int, *, confirmed: bool = True) -> bytes:
    return minute_record(Minute("BTCUSDT", at(second), count, Decimal(count), Decimal(count), confirmed))


def begins(*records: bytes) -> float | None:
    tail = Tail()
    for record in records:
        tail.add(record)
    known = tail.symbols.get("BTCUSDT")
    begins_us = None if known is None else known.begins_us(at(OLDEST), at(NEWEST))
    return None if begins_us is None else (begins_us - at(0)) / SECOND_US


def test_the_first_minute_without_a_record_is_open() -> None:
    assert begins(trade(10), trade(70), minute(0, 1), trade(130)) == 60.0
    assert begins(trade(10), minute(0, 1)) == 60.0
    assert begins() is None


def test_a_minute_with_more_trades_than_its_record_counts_is_open() -> None:
    assert begins(trade(10), minute(0, 1), trade(11), trade(70), minute(60, 1)) == 0.0


def test_a_minute_in_an_open_gap_is_open() -> None:
    gap = Gap("g", "BTCUSDT", at(65), at(66), GapState.OPENED)
    growing = Gap("g", "BTCUSDT", at(65), None, GapState.OPENED)
    for known in (gap, growing):
        records = (trade(10), minute(0, 1), trade(70), gap_record(known), minute(60, 1, confirmed=False))
        assert begins(*records) == 60.0
    assert begins(*records, gap_record(Gap("g", "BTCUSDT", at(65), at(66), GapState.CLOSED))) == 120.0


def test_heartbeats_show_a_symbol_without_trades() -> None:
    heartbeat = heartbeat_record(Heartbeat(at(100), ("BTCUSDT",), 0, 0))
    assert begins(heartbeat) == 60.0
    assert begins(trade(-600), minute(-600, 1), heartbeat) == 60.0
    assert begins(trade(-600), heartbeat) == -600.0


def test_the_minute_before_a_heartbeat_may_not_be_closed_yet() -> None:
    assert begins(heartbeat_record(Heartbeat(at(89), ("BTCUSDT",), 0, 0))) == 0.0


def test_of_two_heartbeats_the_last_one_counts() -> None:
    """The first one was sent by a clock that was ahead."""
    assert begins(*(heartbeat_record(Heartbeat(at(second), ("BTCUSDT",), 0, 0)) for second in (500, 100))) == 60.0


def test_absurd_times_are_passed_over() -> None:
    absurd = heartbeat_record(Heartbeat(at(7200), ("BTCUSDT",), 0, 0))
    assert begins(trade(10), trade(YEAR), absurd, trade(-YEAR)) == 0.0


def test_what_is_no_record_is_passed_over() -> None:
    junk = (b"", b"[" * 100_000, b"[]", b'{"type":"trade"}', b'{"type":"gap","state":"ajar"}', b"\xff", b'{"type":[]}')
    assert begins(*junk) is None


def test_the_sums_of_an_open_minute_are_known() -> None:
    tail = Tail()
    broken = encoded_trade(PlainTrade("BTCUSDT", str(UUID(int=7)), at(12), 1, "Buy", "2", "three", "6"))
    for record in (trade(10), broken, trade(10), trade(11)):
        tail.add(record)
    [known] = tail.symbols["BTCUSDT"].minutes.values()
    assert (known.count, known.volume, known.turnover) == (2, 6 * 10**9, 12 * 10**9)


def test_it_is_read_back_once_a_record_precedes_the_open_minute() -> None:
    tail = Tail()
    tail.add(trade(70))
    assert not tail.is_read_back(["BTCUSDT"])
    tail.add(trade(10))
    assert not tail.is_read_back(["BTCUSDT"])
    tail.add(minute(0, 1))
    assert tail.is_read_back(["BTCUSDT"])
    assert not tail.is_read_back(["BTCUSDT", "ETHUSDT"])
