"""Bybit's public trades as they come over the websocket and over REST, and how they become ours.

Source of the formats: Bybit's v5 documentation and real frames of 2023 to 2026. `seq` appeared in August 2025, `RPI`
in 2025; neither is needed. Part of the core; anybody may import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

from bitcoin_pipeline.amounts import MAX_TURNOVER_DIGITS, SCALE, divide_half_even, plain, to_units
from bitcoin_pipeline.live.records import encoded_trade
from bitcoin_pipeline.symbols import is_inverse
from bitcoin_pipeline.times import MS_US
from bitcoin_pipeline.trade import (
    TRADE_ID,
    Reason,
    RejectedValueError,
    TakerSide,
    Trade,
    live_order,
    parse_price,
    parse_size,
    parse_taker_side,
    parse_trade_id,
    turnover_of,
)

TOPIC_PREFIX: Final = "publicTrade."
RECENT_TRADES: Final = 1000
"""What REST gives at most: the last ones."""

_MAX_MS: Final = 10**14
_MAX_SEQ: Final = 2**63
_ONE: Final = 10**SCALE
_MAX_TURNOVER: Final = 10 ** (MAX_TURNOVER_DIGITS + SCALE)
_SIDES: Final = frozenset(map(str, TakerSide))
_UUID = re.compile(TRADE_ID).fullmatch
# The ordinary amount; whatever else a number may look like is left to the core's rule.
_ORDINARY = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,9}))?").fullmatch


class MessageError(ValueError):
    """A message of a known kind that is not shaped as that kind is."""


@dataclass(frozen=True, slots=True)
class PublicTradeMessage:
    """One frame of trades. `sent_us`: when the exchange sent it; `items`: its trades, not looked at yet."""

    symbol: str
    sent_us: int
    items: list[Any]


class EncodedTrade(NamedTuple):
    """A trade of which only the record in the topic is wanted."""

    trade_id: str
    time_us: int
    record: bytes


def parse_public_trade(message: Mapping[str, Any]) -> PublicTradeMessage:
    """The frame in a decoded message whose topic begins with `publicTrade.`. Raises MessageError."""
    sent_ms, items = message.get("ts"), message.get("data")
    if type(sent_ms) is not int or not 0 < sent_ms < _MAX_MS:
        raise MessageError(f"ts must be milliseconds, got {sent_ms!r}")
    if type(items) is not list:
        raise MessageError(f"data must be a list of trades, got {str(items)[:100]!r}")
    return PublicTradeMessage(message["topic"].removeprefix(TOPIC_PREFIX), sent_ms * MS_US, items)


def parse_recent_trades(envelope: Any) -> list[Any]:
    """The trades in REST's answer to recent-trade, oldest first, in the websocket's shape. Raises MessageError."""
    result = result_of(envelope)
    items = result.get("list")
    if type(items) is not list:
        raise MessageError(f"list must be a list of trades, got {str(items)[:100]!r}")
    return [_as_on_the_websocket(item) if isinstance(item, dict) else item for item in reversed(items)]


def parse_server_time(envelope: Any) -> int:
    """Microseconds in REST's answer to /v5/market/time. Raises MessageError."""
    nanoseconds = result_of(envelope).get("timeNano")
    if not isinstance(nanoseconds, str) or not re.fullmatch("[0-9]{19}", nanoseconds):
        raise MessageError(f"timeNano must be 19 digits, got {nanoseconds!r}")
    return int(nanoseconds) // 1000


def result_of(envelope: Any) -> Mapping[str, Any]:
    """What a REST v5 answer carries. Raises MessageError unless its retCode is 0."""
    if not isinstance(envelope, dict) or envelope.get("retCode") != 0:
        raise MessageError(f"the exchange answers {str(envelope)[:200]}")
    result = envelope.get("result")
    if not isinstance(result, dict):
        raise MessageError(f"result must be an object, got {str(result)[:100]!r}")
    return result


def time_of(item: Any) -> int | None:
    """Microseconds of a trade on the wire, or None when its time cannot be read."""
    time_ms = item.get("T") if isinstance(item, dict) else None
    return time_ms * MS_US if type(time_ms) is int and 0 < time_ms < _MAX_MS else None


def to_trade(symbol: str, item: Any) -> Trade:
    """The trade in one item of a frame for `symbol`. Raises RejectedValueError.

    `Trade.order` is that of `live_order`.
    """
    if not isinstance(item, dict):
        raise RejectedValueError(Reason.COLUMN_COUNT, str(item)[:200])
    if item.get("s") != symbol:
        raise RejectedValueError(Reason.OTHER_SYMBOL, str(item.get("s"))[:200])
    time_us = time_of(item)
    if time_us is None:
        raise RejectedValueError(Reason.UNREADABLE_TIME, str(item.get("T"))[:200])
    side = parse_taker_side(_text(item.get("S"), Reason.UNKNOWN_SIDE))
    size = parse_size(_text(item.get("v"), Reason.UNREADABLE_SIZE))
    price = parse_price(_text(item.get("p"), Reason.UNREADABLE_PRICE))
    trade_id = parse_trade_id(_text(item.get("i"), Reason.UNREADABLE_TRADE_ID))
    seq = item.get("seq", 0)
    if type(seq) is not int or not 0 <= seq < _MAX_SEQ:
        raise RejectedValueError(Reason.UNREADABLE_SEQUENCE, str(seq)[:200])
    order = live_order(seq, side, price, trade_id)
    return Trade(symbol, trade_id, time_us, price, size, side, turnover_of(symbol, price, size), order)


def encode_trade(symbol: str, item: Any) -> EncodedTrade:
    """`trade_record(to_trade(symbol, item))`, byte for byte, at a fraction of the cost. Raises RejectedValueError."""
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
            and type(seq) is int
            and 0 <= seq < _MAX_SEQ
        )
    except (TypeError, KeyError, AttributeError, RejectedValueError):
        is_ordinary = False  # to_trade says in order what is wrong
    if not is_ordinary:
        return _encode_slowly(symbol, item)
    if _is_inverse(symbol):
        units = divide_half_even(size_units * _ONE, price_units)
    else:
        units, rest = divmod(price_units * size_units, _ONE)
        if rest:
            units = divide_half_even(price_units * size_units, _ONE)
    if units >= _MAX_TURNOVER:
        raise RejectedValueError(Reason.TURNOVER_OUT_OF_RANGE, f"{price} x {size}")
    whole, fraction = divmod(units, _ONE)
    turnover = f"{whole}.{fraction:09d}".rstrip("0") if fraction else str(whole)
    time_us = time_ms * MS_US
    return EncodedTrade(trade_id, time_us, encoded_trade(symbol, trade_id, time_us, seq, side, price, size, turnover))


def _encode_slowly(symbol: str, item: Any) -> EncodedTrade:
    trade = to_trade(symbol, item)
    record = encoded_trade(
        symbol,
        trade.trade_id,
        trade.time_us,
        item.get("seq", 0),
        str(trade.taker_side),
        plain(trade.price),
        plain(trade.size),
        plain(trade.turnover),
    )
    return EncodedTrade(trade.trade_id, trade.time_us, record)


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
    assert units_or_none is not None  # parse has seen to it
    return plain(value), units_or_none


def _text(value: Any, reason: Reason) -> str:
    if not isinstance(value, str):
        raise RejectedValueError(reason, str(value)[:200])  # a JSON number has been a float on its way
    return value


def _as_on_the_websocket(item: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {
        "T": _integer(item.get("time")),
        "s": item.get("symbol"),
        "S": item.get("side"),
        "v": item.get("size"),
        "p": item.get("price"),
        "i": item.get("execId"),
    }
    return {**renamed, "seq": _integer(item["seq"])} if item.get("seq", "") != "" else renamed


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value) else value
