"""The health port: /live answers 200 while the process works, /ready while trades are proven.

Part of the producer. It is served from the start on, also while the broker is away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from producer.connections import Connections


@asynccontextmanager
async def serve_health(found: Callable[[], Connections | None], host: str, port: int) -> AsyncIterator[None]:
    """Serve on host and port as long as the context lasts. Raises OSError when the port is taken.

    `found` returns the connections, None before there are any.
    """

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(request: web.Request) -> web.Response:
        connections = found()
        if connections is None:
            return web.json_response({"status": "the broker does not answer"}, status=503)
        return web.json_response(connections.state(), status=200 if connections.is_ready() else 503)

    application = web.Application()
    application.add_routes([web.get("/live", live), web.get("/ready", ready)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
