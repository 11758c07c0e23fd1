"""The call of Bybit's REST for each request of the live feed; no I/O.

Part of the core; every module but the base modules and `bybit` may import it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from bitcoin_pipeline.bybit.rest import (
    INSTRUMENT_PATH,
    KLINE_PATH,
    RECENT_TRADES_PATH,
    SERVER_TIME_PATH,
    instrument_query,
    klines_query,
    parse_instrument_status,
    parse_klines,
    parse_recent_trades,
    parse_server_time,
    recent_trades_query,
)
from bitcoin_pipeline.live.actions import AskKlines, AskRecentTrades, AskServerTime, AskStatus, Request


class RestCall(NamedTuple):
    """A call of REST. `parse` reads the decoded answer for `LiveFeed.answered`; it raises EnvelopeError."""

    path: str
    query: Mapping[str, str]
    parse: Callable[[Any], Any]


def call_of(request: Request) -> RestCall:
    """The call that answers the request."""
    match request:
        case AskServerTime():
            return RestCall(SERVER_TIME_PATH, {}, parse_server_time)
        case AskRecentTrades(symbol, _, limit):
            return RestCall(
                RECENT_TRADES_PATH, recent_trades_query(symbol, limit), partial(parse_recent_trades, symbol)
            )
        case AskKlines(symbol, _, start_us, limit):
            return RestCall(KLINE_PATH, klines_query(symbol, start_us, limit), partial(parse_klines, symbol))
        case AskStatus(symbol):
            return RestCall(INSTRUMENT_PATH, instrument_query(symbol), partial(parse_instrument_status, symbol))
