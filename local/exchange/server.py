"""The web application of the simulator: the routes of all its hosts, its rate limit and its faults.

Part of the exchange simulator; tests start it in their own process with clocks of their own.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bitcoin_pipeline.adapters.stdout import log
from local.exchange.archive.bucket import Bucket
from local.exchange.archive.host import PREFIX, ArchiveHost
from local.exchange.archive.publication import Opener, Publication
from local.exchange.control import Control
from local.exchange.live.market import LiveMarket
from local.exchange.shared.error_page import error_page
from local.exchange.shared.faults import STATUS, Faults
from local.exchange.shared.rate_limit import RateLimit


def exchange(publication: Publication, rate_limit: RateLimit, live: LiveMarket | None = None) -> web.Application:
    """The application that serves the files of `publication`, within `rate_limit`, and the `live` market if any."""
    faults, opener = Faults(), Opener()
    application = web.Application(middlewares=[_limited(rate_limit), _faulty(faults)])
    application.add_routes(ArchiveHost(publication, opener, faults).routes())
    application.add_routes(Bucket(publication, opener).routes())
    application.add_routes(Control(faults, rate_limit, live).routes())
    if live is not None:
        application.add_routes(live.routes())
        application.cleanup_ctx.append(live.run)
        application.on_shutdown.append(live.disconnect_all)
    return application


def _limited(rate_limit: RateLimit) -> Middleware:
    """Refuse requests to the archive as its public host does: those without User-Agent, and those beyond the limit."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(PREFIX):
            return await handler(request)
        address = request.remote or ""
        was_banned = rate_limit.seconds_left(address) > 0
        if not rate_limit.admit(address):
            if not was_banned:
                log("INFO", "address banned", address=address, seconds=rate_limit.ban_seconds)
            return error_page(HTTPStatus.FORBIDDEN)
        if not request.headers.get("User-Agent"):
            return error_page(HTTPStatus.FORBIDDEN)
        return await handler(request)

    return refuse


def _faulty(faults: Faults) -> Middleware:
    """Answer with an error status on the paths where that fault is set; never on the control interface."""

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
