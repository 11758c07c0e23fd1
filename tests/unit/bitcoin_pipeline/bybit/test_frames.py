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
    PlainTrade,
    UnreadableTrade,
    parse_public_trade,
    parse_trade,
    plain_trade,
    to_trade,
)
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
    return [to_trade(item["s"], item) for frame in frames(path) for item in frame["data"]]


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
        block_trade=False,
        rpi=False,
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
def test_the_fast_way_reads_the_same_values(path: Path) -> None:
    for frame in frames(path):
        message = parse_public_trade(frame)
        assert message.symbol == frame["topic"].removeprefix("publicTrade.")
        assert message.sent_us == frame["ts"] * 1000
        assert message.trades == [
            plain_trade(to_trade(item["s"], item), item.get("seq", 0), item) for item in frame["data"]
        ]


def test_a_trade() -> None:
    assert parse_trade("BTCUSDT", ITEM) == PlainTrade(
        "BTCUSDT", ID, 1786310819680000, 7, "Sell", "65114.2", "0.004", "260.4568", ITEM
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, (None, None)),
        ({"BT": False}, (False, None)),  # frames before 2025
        ({"BT": True, "RPI": False}, (True, False)),
        ({"BT": False, "RPI": True}, (False, True)),
        ({"BT": 1, "RPI": "true"}, (None, None)),
        ({"BT": None, "RPI": []}, (None, None)),
    ],
)
def test_the_flags_stay_with_the_trade(flags: dict[str, Any], expected: tuple[bool | None, bool | None]) -> None:
    item = {**ITEM, **flags}
    found = to_trade("BTCUSDT", item)
    assert (found.block_trade, found.rpi) == expected
    assert parse_trade("BTCUSDT", item) == plain_trade(found, 7, item)


@pytest.mark.parametrize(
    ("seq", "expected"),
    [("7001", 7001), (None, 0), (7001.0, 0), (-1, 0), (2**63, 0), ("٣", 0), ([], 0), (True, 0), (7001, 7001)],
)
def test_a_seq_of_another_form_costs_no_trade(seq: Any, expected: int) -> None:
    item = {**ITEM, "seq": seq}
    found = parse_trade("BTCUSDT", item)
    assert isinstance(found, PlainTrade)
    assert found.seq == expected
    assert found == plain_trade(to_trade("BTCUSDT", item), expected, item)


def test_flags_are_no_part_of_a_trade_s_content() -> None:
    unflagged, flagged = to_trade("BTCUSDT", ITEM), to_trade("BTCUSDT", {**ITEM, "BT": True, "RPI": True})
    assert flagged.same_content(unflagged)
    assert flagged != unflagged


amounts = st.one_of(
    st.decimals(min_value=0, max_value=10**19, places=9).map(lambda value: f"{value:f}"),
    st.sampled_from(["0.0000123", "1e9", "1E-9", "+5", " 7 ", "007.50", ".5", "5.", "0", "-1", "nan", "1e19", "", "٣"]),
    st.text(max_size=6),
)


@given(amounts, amounts, st.sampled_from(["BTCUSDT", "BTCUSD"]), st.sampled_from(["Buy", "Sell", "buy"]))
def test_both_ways_agree_on_every_amount(price: str, size: str, symbol: str, side: str) -> None:
    item = {**ITEM, "s": symbol, "p": price, "v": size, "S": side}
    try:
        expected: PlainTrade | UnreadableTrade = plain_trade(to_trade(symbol, item), 7, item)
    except RejectedValueError as error:
        expected = UnreadableTrade(error.reason, 1786310819680000, ID, item)
    assert parse_trade(symbol, item) == expected


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
        ({"v": "999999999999999999", "p": "999999999999999999"}, Reason.TURNOVER_OUT_OF_RANGE),
    ],
)
def test_what_is_rejected(change: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(RejectedValueError) as error:
        to_trade("BTCUSDT", {**ITEM, **change})
    assert error.value.reason is reason
    found = parse_trade("BTCUSDT", {**ITEM, **change})
    assert isinstance(found, UnreadableTrade)
    assert (found.reason, found.received) == (reason, {**ITEM, **change})
    assert found.time_us == (None if "T" in change else 1786310819680000)
    assert found.trade_id == change.get("i", ID)


@pytest.mark.parametrize("item", [None, 7, [], "trade", {}, {"i": 7, "T": "soon"}])
def test_an_item_that_is_no_trade(item: object) -> None:
    with pytest.raises(RejectedValueError):
        to_trade("BTCUSDT", item)
    found = parse_trade("BTCUSDT", item)
    assert isinstance(found, UnreadableTrade)
    assert (found.time_us, found.trade_id, found.received) == (None, None, item)


def test_capitals_in_an_id_are_made_small() -> None:
    assert parse_trade("BTCUSDT", {**ITEM, "i": ID.upper()}).trade_id == ID


def test_a_frame_that_is_none() -> None:
    for frame in ({"topic": "publicTrade.X", "ts": "1", "data": []}, {"topic": "publicTrade.X", "ts": 1, "data": {}}):
        with pytest.raises(MessageError):
            parse_public_trade(frame)
