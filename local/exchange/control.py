"""/control/: whether the simulator is well, and the faults that it is to show.

Part of the exchange simulator; the real exchange has nothing like it.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from aiohttp import web

from local.exchange.events import log_event
from local.exchange.faults import BAN, Fault, FaultError, Faults, parse_fault
from local.exchange.guard import Guard
from local.exchange.live import Live
from local.exchange.live_faults import LIVE_KINDS, LiveFault

_PIECE = 1 << 18


class Control:
    """Answers for everything below /control/."""

    def __init__(self, faults: Faults, guard: Guard, live: Live | None) -> None:
        self._faults = faults
        self._guard = guard
        self._live = live

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this."""
        return [
            web.get("/control/health", self.health),
            web.get("/control/faults", self.list_faults),
            web.post("/control/faults", self.set_fault),
            web.delete("/control/faults", self.clear_faults),
            web.get("/control/market", self.market),
            web.get("/control/trades", self.trades),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """200 as long as the server answers at all."""
        return web.json_response({"status": "ok"})

    async def list_faults(self, request: web.Request) -> web.Response:
        """The faults that are set and how long the caller's address is still banned."""
        seconds = self._guard.seconds_left(request.remote or "")
        faults = [*self._faults, *(self._live.faults if self._live else ())]
        return web.json_response({"faults": [fault.as_json() for fault in faults], "banned_seconds": seconds})

    async def set_fault(self, request: web.Request) -> web.Response:
        """Set the fault in the body; 400 says what is valid."""
        fault: Fault | LiveFault
        try:
            given = json.loads(await request.read())
            if self._live and isinstance(given, dict) and given.get("fault") in tuple(LIVE_KINDS):
                fault = self._live.show(given)
            else:
                fault = self._set(parse_fault(given, tuple(LIVE_KINDS) if self._live else ()))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            return _bad_request(f"the body is not JSON: {error}")
        except FaultError as error:
            return _bad_request(str(error))
        log_event("fault set", **fault.as_json())
        return web.json_response(fault.as_json(), status=HTTPStatus.CREATED)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Forget all faults and end every ban."""
        self._faults.clear()
        if self._live:
            self._live.faults.clear()
        for guard in self._guards():
            guard.pardon_all()
        log_event("faults cleared")
        return web.Response(status=HTTPStatus.NO_CONTENT)

    def _set(self, fault: Fault) -> Fault:
        if fault.kind == BAN:
            for guard in self._guards():
                guard.ban_all(fault.value)
        else:
            self._faults.add(fault)
        return fault

    def _guards(self) -> tuple[Guard, ...]:
        return (self._guard, *(self._live.guards if self._live else ()))

    async def market(self, request: web.Request) -> web.Response:
        """What the market has played so far; 404 without one."""
        if self._live is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return web.json_response(self._live.as_json())

    async def trades(self, request: web.Request) -> web.StreamResponse:
        """Every trade of `symbol` that the market has made so far, in that order, one JSON object a line."""
        symbol = request.query.get("symbol", "")
        log = self._live.playback.tape.log(symbol) if self._live else None
        if log is None:
            return web.Response(text="", content_type="application/x-ndjson")
        # Only what was there when the client asked: the file grows while it is sent.
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        response.content_length = left = log.stat().st_size
        await response.prepare(request)
        with log.open("rb") as file:
            while left:
                piece = file.read(min(left, _PIECE))
                left -= len(piece)
                await response.write(piece)
        return response


def _bad_request(message: str) -> web.Response:
    return web.json_response({"error": message}, status=HTTPStatus.BAD_REQUEST)
