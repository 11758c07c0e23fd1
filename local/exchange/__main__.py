"""Starts the exchange simulator: `python -m local.exchange --port P [--archive-dir DIR]`."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import math
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from aiohttp import web

from local.exchange.events import log_event
from local.exchange.folder import Folder
from local.exchange.guard import Guard
from local.exchange.invented import InventedArchive
from local.exchange.server import exchange

_SHUTDOWN_SECONDS = 1.0
"""How long a running download may go on after SIGTERM."""


def main() -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT; exit code 1 when the port cannot be had."""
    arguments = _arguments()
    guard = Guard(arguments.requests_per_second, arguments.ban_seconds, time.monotonic)
    with ExitStack() as at_exit:
        if arguments.archive_dir:
            application = exchange(Folder(arguments.archive_dir), guard)
        else:
            cache = arguments.cache_dir or Path(at_exit.enter_context(tempfile.TemporaryDirectory(prefix="exchange-")))
            invented = InventedArchive(cache, arguments.seed, arguments.trades_per_day, lambda: dt.datetime.now(dt.UTC))
            application = exchange(invented, guard)
        try:
            asyncio.run(_serve(application, arguments.port, str(arguments.archive_dir or "the invented market")))
        except (OSError, OverflowError) as error:
            sys.exit(f"cannot serve on port {arguments.port}: {error}")


async def _serve(application: web.Application, port: int, serves: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        log_event("exchange started", port=port, serves=serves)
        await stop.wait()
    finally:
        await runner.cleanup()
    log_event("exchange stopped")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.exchange", description="Bybit's archive, simulated.")
    parser.add_argument("--port", type=_number(int, 1), required=True)
    parser.add_argument("--requests-per-second", type=_number(int, 1), default=40, help="more get an address banned")
    parser.add_argument("--ban-seconds", type=_number(float, 0), default=300.0)
    parser.add_argument("--archive-dir", type=_folder, help="serve these files, flat or as SYMBOL/FILE")
    invented = parser.add_argument_group("the invented market", "served without --archive-dir")
    invented.add_argument("--seed", type=_number(int, 0), default=0)
    invented.add_argument("--trades-per-day", type=_number(int, 0), default=20_000)
    invented.add_argument("--cache-dir", type=Path, help="keep its files here; default: until the server ends")
    return parser.parse_args()


def _number(kind: Callable[[str], float], least: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)  # argparse itself tells of a ValueError
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"must be a number from {least:g}, got {text!r}")
        return value

    return number


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"no such folder: {text}")
    return path


if __name__ == "__main__":
    main()
