"""Bybit's public trades: real frames of four years exactly, the fast way equal to the plain one, what is rejected."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_pipeline.bybit.frames import (
    MessageError,
    encode_trade,
    parse_public_trade,
    parse_recent_trades,
    parse_server_time,
    to_trade,
)
from bitcoin_pipeline.live.records import trade_record
from bitcoin_pipeline.trade import Reason, RejectedValueError, TakerSide, Trade
from local.checkout import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "bybit"
CAPTURE = FIXTURES / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"
SAMPLES = FIXTURES / "bybit_ws_v5_publicTrade_samples_2023-2026.jsonl"
ID = "a9188a0a-82bc-50de-be60-03eedbe3cdd7"
ITEM: dict[str, Any] = {
    "T": 1786310819680,
    "s": "BTCUSDT",
    "S": "Sell",
    "v": "0.004",
    "p": "65114.20",
    "i": ID,
    "seq": 7,
}


def frames(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def trades(path: Path) -> list[Trade]:
    messages = [parse_public_trade(frame) for frame in frames(path)]
    return [to_trade(message.symbol, item) for message in messages for item in message.items]


def key(trade: Trade) -> tuple[int, tuple[int, Decimal]]:
    assert isinstance(trade.order, tuple)
    return trade.time_us, trade.order[:2]


def test_every_trade_of_the_capture() -> None:
    found = trades(CAPTURE)
    assert len(found) == len({trade.trade_id for trade in found}) == 56
    assert found[0] == Trade(
        "BTCUSDT",
        ID,
        1786310819680000,
        Decimal("65114.2"),
        Decimal("0.004"),
        TakerSide.SELL,
        Decimal("260.4568"),
        (753843954913, Decimal("-65114.2"), ID),
    )
    # Against the text itself, read by other means.
    items = [item for frame in frames(CAPTURE) for item in frame["data"]]
    assert sum(trade.size for trade in found) == sum(Decimal(item["v"]) for item in items)
    assert sum(trade.turnover for trade in found) == sum(Decimal(item["v"]) * Decimal(item["p"]) for item in items)
    # The order that needs no arrival is, ids aside, the one in which they arrived.
    keys = [key(trade) for trade in found]
    assert keys == sorted(keys)


def test_shapes_of_2023_to_2026() -> None:
    found = trades(SAMPLES)
    assert len(found) == 32
    assert (found[0].symbol, found[0].price, found[0].size) == ("BTCUSD", Decimal("28560.5"), Decimal(5823))
    assert (found[4].symbol, found[4].price, found[4].size) == ("BTCUSDT", Decimal(66500), Decimal("0.025"))
    assert [key(trade)[1][0] for trade in (found[0], found[-1])] == [0, 549792210006]
    # Contracts of 1 USD: 5823 / 28560.5 of the coin.
    assert found[0].turnover == Decimal("0.203882985")


@pytest.mark.parametrize("path", [CAPTURE, SAMPLES])
def test_the_fast_way_writes_the_same_bytes(path: Path) -> None:
    for frame in frames(path):
        for item in frame["data"]:
            assert encode_trade(item["s"], item).record == trade_record(to_trade(item["s"], item), item.get("seq", 0))


def test_a_record() -> None:
    assert encode_trade("BTCUSDT", ITEM).record == (
        b'{"type":"trade","symbol":"BTCUSDT","id":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","time":1786310819680000,'
        b'"seq":7,"side":"Sell","price":"65114.2","size":"0.004","turnover":"260.4568"}'
    )


amounts = st.one_of(
    st.decimals(min_value=0, max_value=10**19, places=9).map(lambda value: f"{value:f}"),
    st.sampled_from(["0.0000123", "1e9", "1E-9", "+5", " 7 ", "007.50", ".5", "5.", "0", "-1", "nan", "1e19", "", "٣"]),
    st.text(max_size=6),
)


@given(amounts, amounts, st.sampled_from(["BTCUSDT", "BTCUSD"]), st.sampled_from(["Buy", "Sell", "buy"]))
def test_both_ways_agree_on_every_amount(price: str, size: str, symbol: str, side: str) -> None:
    item = {**ITEM, "s": symbol, "p": price, "v": size, "S": side}
    try:
        expected: bytes | Reason = trade_record(to_trade(symbol, item), 7)
    except RejectedValueError as error:
        expected = error.reason
    try:
        found: bytes | Reason = encode_trade(symbol, item).record
    except RejectedValueError as error:
        found = error.reason
    assert found == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"s": "ETHUSDT"}, Reason.OTHER_SYMBOL),
        ({"T": "1786310819680"}, Reason.UNREADABLE_TIME),
        ({"T": True}, Reason.UNREADABLE_TIME),
        ({"T": 10**14}, Reason.UNREADABLE_TIME),
        ({"S": "None"}, Reason.UNKNOWN_SIDE),
        ({"S": []}, Reason.UNKNOWN_SIDE),
        ({"v": 0.004}, Reason.UNREADABLE_SIZE),
        ({"v": "0.0000000001"}, Reason.SIZE_OUT_OF_RANGE),
        ({"v": {}}, Reason.UNREADABLE_SIZE),
        ({"p": "0.0"}, Reason.PRICE_NOT_POSITIVE),
        ({"p": None}, Reason.UNREADABLE_PRICE),
        ({"i": "7"}, Reason.UNREADABLE_TRADE_ID),
        ({"i": ID + "\n"}, Reason.UNREADABLE_TRADE_ID),
        ({"seq": -1}, Reason.UNREADABLE_SEQUENCE),
        ({"seq": 2**63}, Reason.UNREADABLE_SEQUENCE),
        ({"v": "999999999999999999", "p": "999999999999999999"}, Reason.TURNOVER_OUT_OF_RANGE),
    ],
)
def test_what_is_rejected(change: dict[str, Any], reason: Reason) -> None:
    for read in (encode_trade, to_trade):
        with pytest.raises(RejectedValueError) as error:
            read("BTCUSDT", {**ITEM, **change})
        assert error.value.reason is reason


@pytest.mark.parametrize("item", [None, 7, [], "trade", {}])
def test_an_item_that_is_no_trade(item: object) -> None:
    with pytest.raises(RejectedValueError):
        encode_trade("BTCUSDT", item)


def test_capitals_in_an_id_are_made_small() -> None:
    assert encode_trade("BTCUSDT", {**ITEM, "i": ID.upper()}).trade_id == ID


def test_a_frame_that_is_none() -> None:
    for frame in ({"topic": "publicTrade.X", "ts": "1", "data": []}, {"topic": "publicTrade.X", "ts": 1, "data": {}}):
        with pytest.raises(MessageError):
            parse_public_trade(frame)


def test_recent_trades_are_the_same_trades() -> None:
    rest = {
        "execId": ID,
        "symbol": "BTCUSDT",
        "price": "65114.20",
        "size": "0.004",
        "side": "Sell",
        "time": "1786310819680",
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": "7",
    }
    later = {**rest, "execId": ID.replace("a", "b"), "time": "1786310819681", "seq": ""}
    envelope = {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": [later, rest]}, "time": 1}
    page = parse_recent_trades(envelope)
    assert encode_trade("BTCUSDT", page[0]) == encode_trade("BTCUSDT", ITEM)
    assert b'"seq":0,' in encode_trade("BTCUSDT", page[1]).record


def test_a_refusal_of_rest() -> None:
    with pytest.raises(MessageError, match="10006"):
        parse_recent_trades({"retCode": 10006, "retMsg": "Too many visits!", "result": {}})
    with pytest.raises(MessageError):
        parse_server_time([])


def test_server_time() -> None:
    envelope = {"retCode": 0, "result": {"timeSecond": "1786310819", "timeNano": "1786310819680123456"}}
    assert parse_server_time(envelope) == 1786310819680123
