"""A trade's values: sizes, prices, ids, sides, the one rule of turnover, sameness."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_pipeline.trade import (
    Reason,
    RejectedValueError,
    TakerSide,
    Trade,
    parse_price,
    parse_size,
    parse_taker_side,
    parse_trade_id,
    turnover_of,
)

UUID = "08ff9568-cb50-55d6-b497-13727eec09dc"


@pytest.mark.parametrize("text", ["0.0000123", "77.31", "1000000000", "999999999999999999.999999999", "0.000000001"])
def test_amounts_are_kept_as_written(text: str) -> None:
    assert parse_price(text) == parse_size(text) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "size_reason", "price_reason"),
    [
        ("", Reason.UNREADABLE_SIZE, Reason.UNREADABLE_PRICE),
        ("NaN", Reason.UNREADABLE_SIZE, Reason.UNREADABLE_PRICE),
        ("0", Reason.SIZE_NOT_POSITIVE, Reason.PRICE_NOT_POSITIVE),
        ("-0.0", Reason.SIZE_NOT_POSITIVE, Reason.PRICE_NOT_POSITIVE),
        ("-1e999", Reason.SIZE_NOT_POSITIVE, Reason.PRICE_NOT_POSITIVE),
        ("0.0000000001", Reason.SIZE_OUT_OF_RANGE, Reason.PRICE_OUT_OF_RANGE),
        ("1.0000000001", Reason.SIZE_OUT_OF_RANGE, Reason.PRICE_OUT_OF_RANGE),
        ("1000000000000000000", Reason.SIZE_OUT_OF_RANGE, Reason.PRICE_OUT_OF_RANGE),
        ("1e999", Reason.SIZE_OUT_OF_RANGE, Reason.PRICE_OUT_OF_RANGE),
        ("1e-999", Reason.SIZE_OUT_OF_RANGE, Reason.PRICE_OUT_OF_RANGE),
        pytest.param("9" * 100_000, Reason.SIZE_OUT_OF_RANGE, Reason.PRICE_OUT_OF_RANGE, id="long"),
        pytest.param(f"1.{'0' * 100_000}1", Reason.SIZE_OUT_OF_RANGE, Reason.PRICE_OUT_OF_RANGE, id="long fraction"),
    ],
)
def test_amounts_that_no_trade_has(text: str, size_reason: Reason, price_reason: Reason) -> None:
    with pytest.raises(RejectedValueError) as size_error:
        parse_size(text)
    with pytest.raises(RejectedValueError) as price_error:
        parse_price(text)
    assert (size_error.value.reason, price_error.value.reason) == (size_reason, price_reason)


def test_ids_are_uuids_in_lower_case() -> None:
    assert parse_trade_id(UUID.upper()) == UUID


@pytest.mark.parametrize(
    "text", ["", "1", UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}", f"{UUID}\n", f" {UUID}"]
)
def test_no_ids(text: str) -> None:
    with pytest.raises(RejectedValueError) as error:
        parse_trade_id(text)
    assert error.value.reason is Reason.UNREADABLE_TRADE_ID


@pytest.mark.parametrize("text", ["", "buy", "BUY", "Buy ", "None"])
def test_no_sides(text: str) -> None:
    with pytest.raises(RejectedValueError) as error:
        parse_taker_side(text)
    assert error.value.reason is Reason.UNKNOWN_SIDE


@pytest.mark.parametrize(
    ("symbol", "price", "size", "turnover"),
    [
        ("BTCUSDT", "6698.5", "0.042", "281.337"),
        ("SOLUSDT", "77.31", "12.3", "950.913"),
        ("DOGEUSDT", "0.07053", "1000000000", "70530000"),
        ("1000PEPEUSDT", "0.0000123", "1", "0.0000123"),
        ("BTCUSDT", "0.5", "0.000000001", "0"),
        ("BTCUSDT", "0.5", "0.000000003", "0.000000002"),
        ("BTCUSDT", "99.999999999", "999999999999999999.999999999", "99999999998999999999.9999999"),
        ("BTCUSD", "8000", "1", "0.000125"),
        ("BTCUSD", "3", "1", "0.333333333"),
        ("BTCUSDM24", "64000", "100", "0.0015625"),
    ],
)
def test_turnover(symbol: str, price: str, size: str, turnover: str) -> None:
    assert turnover_of(symbol, Decimal(price), Decimal(size)) == Decimal(turnover)


def test_turnover_has_a_limit() -> None:
    with pytest.raises(RejectedValueError) as error:
        turnover_of("BTCUSDT", Decimal(100), Decimal(10**18))
    assert error.value.reason is Reason.TURNOVER_OUT_OF_RANGE


def test_turnover_refuses_what_was_never_parsed() -> None:
    with pytest.raises(ValueError, match="at most 9 decimals"):
        turnover_of("BTCUSDT", Decimal("0.0000000001"), Decimal(1))


amounts = st.integers(min_value=1, max_value=10**18).map(lambda units: Decimal(units).scaleb(-9))


@given(amounts, amounts)
def test_turnover_agrees_with_decimals_own_rounding(price: Decimal, size: Decimal) -> None:
    with localcontext() as context:
        context.prec, context.rounding = 200, ROUND_HALF_EVEN
        assert turnover_of("BTCUSDT", price, size) == (price * size).quantize(Decimal("1e-9"))
        assert turnover_of("BTCUSD", price, size) == (size / price).quantize(Decimal("1e-9"))


def test_the_place_in_a_file_is_not_content() -> None:
    trade = Trade("BTCUSDT", UUID, 1, Decimal("1.0"), Decimal(2), TakerSide.BUY, Decimal(2), 0)
    assert trade.same_content(replace(trade, order=9, price=Decimal("1.00")))
    assert not trade.same_content(replace(trade, time_us=2))
    assert not trade.same_content(replace(trade, price=Decimal("1.1")))
    assert not trade.same_content(replace(trade, size=Decimal(3)))
    assert not trade.same_content(replace(trade, taker_side=TakerSide.SELL))
