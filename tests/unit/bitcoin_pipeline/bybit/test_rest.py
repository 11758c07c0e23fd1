"""Bybit's REST answers: the same trades as in frames, the exchange's time, and its errors."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.bybit.frames import PlainTrade, UnreadableTrade, parse_trade
from bitcoin_pipeline.bybit.rest import EnvelopeError, parse_recent_trades, parse_server_time, recent_trades_query

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
    older, newer = parse_recent_trades("BTCUSDT", envelope)
    assert isinstance(older, PlainTrade)
    assert isinstance(newer, PlainTrade)
    in_a_frame = {
        **{"T": 1786310819680, "s": "BTCUSDT", "S": "Sell", "v": "0.004", "p": "65114.20", "i": ID, "seq": 7},
        **{"BT": True, "RPI": False},
    }
    assert older == parse_trade("BTCUSDT", in_a_frame)
    assert (older.block_trade, older.rpi) == (True, False)
    assert (newer.trade_id, newer.time_us, newer.seq) == (ID.replace("a", "b"), 1786310819681000, 0)


def test_a_row_that_is_no_trade_stands_among_the_trades() -> None:
    rows = [None, {"execId": ID, "symbol": "BTCUSDT", "time": "soon"}]
    envelope = {"retCode": 0, "result": {"list": rows}}
    found = parse_recent_trades("BTCUSDT", envelope)
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
