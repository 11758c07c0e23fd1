"""The simulator's one application, put together from the route tables of its hosts.

Part of the exchange simulator; tests start it in their own process with clocks of their own.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from local.exchange import archive
from local.exchange.archive import Archive, page
from local.exchange.bucket import Bucket
from local.exchange.control import Control
from local.exchange.events import log_event
from local.exchange.faults import STATUS, Faults
from local.exchange.guard import Guard
from local.exchange.live import Live
from local.exchange.publication import Opener, Publication


def exchange(publication: Publication, guard: Guard, live: Live | None = None) -> web.Application:
    """An application that serves what `publication` holds, to whom `guard` admits, and the `live` market if any."""
    faults, opener = Faults(), Opener()
    application = web.Application(middlewares=[_guarded(guard), _faulty(faults)])
    application.add_routes(Archive(publication, opener, faults).routes())
    application.add_routes(Bucket(publication, opener).routes())
    application.add_routes(Control(faults, guard, live).routes())
    if live is not None:
        application.add_routes(live.routes())
        application.cleanup_ctx.append(live.run)
        application.on_shutdown.append(live.hang_up)
    return application


def _guarded(guard: Guard) -> Middleware:
    """The public host's manners: no User-Agent, no answer; too many requests, a ban."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(archive.PREFIX):
            return await handler(request)
        address = request.remote or ""
        was_banned = guard.seconds_left(address) > 0
        if not guard.admit(address):
            if not was_banned:
                log_event("address banned", address=address, seconds=guard.ban_seconds)
            return page(HTTPStatus.FORBIDDEN)
        if not request.headers.get("User-Agent"):
            return page(HTTPStatus.FORBIDDEN)
        return await handler(request)

    return refuse


def _faulty(faults: Faults) -> Middleware:
    """Answers with a status where that fault is set; the simulator's own control is spared."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/control/"):
            code = faults.take(STATUS, request.path)
            if code is not None:
                return web.Response(
                    status=int(code), content_type="text/html", text=f"<html><body><h1>{code}</h1></body></html>\n"
                )
        return await handler(request)

    return answer
