"""The REST calls of the played market, below /v5/market/.

Part of the exchange simulator. Errors are HTTP 200 with a retCode; an address beyond the rate limit gets a 403.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import orjson
from aiohttp import web

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.bybit.rest import RECENT_TRADES
from local.exchange.live.faults import ABSURD_PAGE, REST_DOWN, REST_STALE, REST_TIME, STALE_ANSWER, LiveFaults
from local.exchange.live.garbage import absurd_trade
from local.exchange.live.playback import Playback
from local.exchange.live.sources import symbols_of
from local.exchange.shared.error_page import error_page
from local.exchange.shared.rate_limit import RateLimit
from local.exchange.synthetic.profiles import profile_of

PREFIX: Final = "/v5/market/"
"""The beginning of every path of these calls."""

REQUESTS: Final = 600
"""Number of requests that an address may make in `REQUESTS_SECONDS`."""
REQUESTS_SECONDS: Final = 5.0

BAN_SECONDS: Final = 600.0
"""Length of the ban of an address that exceeds the rate limit."""

_PARAMETER_ERROR: Final = 10001
_MAX_KLINES: Final = 1000
_QUOTES: Final = ("USDT", "USDC", "PERP", "USD")

_TOO_MANY_VISITS: Final = 10006
_RESET_HEADER: Final = "X-Bapi-Limit-Reset-Timestamp"
"""Header with the milliseconds at which an address that exceeded a limit may request again."""

_FAILURES: Final = {
    "too_many_visits": (_TOO_MANY_VISITS, "Too many visits!"),
    "server_error": (10016, "Server error."),
}
"""retCode and retMsg of the failures that are answers."""
_HANG_POLL_SECONDS: Final = 0.1
"""Interval at which a request that hangs checks whether the fault lasts still."""


class ParameterError(ValueError):
    """A wrong parameter, which the exchange answers with retCode 10001; the message is the retMsg."""


class RestHost:
    """The handler of the market data calls for linear symbols."""

    def __init__(self, playback: Playback, faults: LiveFaults, rate_limit: RateLimit) -> None:
        self._playback = playback
        self._faults = faults
        self._rate_limit = rate_limit
        self._calls = {
            "recent-trade": self._recent_trade,
            "kline": self._kline,
            "instruments-info": self._instruments_info,
            "time": self._time,
        }

    def routes(self) -> list[web.RouteDef]:
        """The routes of these calls."""
        return [web.get(PREFIX + "{call}", self.answer)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The result of a call, or its error, in the exchange's envelope."""
        if not self._rate_limit.admit(request.remote or ""):
            return error_page(HTTPStatus.FORBIDDEN)
        call = self._calls.get(request.match_info["call"])
        if call is None:
            return error_page(HTTPStatus.NOT_FOUND)
        now_ms = self._playback.now_ms()
        shown_ms = self._shown_ms(now_ms)
        down = self._faults.get(REST_DOWN)
        if down is not None:
            return await self._fail(request, down.what or "close", shown_ms)
        try:
            result = call(request.query, now_ms)
        except ParameterError as error:
            return _envelope(_PARAMETER_ERROR, str(error), {}, shown_ms)
        return _envelope(0, "OK", result, shown_ms)

    def _shown_ms(self, now_ms: int) -> int:
        """The exchange's time as REST reports it."""
        stale, wrong = self._faults.get(REST_STALE), self._faults.get(REST_TIME)
        if stale and stale.what == STALE_ANSWER:
            now_ms -= stale.milliseconds
        return now_ms + (wrong.milliseconds if wrong else 0)

    def _until_ms(self, now_ms: int) -> float:
        """The time of the newest data that REST has."""
        stale = self._faults.get(REST_STALE)
        return now_ms - stale.milliseconds if stale else math.inf

    async def _fail(self, request: web.Request, how: str, now_ms: int) -> web.StreamResponse:
        if how == "forbidden":
            return error_page(HTTPStatus.FORBIDDEN)
        if how in _FAILURES:
            return self._refusal(*_FAILURES[how], now_ms)
        while how == "hang" and request.transport is not None and self._faults.get(REST_DOWN):
            await asyncio.sleep(_HANG_POLL_SECONDS)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _refusal(self, code: int, message: str, now_ms: int) -> web.Response:
        response = _envelope(code, message, {}, now_ms)
        seconds = next((fault.seconds for fault in self._faults if fault.kind == REST_DOWN), None)
        if code == _TOO_MANY_VISITS and seconds is not None:
            response.headers[_RESET_HEADER] = str(now_ms + math.ceil(seconds * 1000))
        return response

    def _time(self, query: Mapping[str, str], now_ms: int) -> dict[str, Any]:
        now_ms = self._shown_ms(now_ms)
        return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}

    def _recent_trade(self, query: Mapping[str, str], now_ms: int) -> dict[str, Any]:
        symbol = self._symbol(query)
        trades = self._playback.history.recent(symbol, _limit(query, 500, RECENT_TRADES), self._until_ms(now_ms))
        absurd = self._faults.get(ABSURD_PAGE, symbol)
        if absurd and trades:
            trades[-1] = absurd_trade(symbol, trades[-1]["p"], now_ms + absurd.milliseconds)
        # This call is rare, and the log is the only record of how far back its answer reached.
        oldest_ms = trades[-1]["T"] if trades else None
        log("INFO", "recent trades served", symbol=symbol, time=now_ms, trades=len(trades), oldest=oldest_ms)
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
        from_ms, to_ms = _number(query, "start", 0), min(_number(query, "end", now_ms), now_ms)
        klines = self._playback.history.klines(symbol, from_ms, to_ms, self._until_ms(now_ms))
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
        profile = profile_of(symbol)
        return {
            "symbol": symbol,
            "contractType": "LinearPerpetual",
            "status": "Trading",
            "baseCoin": symbol.removesuffix(quote),
            "quoteCoin": "USDC" if quote == "PERP" else quote,
            # The steps of a recorded symbol are unknown, so they are left out.
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
