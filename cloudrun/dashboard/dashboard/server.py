"""The server: the application wired together, served by uvicorn until a signal.

Part of the dashboard. One process, one event loop.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from bitcoin_pipeline.adapters.stdout import log
from dashboard.api import add_routes
from dashboard.backend import Backend
from dashboard.cache import Cache
from dashboard.clock import monotonic
from dashboard.coverage import Coverage
from dashboard.page import add_page
from dashboard.postgres import Postgres
from dashboard.recent_trades import RecentTrades
from dashboard.settings import Settings, opening_symbol
from dashboard.stream import Hub
from dashboard.warehouse import Warehouse

GRACE_S: Final = 5
"""Time for requests under way after SIGTERM; Cloud Run ends the process five seconds later."""


class Server(uvicorn.Server):
    """uvicorn, which waits for open responses at a signal: the streams end then, and resume at another instance."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the streams and the server.

        uvicorn's own method would also raise the signal again at the end, as if the requested stop were a failure.
        """
        log("INFO", "dashboard stops", signal=signal.Signals(sig).name, viewers=self._hub.viewers)
        self._hub.close()
        self.should_exit = True


def application(settings: Settings) -> tuple[FastAPI, Backend]:
    """The application, and the backend that runs for as long as the application does."""
    warehouse = Warehouse(settings.project, settings.location)
    cache = Cache(warehouse, settings.cache_rows, monotonic)
    hub = Hub(cache, monotonic)
    coverage = Coverage(warehouse, cache, settings.symbols, monotonic)
    backend = Backend(cache, hub, Postgres(), coverage, RecentTrades(settings.client_config()), monotonic)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with backend.running():
            log("INFO", "dashboard started", port=settings.port)
            yield
        log("INFO", "dashboard stopped")

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(app, backend)
    add_page(app, opening_symbol(settings.symbols))
    return app, backend


def serve(settings: Settings) -> bool:
    """Serve until SIGTERM or SIGINT. False after a fault of the program itself.

    A query to an upstream that hangs may go on in a thread.
    """
    app, backend = application(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    Server(config, backend.hub).run()
    return not backend.has_failed
