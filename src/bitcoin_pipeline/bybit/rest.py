"""Bybit's public REST v5 calls: their paths and queries, and what their answers, once decoded, carry.

Source of the formats: Bybit's v5 documentation. Errors come with HTTP status 200 and a `retCode` other than 0. Part of
the core; every module but the base modules may import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bitcoin_pipeline.bybit.frames import ReceivedTrade, parse_trade

SERVER_TIME_PATH: Final = "/v5/market/time"
RECENT_TRADES_PATH: Final = "/v5/market/recent-trade"
RECENT_TRADES: Final = 1000
"""Upper bound on the trades in one answer to recent-trade, which are a symbol's last ones."""


class EnvelopeError(ValueError):
    """An answer that is an error of the exchange, or does not have the shape of the call's answers."""


def recent_trades_query(symbol: str, limit: int = RECENT_TRADES) -> dict[str, str]:
    """The query of recent-trade for a linear symbol's last `limit` trades."""
    return {"category": "linear", "symbol": symbol, "limit": str(limit)}


def parse_recent_trades(symbol: str, envelope: Any) -> list[ReceivedTrade]:
    """The trades in an answer to recent-trade for `symbol`, oldest first. Raises EnvelopeError."""
    items = _result_of(envelope).get("list")
    if type(items) is not list:
        raise EnvelopeError(f"list must be a list of trades, got {str(items)[:100]!r}")
    return [parse_trade(symbol, _as_in_frames(item) if isinstance(item, dict) else item) for item in reversed(items)]


def parse_server_time(envelope: Any) -> int:
    """Microseconds UTC in an answer to /v5/market/time. Raises EnvelopeError."""
    nanoseconds = _result_of(envelope).get("timeNano")
    if not isinstance(nanoseconds, str) or not re.fullmatch("[0-9]{19}", nanoseconds):
        raise EnvelopeError(f"timeNano must be 19 digits, got {nanoseconds!r}")
    return int(nanoseconds) // 1000


def _result_of(envelope: Any) -> Mapping[str, Any]:
    if not isinstance(envelope, dict) or envelope.get("retCode") != 0:
        raise EnvelopeError(f"the exchange answers {str(envelope)[:200]}")
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
    return {**renamed, "seq": _integer(item["seq"])} if item.get("seq", "") != "" else renamed


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value) else value
