"""One trade, and the rules that a trade must pass to enter the pipeline.

Part of the core; any module may import it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from bitcoin_pipeline.amounts import (
    MAX_INTEGER_DIGITS,
    MAX_TURNOVER_DIGITS,
    SCALE,
    canonical,
    divide_half_even,
    from_units,
    parse_decimal,
    to_units,
)
from bitcoin_pipeline.symbols import is_inverse

TRADE_ID: Final = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
"""A trade id as a regular expression of Python and of Java: a UUID in lower case."""

_UUID = re.compile(TRADE_ID, re.ASCII | re.IGNORECASE)


class TakerSide(StrEnum):
    """The side of the order that crossed the spread; a Buy took from the asks."""

    BUY = "Buy"
    SELL = "Sell"


class Reason(StrEnum):
    """Why a row or a message was rejected; the first rule that fails, in this order, gives the reason."""

    COLUMN_COUNT = "column_count"
    OTHER_SYMBOL = "other_symbol"
    UNREADABLE_TIME = "unreadable_time"
    OTHER_DAY = "other_day"
    UNKNOWN_SIDE = "unknown_side"
    UNREADABLE_SIZE = "unreadable_size"
    SIZE_NOT_POSITIVE = "size_not_positive"
    SIZE_OUT_OF_RANGE = "size_out_of_range"
    UNREADABLE_PRICE = "unreadable_price"
    PRICE_NOT_POSITIVE = "price_not_positive"
    PRICE_OUT_OF_RANGE = "price_out_of_range"
    UNREADABLE_TRADE_ID = "unreadable_trade_id"
    UNREADABLE_SEQUENCE = "unreadable_sequence"
    TURNOVER_OUT_OF_RANGE = "turnover_out_of_range"
    ZERO_SIZE = "zero_size"
    ID_WITH_OTHER_CONTENT = "id_with_other_content"


class RejectedValueError(ValueError):
    """A `value` that no trade can have; `reason` is the rule that it breaks."""

    def __init__(self, reason: Reason, value: str) -> None:
        super().__init__(f"{reason}: {value!r}")
        self.reason: Final = reason
        self.value: Final = value


@dataclass(frozen=True, slots=True)
class Trade:
    """One match on the exchange, in the form that all planes share.

    `time_us`: microseconds UTC. `price`: quote per base. `size`: base coin, or contracts of 1 USD for an
    inverse symbol. `turnover`: quote, or base coin for an inverse symbol. `order`: breaks ties of `time_us`;
    comparable only between trades of one source. `block_trade`: agreed off the order book; `rpi`: matched with a Retail
    Price Improvement order; both as the exchange flags them, None where it gives no flag. Candles count both as trades.
    """

    symbol: str
    trade_id: str
    time_us: int
    price: Decimal
    size: Decimal
    taker_side: TakerSide
    turnover: Decimal
    order: int | tuple[int, Decimal, str]
    block_trade: bool | None = None
    rpi: bool | None = None

    def same_content(self, other: Trade) -> bool:
        """True when both describe the same match; `order`, `turnover` and the flags are not compared.

        Sources differ in the flags that they have, so a repeated id with other flags is still the same match.
        """
        mine = (self.symbol, self.trade_id, self.time_us, self.price, self.size, self.taker_side)
        return mine == (other.symbol, other.trade_id, other.time_us, other.price, other.size, other.taker_side)


def parse_size(text: str) -> Decimal:
    """A positive size of at most 18 integer digits and 9 decimals. Raises RejectedValueError."""
    return _parse_amount(text, Reason.UNREADABLE_SIZE, Reason.SIZE_NOT_POSITIVE, Reason.SIZE_OUT_OF_RANGE)


def parse_price(text: str) -> Decimal:
    """A positive price of at most 18 integer digits and 9 decimals. Raises RejectedValueError."""
    return _parse_amount(text, Reason.UNREADABLE_PRICE, Reason.PRICE_NOT_POSITIVE, Reason.PRICE_OUT_OF_RANGE)


def parse_trade_id(text: str) -> str:
    """A UUID in lower case. Raises RejectedValueError."""
    if not _UUID.fullmatch(text):
        raise RejectedValueError(Reason.UNREADABLE_TRADE_ID, text)
    return text.lower()


def parse_taker_side(text: str) -> TakerSide:
    """The side that is spelled exactly `Buy` or `Sell`. Raises RejectedValueError."""
    try:
        return TakerSide(text)
    except ValueError:
        raise RejectedValueError(Reason.UNKNOWN_SIDE, text) from None


def parse_flag(value: object) -> bool | None:
    """A flag in JSON; None for any value that is no boolean, because no trade is lost for its flags."""
    return value if isinstance(value, bool) else None


def turnover_of(symbol: str, price: Decimal, size: Decimal) -> Decimal:
    """Price x size, or size / price for an inverse symbol, rounded half-even to 9 decimals.

    This rule is applied once, where a trade enters the pipeline; after that turnovers are only summed.
    `price` and `size` are positive with at most 9 decimals. Raises RejectedValueError above 20 integer digits.
    """
    price_units, size_units = to_units(price), to_units(size)
    if price_units is None or size_units is None:
        raise ValueError(f"price and size have at most {SCALE} decimals, got {price} and {size}")
    one = 10**SCALE
    if is_inverse(symbol):
        units = divide_half_even(size_units * one, price_units)
    else:
        units = divide_half_even(price_units * size_units, one)
    if units >= 10 ** (MAX_TURNOVER_DIGITS + SCALE):
        raise RejectedValueError(Reason.TURNOVER_OUT_OF_RANGE, f"{price} x {size}")
    return from_units(units)


def live_order(seq: int, taker_side: TakerSide, price: Decimal, trade_id: str) -> tuple[int, Decimal, str]:
    """`Trade.order` of a trade that was received live; `seq`: the exchange's sequence number, 0 where it sent none.

    A taker sweeps the book, so this is the matching order among equal times; the order of arrival has no influence.
    """
    return seq, price if taker_side is TakerSide.BUY else -price, trade_id


def _parse_amount(text: str, unreadable: Reason, not_positive: Reason, out_of_range: Reason) -> Decimal:
    value = parse_decimal(text)
    if value is None:
        raise RejectedValueError(unreadable, text)
    if value <= 0:
        raise RejectedValueError(not_positive, text)
    # The exponent is bounded before any arithmetic, so that 1e999 does not become a number of a thousand digits.
    if value.adjusted() >= MAX_INTEGER_DIGITS or value.adjusted() < -SCALE or to_units(value) is None:
        raise RejectedValueError(out_of_range, text)
    return canonical(value)
