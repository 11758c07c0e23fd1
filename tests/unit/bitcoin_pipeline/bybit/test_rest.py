"""Bybit's REST answers: the same trades as in frames, the exchange's time, and its errors."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.bybit.frames import PlainTrade, UnreadableTrade, parse_trade
from bitcoin_pipeline.bybit.klines import Kline
from bitcoin_pipeline.bybit.rest import (
    EnvelopeError,
    instrument_query,
    klines_query,
    parse_instrument_status,
    parse_klines,
    parse_recent_trades,
    parse_server_time,
    recent_trades_query,
)

ID = "a9188a0a-82bc-50de-be60-03eedbe3cdd7"


def test_recent_trades_are_the_same_trades() -> None:
    rest = {
        "execId": ID,
        "symbol": "BTCUSDT",
        "price": "65114.20",
        "size": "0.004",
        "side": "Sell",
        "time": "1786310819680",
        "isBlockTrade": True,
        "isRPITrade": False,
        "seq": "7",
    }
    later = {**rest, "execId": ID.replace("a", "b"), "time": "1786310819681", "seq": ""}
    envelope = {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": [later, rest]}, "time": 1}
    (older, newer), time_us = parse_recent_trades("BTCUSDT", envelope)
    assert time_us == 1000
    assert isinstance(older, PlainTrade)
    assert isinstance(newer, PlainTrade)
    in_a_frame = {
        **{"T": 1786310819680, "s": "BTCUSDT", "S": "Sell", "v": "0.004", "p": "65114.20", "i": ID, "seq": 7},
        **{"BT": True, "RPI": False},
    }
    as_in_a_frame = parse_trade("BTCUSDT", in_a_frame)
    assert isinstance(as_in_a_frame, PlainTrade)
    assert older._replace(received=None) == as_in_a_frame._replace(received=None)
    assert (older.block_trade, older.rpi) == (True, False)
    assert (newer.trade_id, newer.time_us, newer.seq) == (ID.replace("a", "b"), 1786310819681000, 0)


def test_a_row_that_is_no_trade_stands_among_the_trades() -> None:
    rows = [None, {"execId": ID, "symbol": "BTCUSDT", "time": "soon"}]
    envelope = {"retCode": 0, "result": {"list": rows}}
    found, time_us = parse_recent_trades("BTCUSDT", envelope)
    assert time_us is None
    assert [(trade.trade_id, trade.time_us) for trade in found] == [(ID, None), (None, None)]
    assert all(isinstance(trade, UnreadableTrade) for trade in found)


def test_the_query_of_recent_trades() -> None:
    assert recent_trades_query("BTCUSDT", 200) == {"category": "linear", "symbol": "BTCUSDT", "limit": "200"}
    assert recent_trades_query("BTCUSDT")["limit"] == "1000"


def test_a_refusal_of_rest() -> None:
    with pytest.raises(EnvelopeError, match="10006"):
        parse_recent_trades("BTCUSDT", {"retCode": 10006, "retMsg": "Too many visits!", "result": {}})
    with pytest.raises(EnvelopeError):
        parse_server_time([])


def test_server_time() -> None:
    envelope = {"retCode": 0, "result": {"timeSecond": "1786310819", "timeNano": "1786310819680123456"}}
    assert parse_server_time(envelope) == 1786310819680123


def test_klines_are_closed_but_for_the_last_one() -> None:
    rows = [[str(start), "1", "2", "1", "2", "0.5", "1e-9"] for start in (120_000, 60_000)]
    assert parse_klines("BTCUSDT", {"retCode": 0, "result": {"list": rows}}) == [
        Kline("BTCUSDT", 60_000_000, 500_000_000, 1, is_closed=True),
        Kline("BTCUSDT", 120_000_000, 500_000_000, 1, is_closed=False),
    ]
    assert parse_klines("BTCUSDT", {"retCode": 0, "result": {"list": []}}) == []
    for row in ([], ["60000"], ["60001", *"123456"], ["60000", *"1234", "much", "1"], None):
        with pytest.raises(EnvelopeError, match="a kline is"):
            parse_klines("BTCUSDT", {"retCode": 0, "result": {"list": [row]}})


def test_the_query_of_klines() -> None:
    assert klines_query("BTCUSDT", 60_000_000, 3) == {
        **{"category": "linear", "symbol": "BTCUSDT", "interval": "1"},
        **{"start": "60000", "end": "180000", "limit": "3"},
    }


def test_the_status_of_a_symbol() -> None:
    listed = {"retCode": 0, "result": {"list": [None, {"symbol": "OLDUSDT", "status": "Closed"}]}}
    assert parse_instrument_status("OLDUSDT", listed) == "Closed"
    assert parse_instrument_status("NOUSDT", listed) is None
    assert instrument_query("OLDUSDT") == {"category": "linear", "symbol": "OLDUSDT"}


def test_a_refusal_has_its_code() -> None:
    with pytest.raises(EnvelopeError) as error:
        parse_klines("BTCUSDT", {"retCode": 10006})
    assert error.value.code == 10006
