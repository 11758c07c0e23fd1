"""The REST calls below /v5/market/ of the played market.

Part of the exchange simulator. Errors are HTTP 200 with a retCode; only an address that asks too often gets a 403.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import orjson
from aiohttp import web

from local.exchange.archive import page
from local.exchange.events import log_event
from local.exchange.guard import Guard
from local.exchange.live_faults import REST_DOWN, LiveFaults
from local.exchange.market import PROFILES
from local.exchange.playback import Playback
from local.exchange.sources import symbols_of
from local.exchange.tape import RECENT_TRADES

PREFIX: Final = "/v5/market/"

REQUESTS: Final = 600
REQUESTS_SECONDS: Final = 5.0
"""So many requests an address may make in so many seconds."""

BAN_SECONDS: Final = 600.0
"""How long an address that asked more is refused."""

_PARAMETER_ERROR: Final = 10001
_MAX_KLINES: Final = 1000
_QUOTES: Final = ("USDT", "USDC", "PERP", "USD")


_FAILURES: Final = {
    "too_many_visits": (10006, "Too many visits!"),
    "server_error": (10016, "Server error."),
}
_HANG_LOOK_SECONDS: Final = 0.1


class ParameterError(ValueError):
    """A request that the exchange answers with retCode 10001; the message is its retMsg."""


class Rest:
    """Answers for the market data of linear symbols."""

    def __init__(self, playback: Playback, faults: LiveFaults, guard: Guard) -> None:
        self._playback = playback
        self._faults = faults
        self._guard = guard
        self._calls = {
            "recent-trade": self._recent_trade,
            "kline": self._kline,
            "instruments-info": self._instruments_info,
            "time": self._time,
        }

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this."""
        return [web.get(PREFIX + "{call}", self.answer)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The call's result in the exchange's envelope, or what is wrong with it."""
        if not self._guard.admit(request.remote or ""):
            return page(HTTPStatus.FORBIDDEN)
        call = self._calls.get(request.match_info["call"])
        if call is None:
            return page(HTTPStatus.NOT_FOUND)
        now_ms = self._playback.now_ms()
        down = self._faults.get(REST_DOWN)
        if down is not None:
            return await self._fail(request, down.what or "close", now_ms)
        try:
            result = call(request.query, now_ms)
        except ParameterError as error:
            return _envelope(_PARAMETER_ERROR, str(error), {}, now_ms)
        return _envelope(0, "OK", result, now_ms)

    async def _fail(self, request: web.Request, how: str, now_ms: int) -> web.StreamResponse:
        if how in _FAILURES:
            return _envelope(*_FAILURES[how], {}, now_ms)
        while how == "hang" and request.transport is not None and self._faults.get(REST_DOWN):
            await asyncio.sleep(_HANG_LOOK_SECONDS)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _time(self, query: Mapping[str, str], now_ms: int) -> dict[str, Any]:
        return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}

    def _recent_trade(self, query: Mapping[str, str], now_ms: int) -> dict[str, Any]:
        symbol = self._symbol(query)
        trades = self._playback.tape.recent(symbol, _limit(query, 500, RECENT_TRADES))
        # Seldom asked, and the only witness of how far back a client could see.
        oldest_ms = trades[-1]["T"] if trades else None
        log_event("recent trades given", symbol=symbol, time=now_ms, trades=len(trades), oldest=oldest_ms)
        return {
            "category": "linear",
            "list": [
                {
                    "execId": trade["i"],
                    "symbol": symbol,
                    "price": trade["p"],
                    "size": trade["v"],
                    "side": trade["S"],
                    "time": str(trade["T"]),
                    "isBlockTrade": trade.get("BT", False),
                    "isRPITrade": trade.get("RPI", False),
                    "seq": str(trade.get("seq", "")),
                }
                for trade in trades
            ],
        }

    def _kline(self, query: Mapping[str, str], now_ms: int) -> dict[str, Any]:
        symbol = self._symbol(query)
        if query.get("interval") != "1":
            raise ParameterError("Invalid period!")
        to_ms = min(_number(query, "end", now_ms), now_ms)
        klines = self._playback.tape.klines(symbol, _number(query, "start", 0), to_ms)
        return {
            "symbol": symbol,
            "category": "linear",
            "list": list(islice(klines, _limit(query, 200, _MAX_KLINES))),
        }

    def _instruments_info(self, query: Mapping[str, str], now_ms: int) -> dict[str, Any]:
        _check_category(query)
        symbols = [self._symbol(query)] if "symbol" in query else symbols_of(self._playback.topics)
        return {"category": "linear", "list": [self._instrument(symbol) for symbol in symbols], "nextPageCursor": ""}

    def _instrument(self, symbol: str) -> dict[str, Any]:
        quote = next((quote for quote in _QUOTES if symbol.endswith(quote)), "")
        profile = PROFILES.get(symbol)
        return {
            "symbol": symbol,
            "contractType": "LinearPerpetual",
            "status": "Trading",
            "baseCoin": symbol.removesuffix(quote),
            "quoteCoin": "USDC" if quote == "PERP" else quote,
            # What is not known of a recorded symbol is not told.
            "priceFilter": {"tickSize": profile.tick} if profile else {},
            "lotSizeFilter": {"qtyStep": profile.lot} if profile else {},
        }

    def _symbol(self, query: Mapping[str, str]) -> str:
        _check_category(query)
        symbol = query.get("symbol", "")
        if symbol not in symbols_of(self._playback.topics):
            raise ParameterError("params error: symbol invalid")
        return symbol


def _check_category(query: Mapping[str, str]) -> None:
    if query.get("category") != "linear":
        raise ParameterError("Illegal category")


def _limit(query: Mapping[str, str], default: int, most: int) -> int:
    limit = _number(query, "limit", default)
    if limit < 1:
        raise ParameterError(f"params error: limit invalid {limit}")
    return min(limit, most)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ParameterError(f"params error: {name} invalid {text}")
    return int(text)


def _envelope(code: int, message: str, result: dict[str, Any], now_ms: int) -> web.Response:
    body = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now_ms}
    return web.Response(body=orjson.dumps(body), content_type="application/json")
