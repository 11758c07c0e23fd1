"""Bybit's public REST v5 calls: their paths and queries, and what their answers, once decoded, carry.

Source of the formats: Bybit's v5 documentation. Errors come with HTTP status 200 and a `retCode` other than 0. Part of
the core; every module but the base modules may import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bitcoin_pipeline.bybit.frames import MessageError, ReceivedTrade, parse_trade
from bitcoin_pipeline.bybit.klines import Kline, parse_kline
from bitcoin_pipeline.times import MINUTE_US, MS_US

SERVER_TIME_PATH: Final = "/v5/market/time"
KLINE_PATH: Final = "/v5/market/kline"
INSTRUMENT_PATH: Final = "/v5/market/instruments-info"
RECENT_TRADES_PATH: Final = "/v5/market/recent-trade"
RECENT_TRADES: Final = 1000
"""Upper bound on the trades in one answer to recent-trade, which are a symbol's last ones."""
_MAX_MS: Final = 10**14
_DIGITS: Final = re.compile("[0-9]{1,19}").fullmatch


TOO_MANY_VISITS: Final = 10006
"""The `retCode` of a refusal because of too many requests."""
CLOSED: Final = "Closed"
"""The status of a symbol that is traded no more."""


class EnvelopeError(ValueError):
    """An answer that is an error of the exchange, or does not have the shape of the call's answers.

    `code`: the exchange's `retCode` where there is one.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code: Final = code


class RecentTrades(NamedTuple):
    """The last trades of a symbol, oldest first. `time_us`: the exchange's time of the answer, None if it has none."""

    trades: list[ReceivedTrade]
    time_us: int | None


def recent_trades_query(symbol: str, limit: int = RECENT_TRADES) -> dict[str, str]:
    """The query of recent-trade for a linear symbol's last `limit` trades."""
    return {"category": "linear", "symbol": symbol, "limit": str(limit)}


def parse_recent_trades(symbol: str, envelope: Any) -> RecentTrades:
    """The trades in an answer to recent-trade for `symbol`. Raises EnvelopeError."""
    items = _list_of(envelope)
    trades = [parse_trade(symbol, _as_in_frames(item) if isinstance(item, dict) else item) for item in reversed(items)]
    time_ms = envelope.get("time")
    return RecentTrades(trades, time_ms * MS_US if type(time_ms) is int and 0 < time_ms < _MAX_MS else None)


def klines_query(symbol: str, start_us: int, limit: int) -> dict[str, str]:
    """The query of kline for `limit` minutes of a linear symbol from `start_us` on."""
    end_us = start_us + (limit - 1) * MINUTE_US
    times = {"start": str(start_us // MS_US), "end": str(end_us // MS_US)}
    return {"category": "linear", "symbol": symbol, "interval": "1", **times, "limit": str(limit)}


def parse_klines(symbol: str, envelope: Any) -> list[Kline]:
    """The klines in an answer to kline, oldest first; one is closed if a later one is listed. Raises EnvelopeError."""
    try:
        rows = [parse_kline(symbol, _integer(item[0]), item[5], item[6], is_closed=True) for item in _list_of(envelope)]
    except (TypeError, LookupError, MessageError) as error:
        raise EnvelopeError(f"a kline is start, open, high, low, close, volume, turnover: {error}") from error
    rows.sort()
    return [*rows[:-1], *(row._replace(is_closed=False) for row in rows[-1:])]


def instrument_query(symbol: str) -> dict[str, str]:
    """The query of instruments-info for a linear symbol."""
    return {"category": "linear", "symbol": symbol}


def parse_instrument_status(symbol: str, envelope: Any) -> str | None:
    """The status of `symbol` in an answer to instruments-info, None if it is not listed. Raises EnvelopeError."""
    found = [item for item in _list_of(envelope) if isinstance(item, dict) and item.get("symbol") == symbol]
    return str(found[0].get("status")) if found else None


def parse_server_time(envelope: Any) -> int:
    """Microseconds UTC in an answer to /v5/market/time. Raises EnvelopeError."""
    nanoseconds = _result_of(envelope).get("timeNano")
    if not isinstance(nanoseconds, str) or not re.fullmatch("[0-9]{19}", nanoseconds):
        raise EnvelopeError(f"timeNano must be 19 digits, got {nanoseconds!r}")
    return int(nanoseconds) // 1000


def _list_of(envelope: Any) -> list[Any]:
    items = _result_of(envelope).get("list")
    if type(items) is not list:
        raise EnvelopeError(f"list must be a list, got {str(items)[:100]!r}")
    return items


def _result_of(envelope: Any) -> Mapping[str, Any]:
    if not isinstance(envelope, dict) or envelope.get("retCode") != 0:
        code = envelope.get("retCode") if isinstance(envelope, dict) else None
        raise EnvelopeError(f"the exchange answers {str(envelope)[:200]}", code if type(code) is int else None)
    result = envelope.get("result")
    if not isinstance(result, dict):
        raise EnvelopeError(f"result must be an object, got {str(result)[:100]!r}")
    return result


def _as_in_frames(item: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {
        "T": _integer(item.get("time")),
        "s": item.get("symbol"),
        "S": item.get("side"),
        "v": item.get("size"),
        "p": item.get("price"),
        "i": item.get("execId"),
        "BT": item.get("isBlockTrade"),
        "RPI": item.get("isRPITrade"),
    }
    return {**renamed, "seq": item["seq"]} if item.get("seq", "") != "" else renamed


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _DIGITS(value) else value
