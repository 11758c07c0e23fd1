"""The dashboard: a page of live candles, the tape, history and what is known of both, for as many as look.

An entry point; nobody imports it. One process, one event loop: SIGTERM ends the streams, which resume at another
instance, and then the server.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.broker import BrokerSettings
from bitcoin_pipeline.settings import SettingsError, parse_port, read_settings, setting, whole
from bitcoin_pipeline.symbols import parse_symbols
from dashboard.api import add_routes
from dashboard.cache import Cache
from dashboard.page import add_page
from dashboard.postgres import Postgres
from dashboard.service import Service
from dashboard.stream import Hub
from dashboard.tape import Tape
from dashboard.warehouse import Warehouse

GRACE_SECONDS = 5
"""For answers under way; Cloud Run kills ten seconds after SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BrokerSettings):
    """What the environment decides; libpq reads PGHOST and its like itself, here they are only missed in time."""

    project: str = setting("GOOGLE_CLOUD_PROJECT", "the project of the dataset market")
    postgres_host: str = setting("PGHOST", "Postgres' address")
    symbols: tuple[str, ...] = setting(
        "PIPELINE_SYMBOLS", "offered even before they have data", parse_symbols, ("BTCUSDT",)
    )
    cache_rows: int = setting(
        "DASHBOARD_CACHE_ROWS", "rows of history held in DuckDB", whole("rows", 999_999_999, least=1), 1_000_000
    )
    host: str = setting("HOST", "where the server listens", str, "127.0.0.1")
    port: int = setting("PORT", "its port", parse_port, 8080)


class Server(uvicorn.Server):
    """uvicorn, which waits for open responses: at a signal the streams are told to end."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn, which would also raise the signal again in the end: a stop that was asked for is no failure."""
        log("INFO", "dashboard stops", signal=signal.Signals(sig).name, viewers=self._hub.viewers)
        self._hub.close()
        self.should_exit = True


def application(settings: Settings) -> tuple[FastAPI, Service]:
    """The server's application and what runs behind it."""
    warehouse = Warehouse(settings.project)
    cache = Cache(warehouse, settings.cache_rows, time.monotonic)
    hub = Hub(cache, time.monotonic)
    tape = Tape(settings.client_config())
    service = Service(cache, hub, Postgres(), warehouse, tape, settings.symbols, time.monotonic)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            log("INFO", "dashboard started", port=settings.port)
            yield
        log("INFO", "dashboard stopped")

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(app, service)
    add_page(app)
    return app, service


def main() -> NoReturn:
    """Read the settings and serve; the exit code tells a wrong setting (2) from a fault of ours (1)."""
    try:
        settings = read_settings(Settings, os.environ)
    except SettingsError as error:
        log("CRITICAL", "settings are wrong", reason=str(error))
        sys.exit(2)
    app, service = application(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    Server(config, service.hub).run()
    # At once: a question to an upstream that hangs would hold the process until it is answered, and nothing is lost.
    os._exit(int(service.failed))


if __name__ == "__main__":
    main()
