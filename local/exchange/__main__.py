"""Starts the exchange simulator: `python -m local.exchange --port P [--archive-dir DIR] [--capture FILE]`."""

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
from typing import Any

from aiohttp import web

from bitcoin_pipeline.names import archive_file
from bitcoin_pipeline.symbols import parse_symbol, symbols_among
from bitcoin_pipeline.times import parse_day
from local.exchange.events import log_event
from local.exchange.folder import Folder
from local.exchange.guard import Guard
from local.exchange.invented import InventedArchive
from local.exchange.invented_live import SYMBOLS
from local.exchange.live import Live, invented, recorded
from local.exchange.playback import Playback
from local.exchange.publication import Publication
from local.exchange.server import exchange
from local.exchange.sources import Capture, InventedMarket, read_days

_SHUTDOWN_SECONDS = 1.0
"""How long a running download may go on after SIGTERM."""


def main() -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT; exit code 1 when the port cannot be had, or the capture not read."""
    arguments = _arguments()
    with ExitStack() as at_exit:
        cache = arguments.cache_dir or Path(at_exit.enter_context(tempfile.TemporaryDirectory(prefix="exchange-")))
        publication: Publication
        if arguments.archive_dir:
            publication = Folder(arguments.archive_dir)
        else:
            publication = InventedArchive(
                cache, arguments.seed, arguments.trades_per_day, lambda: dt.datetime.now(dt.UTC)
            )
        try:
            asyncio.run(_run(arguments, publication, cache / "played"))
        except OSError as error:
            sys.exit(f"cannot serve on port {arguments.port}: {error.strerror}")


async def _run(arguments: argparse.Namespace, publication: Publication, tape: Path) -> None:
    guard = Guard(arguments.requests_per_second, arguments.ban_seconds, time.monotonic)
    try:
        live = Live(await _playback(arguments, publication, tape))
    except (OSError, ValueError) as error:
        sys.exit(f"cannot play the market: {error}")
    application = exchange(publication, guard, live)
    started: dict[str, Any] = {"serves": str(arguments.archive_dir or "the invented market")}
    if arguments.capture:
        started["plays"] = arguments.capture.name
    elif arguments.play_day:
        started["plays"] = [archive_file(*day) for day in arguments.play_day]
    await _serve(application, arguments.port, started)


async def _playback(arguments: argparse.Namespace, publication: Publication, tape: Path) -> Playback:
    if arguments.capture:
        return recorded(Capture(arguments.capture), arguments.speed, tape, time.monotonic)
    if arguments.play_day:
        days = await read_days(publication, arguments.play_day)
        return recorded(days, arguments.speed, tape, time.monotonic)
    market = InventedMarket(arguments.symbols, arguments.trades_per_second, arguments.seed)
    return invented(market, arguments.clock_offset_ms, tape, time.time)


async def _serve(application: web.Application, port: int, started: dict[str, Any]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        log_event("exchange started", port=port, **started)
        await stop.wait()
    finally:
        await runner.cleanup()
    log_event("exchange stopped")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.exchange", description="Bybit's archive and live market, simulated."
    )
    parser.add_argument("--port", type=_number(int, 1), required=True)
    parser.add_argument("--requests-per-second", type=_number(int, 1), default=40, help="more get an address banned")
    parser.add_argument("--ban-seconds", type=_number(float, 0), default=300.0)
    parser.add_argument("--archive-dir", type=_folder, help="serve these files, flat or as SYMBOL/FILE")
    parser.add_argument("--cache-dir", type=Path, help="keep its own files here; default: until the server ends")
    recording = parser.add_argument_group("a recorded market", "played from the first subscription on")
    what = recording.add_mutually_exclusive_group()
    what.add_argument("--capture", type=Path, metavar="FILE", help="one websocket frame a line")
    what.add_argument("--play-day", type=_day, nargs="+", metavar="SYMBOL:DATE", help="days of the archive")
    recording.add_argument("--speed", type=_number(float, 0), help="1 (default) as recorded, 0 as fast as possible")
    market = parser.add_argument_group("the invented market", "its archive without --archive-dir, live without a file")
    market.add_argument("--seed", type=_number(int, 0), default=0)
    market.add_argument("--trades-per-day", type=_number(int, 0), default=20_000, help="in the archive")
    market.add_argument("--trades-per-second", type=_number(float, 0.001), default=20.0, help="live, of all symbols")
    market.add_argument("--symbols", type=_symbols, default=SYMBOLS, help="live, with commas between")
    market.add_argument("--clock-offset-ms", type=int, default=0, help="exchange's clock before this machine's")
    arguments = parser.parse_args()
    if arguments.speed is None:
        arguments.speed = 1.0
    elif not (arguments.capture or arguments.play_day):
        parser.error("--speed is for --capture and --play-day; the invented market goes on at real time")
    return arguments


def _day(text: str) -> tuple[str, dt.date]:
    symbol, _, day = text.partition(":")
    try:
        return parse_symbol(symbol), parse_day(day)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be such as BTCUSDT:2020-03-25, got {text!r} ({error})") from error


def _symbols(text: str) -> tuple[str, ...]:
    try:
        return symbols_among(SYMBOLS)(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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
