"""The topic's records: what is written is read again, and what is no record is refused with the reason."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from bitcoin_pipeline.bybit.frames import PlainTrade, parse_trade, to_trade
from bitcoin_pipeline.live.records import (
    Gap,
    GapState,
    Heartbeat,
    Minute,
    encoded_trade,
    gap_record,
    heartbeat_record,
    minute_record,
    read_trade,
    trade_record,
)
from bitcoin_pipeline.trade import TakerSide, Trade
from local.checkout import ROOT

TRADE = Trade(
    symbol="1000PEPEUSDT",
    trade_id="9e9b9a3c-2b06-5a0e-8b84-70d11b6d5c3d",
    time_us=1_786_303_200_123_000,
    price=Decimal("0.000000012"),
    size=Decimal("123456789012345678.5"),
    taker_side=TakerSide.SELL,
    turnover=Decimal("1481481468.148148142"),
    order=(178_602_153_981, Decimal("-0.000000012"), "9e9b9a3c-2b06-5a0e-8b84-70d11b6d5c3d"),
)


CAPTURES = (
    "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl",
    "bybit_ws_v5_publicTrade_samples_2023-2026.jsonl",
)
ITEM = {
    "T": 1786310819680,
    "s": "BTCUSDT",
    "S": "Sell",
    "v": "0.004",
    "p": "65114.20",
    "i": "a9188a0a-82bc-50de-be60-03eedbe3cdd7",
    "seq": 7,
}


def test_a_record() -> None:
    trade = parse_trade("BTCUSDT", ITEM)
    assert isinstance(trade, PlainTrade)
    assert encoded_trade(trade) == (
        b'{"type":"trade","symbol":"BTCUSDT","id":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","time":1786310819680000,'
        b'"seq":7,"side":"Sell","price":"65114.2","size":"0.004","turnover":"260.4568"}'
    )


@pytest.mark.parametrize(
    ("block_trade", "rpi", "end"),
    [
        (None, None, b'"turnover":"1481481468.148148142"}'),
        (False, None, b'"turnover":"1481481468.148148142","block_trade":false}'),
        (True, False, b'"turnover":"1481481468.148148142","block_trade":true,"rpi":false}'),
        (None, True, b'"turnover":"1481481468.148148142","rpi":true}'),
    ],
)
def test_the_flags_that_are_known_are_in_the_record(block_trade: bool | None, rpi: bool | None, end: bytes) -> None:
    trade = replace(TRADE, block_trade=block_trade, rpi=rpi)
    record = trade_record(trade, 178_602_153_981)
    assert record.endswith(end)
    assert read_trade(record) == trade


def test_flags_that_are_no_booleans_are_unknown() -> None:
    record = json.dumps({**json.loads(trade_record(TRADE, 178_602_153_981)), "block_trade": 1, "rpi": "no"}).encode()
    assert read_trade(record) == TRADE


@pytest.mark.parametrize("name", CAPTURES)
def test_a_frame_s_trade_and_the_core_s_trade_have_the_same_record(name: str) -> None:
    text = (ROOT / "tests" / "fixtures" / "bybit" / name).read_text()
    for item in (item for line in text.splitlines() for item in json.loads(line)["data"]):
        trade = parse_trade(item["s"], item)
        assert isinstance(trade, PlainTrade)
        assert encoded_trade(trade) == trade_record(to_trade(item["s"], item), item.get("seq", 0))


def test_a_trade_is_read_as_it_was_written() -> None:
    assert read_trade(trade_record(TRADE, 178_602_153_981)) == TRADE
    bought = replace(TRADE, taker_side=TakerSide.BUY, order=(0, TRADE.price, TRADE.trade_id))
    assert read_trade(trade_record(bought, 0)) == bought


def test_a_minute_s_record() -> None:
    minute = Minute("BTCUSDT", 1_786_310_760_000_000, 3, Decimal("0.0010"), Decimal("1E+2"), confirmed=True)
    assert minute_record(minute) == (
        b'{"type":"minute","symbol":"BTCUSDT","open_time":1786310760000000,"trade_count":3,"volume":"0.001",'
        b'"turnover":"100","confirmed":true}'
    )


def test_other_records_are_no_trades() -> None:
    assert read_trade(minute_record(Minute("BTCUSDT", 60_000_000, 1, Decimal(1), Decimal(1), confirmed=False))) is None
    assert read_trade(heartbeat_record(Heartbeat(1, ("BTCUSDT",), 5, 0))) is None
    assert read_trade(gap_record(Gap("g", "BTCUSDT", 1, None, GapState.OPENED))) is None


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (b"", "Expecting value"),
        (b"\xff", "utf-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "a record's type is"),
        (b'{"type":"tick"}', "got 'tick'"),
        (b'{"type":["trade"]}', "a record's type is"),
    ],
)
def test_what_is_no_record_says_why(record: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_trade(record)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("time", "1", "must be integers in range, got 1"),
        ("time", True, "got True"),
        ("time", 10**17, "in range"),
        ("seq", -1, "got 1786303200123000 and -1"),
        ("seq", 2**63, "in range"),
        ("seq", 1.0, "must be integers"),
        ("price", 1.5, "must be strings"),
        ("price", "0", "price_not_positive"),
        ("size", "1e-10", "size_out_of_range"),
        ("side", "buy", "unknown_side"),
        ("id", "1", "unreadable_trade_id"),
        ("symbol", "../USDT", "a symbol is"),
        ("turnover", "much", "turnover must be a number, got 'much'"),
    ],
)
def test_a_value_that_no_trade_has_is_named(name: str, value: object, fault: str) -> None:
    fields = {**json.loads(trade_record(TRADE, 1)), name: value}
    with pytest.raises(ValueError, match=fault):
        read_trade(json.dumps(fields).encode())
    del fields[name]
    with pytest.raises(ValueError, match="must be"):
        read_trade(json.dumps(fields).encode())
