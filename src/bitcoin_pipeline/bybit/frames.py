"""Bybit's public trades as frames of the websocket carry them, and the typed values that they are read into.

Source of the format: Bybit's v5 documentation and real frames of 2023 to 2026. `seq` appeared in August 2025, `RPI`
in 2025; neither is required, nor is `BT`, the flag of a block trade. No other module reads the keys of an item of a
frame. Part of the core; every module may import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from bitcoin_pipeline.amounts import MAX_TURNOVER_DIGITS, SCALE, divide_half_even, plain, to_units
from bitcoin_pipeline.symbols import is_inverse
from bitcoin_pipeline.times import MS_US
from bitcoin_pipeline.trade import (
    TRADE_ID,
    Reason,
    RejectedValueError,
    TakerSide,
    Trade,
    live_order,
    parse_flag,
    parse_price,
    parse_size,
    parse_taker_side,
    parse_trade_id,
    turnover_of,
)

TOPIC_PREFIX: Final = "publicTrade."
"""How the websocket's topic of a symbol's trades begins; the symbol follows."""

_MAX_MS: Final = 10**14
_DIGITS: Final = re.compile("[0-9]{1,19}").fullmatch
_MAX_SEQ: Final = 2**63
_ONE: Final = 10**SCALE
_MAX_TURNOVER: Final = 10 ** (MAX_TURNOVER_DIGITS + SCALE)
_SIDES: Final = frozenset(map(str, TakerSide))
_UUID = re.compile(TRADE_ID).fullmatch
# The ordinary amount; every other spelling of a number is left to the core's rule.
_ORDINARY = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,9}))?").fullmatch


class MessageError(ValueError):
    """A message of a known kind that does not have that kind's shape."""


class PlainTrade(NamedTuple):
    """A trade that passed every rule, its amounts as plain decimals in text.

    `seq`: the exchange's, 0 where it gave none. `received`: the item as it arrived, for the dead-letter topic only.
    `block_trade`, `rpi`: the flags of a Trade.
    """

    symbol: str
    trade_id: str
    time_us: int
    seq: int
    side: str
    price: str
    size: str
    turnover: str
    received: Any = None
    block_trade: bool | None = None
    rpi: bool | None = None


@dataclass(frozen=True, slots=True)
class UnreadableTrade:
    """An item that is no trade of the frame's symbol. `time_us`, `trade_id`: where those can be read nevertheless."""

    reason: Reason
    time_us: int | None
    trade_id: str | None
    received: Any


ReceivedTrade: TypeAlias = PlainTrade | UnreadableTrade


class PublicTradeMessage(NamedTuple):
    """One frame of trades, in the frame's order. `sent_us`: when the exchange sent it."""

    symbol: str
    sent_us: int
    trades: list[ReceivedTrade]


def parse_public_trade(message: Mapping[str, Any]) -> PublicTradeMessage:
    """The frame in a decoded message whose topic begins with `publicTrade.`. Raises MessageError."""
    sent_ms, items = message.get("ts"), message.get("data")
    if type(sent_ms) is not int or not 0 < sent_ms < _MAX_MS:
        raise MessageError(f"ts must be milliseconds, got {sent_ms!r}")
    if type(items) is not list:
        raise MessageError(f"data must be a list of trades, got {str(items)[:100]!r}")
    symbol = message["topic"].removeprefix(TOPIC_PREFIX)
    return PublicTradeMessage(symbol, sent_ms * MS_US, [parse_trade(symbol, item) for item in items])


def parse_trade(symbol: str, item: Any) -> ReceivedTrade:
    """The trade in one item of a frame for `symbol`: the values of `to_trade(symbol, item)` at a fraction of the cost.

    What `to_trade` rejects is returned as UnreadableTrade, with the same reason.
    """
    try:
        time_ms, side, trade_id, seq = item["T"], item["S"], item["i"], item.get("seq", 0)
        size, size_units = _size(item["v"])
        price, price_units = _price(item["p"])
        is_ordinary = (
            item["s"] == symbol
            and type(time_ms) is int
            and 0 < time_ms < _MAX_MS
            and side in _SIDES
            and _UUID(trade_id)
        )
        if type(seq) is not int or not 0 <= seq < _MAX_SEQ:
            seq = parse_seq(seq)
    except (TypeError, KeyError, AttributeError, RejectedValueError):
        is_ordinary = False
    if not is_ordinary:
        return _parse_slowly(symbol, item)
    if _is_inverse(symbol):
        units = divide_half_even(size_units * _ONE, price_units)
    else:
        units, rest = divmod(price_units * size_units, _ONE)
        if rest:
            units = divide_half_even(price_units * size_units, _ONE)
    if units >= _MAX_TURNOVER:
        return _parse_slowly(symbol, item)
    whole, fraction = divmod(units, _ONE)
    turnover = f"{whole}.{fraction:09d}".rstrip("0") if fraction else str(whole)
    flags = parse_flag(item.get("BT")), parse_flag(item.get("RPI"))
    return PlainTrade(symbol, trade_id, time_ms * MS_US, seq, side, price, size, turnover, item, *flags)


def to_trade(symbol: str, item: Any) -> Trade:
    """The trade in one item of a frame for `symbol`, by the core's rules. Raises RejectedValueError.

    `Trade.order` is that of `live_order`.
    """
    if not isinstance(item, dict):
        raise RejectedValueError(Reason.COLUMN_COUNT, str(item)[:200])
    if item.get("s") != symbol:
        raise RejectedValueError(Reason.OTHER_SYMBOL, str(item.get("s"))[:200])
    time_us = _time_of(item)
    if time_us is None:
        raise RejectedValueError(Reason.UNREADABLE_TIME, str(item.get("T"))[:200])
    side = parse_taker_side(_text(item.get("S"), Reason.UNKNOWN_SIDE))
    size = parse_size(_text(item.get("v"), Reason.UNREADABLE_SIZE))
    price = parse_price(_text(item.get("p"), Reason.UNREADABLE_PRICE))
    trade_id = parse_trade_id(_text(item.get("i"), Reason.UNREADABLE_TRADE_ID))
    order = live_order(parse_seq(item.get("seq", 0)), side, price, trade_id)
    flags = parse_flag(item.get("BT")), parse_flag(item.get("RPI"))
    return Trade(symbol, trade_id, time_us, price, size, side, turnover_of(symbol, price, size), order, *flags)


def plain_trade(trade: Trade, seq: int, received: Any = None) -> PlainTrade:
    """A trade with its amounts as text; `seq` is the exchange's, 0 where it gave none."""
    amounts = plain(trade.price), plain(trade.size), plain(trade.turnover)
    side, flags = str(trade.taker_side), (trade.block_trade, trade.rpi)
    return PlainTrade(trade.symbol, trade.trade_id, trade.time_us, seq, side, *amounts, received, *flags)


def parse_seq(value: Any) -> int:
    """The exchange's sequence number, which only breaks ties: 0 for a value of any form but digits or an integer."""
    if isinstance(value, str) and _DIGITS(value):
        value = int(value)
    return value if type(value) is int and 0 <= value < _MAX_SEQ else 0


def _parse_slowly(symbol: str, item: Any) -> ReceivedTrade:
    try:
        return plain_trade(to_trade(symbol, item), parse_seq(item.get("seq", 0)), item)
    except RejectedValueError as error:
        trade_id = item.get("i") if isinstance(item, dict) else None
        return UnreadableTrade(error.reason, _time_of(item), trade_id if isinstance(trade_id, str) else None, item)


def _time_of(item: Any) -> int | None:
    time_ms = item.get("T") if isinstance(item, dict) else None
    return time_ms * MS_US if type(time_ms) is int and 0 < time_ms < _MAX_MS else None


_is_inverse = lru_cache(maxsize=1 << 12)(is_inverse)


# Prices and sizes repeat, so most are read once.
@lru_cache(maxsize=1 << 16)
def _price(text: str) -> tuple[str, int]:
    return _plain_and_units(text, parse_price)


@lru_cache(maxsize=1 << 16)
def _size(text: str) -> tuple[str, int]:
    return _plain_and_units(text, parse_size)


def _plain_and_units(text: str, parse: Callable[[str], Decimal]) -> tuple[str, int]:
    match = _ORDINARY(text)
    if match:
        whole, fraction = match.groups("")
        units = int(whole + fraction.ljust(SCALE, "0"))
        if units:
            fraction = fraction.rstrip("0")
            return (f"{whole}.{fraction}" if fraction else whole), units
    value = parse(text)
    units_or_none = to_units(value)
    assert units_or_none is not None  # parse guarantees it
    return plain(value), units_or_none


def _text(value: Any, reason: Reason) -> str:
    if not isinstance(value, str):
        raise RejectedValueError(reason, str(value)[:200])  # a JSON number was a float on its way
    return value
