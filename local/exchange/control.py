"""The control interface below /control/: health, the faults that are set, and what the market has played.

Part of the exchange simulator; the real exchange has no such interface.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from aiohttp import web

from bitcoin_pipeline.adapters.stdout import log
from local.exchange.live.faults import LIVE_KINDS, LiveFault
from local.exchange.live.market import LiveMarket
from local.exchange.shared.faults import BAN, Fault, FaultError, Faults, parse_fault
from local.exchange.shared.rate_limit import RateLimit

_PIECE_BYTES = 1 << 18


class Control:
    """The handlers of the control interface."""

    def __init__(self, faults: Faults, rate_limit: RateLimit, live: LiveMarket | None) -> None:
        self._faults = faults
        self._rate_limit = rate_limit
        self._live = live

    def routes(self) -> list[web.RouteDef]:
        """The routes of the control interface."""
        return [
            web.get("/control/health", self.health),
            web.get("/control/faults", self.list_faults),
            web.post("/control/faults", self.set_fault),
            web.delete("/control/faults", self.clear_faults),
            web.get("/control/market", self.market),
            web.get("/control/trades", self.trades),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """200 whenever the server answers."""
        return web.json_response({"status": "ok"})

    async def list_faults(self, request: web.Request) -> web.Response:
        """The faults that are set, and the seconds until the ban of the caller's address ends."""
        seconds = self._rate_limit.seconds_left(request.remote or "")
        faults = [*self._faults, *(self._live.faults if self._live else ())]
        return web.json_response({"faults": [fault.as_json() for fault in faults], "banned_seconds": seconds})

    async def set_fault(self, request: web.Request) -> web.Response:
        """Set the fault in the body; a wrong one gets 400 with the valid values."""
        fault: Fault | LiveFault
        try:
            given = json.loads(await request.read())
            if self._live and isinstance(given, dict) and given.get("fault") in tuple(LIVE_KINDS):
                fault = self._live.apply_fault(given)
            else:
                fault = self._set(parse_fault(given, tuple(LIVE_KINDS) if self._live else ()))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            return _bad_request(f"the body is not JSON: {error}")
        except FaultError as error:
            return _bad_request(str(error))
        log("INFO", "fault set", **fault.as_json())
        return web.json_response(fault.as_json(), status=HTTPStatus.CREATED)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Clear every fault and end every ban."""
        self._faults.clear()
        if self._live:
            self._live.faults.clear()
        for rate_limit in self._guards():
            rate_limit.lift_bans()
        log("INFO", "faults cleared")
        return web.Response(status=HTTPStatus.NO_CONTENT)

    def _set(self, fault: Fault) -> Fault:
        if fault.kind == BAN:
            for rate_limit in self._guards():
                rate_limit.ban_all(fault.value)
        else:
            self._faults.add(fault)
        return fault

    def _guards(self) -> tuple[RateLimit, ...]:
        return (self._rate_limit, *(self._live.rate_limits if self._live else ()))

    async def market(self, request: web.Request) -> web.Response:
        """The state of the played market; 404 where there is none."""
        if self._live is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return web.json_response(self._live.as_json())

    async def trades(self, request: web.Request) -> web.StreamResponse:
        """Every trade of `symbol` that was played so far, in that order, one JSON object a line."""
        symbol = request.query.get("symbol", "")
        trades = self._live.playback.history.file(symbol) if self._live else None
        if trades is None:
            return web.Response(text="", content_type="application/x-ndjson")
        # Only the trades up to this request: the file grows while it is sent.
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        response.content_length = left = trades.stat().st_size
        await response.prepare(request)
        with trades.open("rb") as file:
            while left:
                piece = file.read(min(left, _PIECE_BYTES))
                left -= len(piece)
                await response.write(piece)
        return response


def _bad_request(message: str) -> web.Response:
    return web.json_response({"error": message}, status=HTTPStatus.BAD_REQUEST)
