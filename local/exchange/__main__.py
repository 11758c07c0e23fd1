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

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.names import archive_file
from bitcoin_pipeline.symbols import parse_symbol, symbols_among
from bitcoin_pipeline.times import parse_day
from local.exchange.archive.folder import Folder
from local.exchange.archive.publication import Overlay, Publication
from local.exchange.archive.synthetic import SyntheticArchive
from local.exchange.live.market import LiveMarket, recorded_playback, synthetic_playback
from local.exchange.live.playback import Playback
from local.exchange.live.sources import Capture, SyntheticMarket, read_days
from local.exchange.server import exchange
from local.exchange.shared.rate_limit import RateLimit
from local.exchange.synthetic.profiles import MOST_FURTHER, SYMBOLS, further_symbols

_SHUTDOWN_SECONDS = 1.0
"""Time that a running download has after SIGTERM."""


def main() -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT; exit code 1 for a port in use or an unusable recording."""
    arguments = _arguments()
    with ExitStack() as at_exit:
        cache = arguments.cache_dir or Path(at_exit.enter_context(tempfile.TemporaryDirectory(prefix="exchange-")))
        publication: Publication
        if arguments.archive_dir:
            publication = Folder(arguments.archive_dir)
        else:
            symbols = () if arguments.capture or arguments.play_day else _live_symbols(arguments)
            rates = {symbol: arguments.trades_per_second / len(symbols) for symbol in symbols}
            publication = SyntheticArchive(
                cache, arguments.seed, arguments.trades_per_day, lambda: dt.datetime.now(dt.UTC), rates
            )
            if arguments.add_files:
                publication = Overlay(Folder(arguments.add_files), publication)
        try:
            asyncio.run(_run(arguments, publication, cache / "played"))
        except OSError as error:
            sys.exit(f"cannot serve on port {arguments.port}: {error.strerror}")


async def _run(arguments: argparse.Namespace, publication: Publication, history_folder: Path) -> None:
    rate_limit = RateLimit(arguments.requests_per_second, arguments.ban_seconds, time.monotonic)
    try:
        live = LiveMarket(await _playback(arguments, publication, history_folder))
    except (OSError, ValueError) as error:
        sys.exit(f"cannot play the market: {error}")
    application = exchange(publication, rate_limit, live)
    started: dict[str, Any] = {"serves": str(arguments.archive_dir or "the synthetic market")}
    if arguments.capture:
        started["plays"] = arguments.capture.name
    elif arguments.play_day:
        started["plays"] = [archive_file(*day) for day in arguments.play_day]
    await _serve(application, arguments.port, started)


async def _playback(arguments: argparse.Namespace, publication: Publication, history_folder: Path) -> Playback:
    if arguments.capture:
        return recorded_playback(Capture(arguments.capture), arguments.speed, history_folder, time.monotonic)
    if arguments.play_day:
        days = await read_days(publication.path, arguments.play_day)
        return recorded_playback(days, arguments.speed, history_folder, time.monotonic)
    market = SyntheticMarket(_live_symbols(arguments), arguments.trades_per_second, arguments.seed)
    return synthetic_playback(market, arguments.clock_offset_ms, history_folder, time.time)


def _live_symbols(arguments: argparse.Namespace) -> tuple[str, ...]:
    return (*arguments.symbols, *further_symbols(arguments.further_symbols))


async def _serve(application: web.Application, port: int, started: dict[str, Any]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        log("INFO", "exchange started", port=port, **started)
        await stop.wait()
    finally:
        await runner.cleanup()
    log("INFO", "exchange stopped")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.exchange", description="Bybit's archive and live market, simulated."
    )
    parser.add_argument("--port", type=_number(int, 1), required=True)
    parser.add_argument("--requests-per-second", type=_number(int, 1), default=40, help="more get an address banned")
    parser.add_argument("--ban-seconds", type=_number(float, 0), default=300.0)
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--archive-dir", type=_folder, help="serve these files, flat or as SYMBOL/FILE, and no others")
    files.add_argument("--add-files", type=_folder, help="serve these files in place of the synthetic market's own")
    parser.add_argument("--cache-dir", type=Path, help="folder of generated files; by default a temporary one")
    recording = parser.add_argument_group("a recorded market", "played from the first subscription on")
    what = recording.add_mutually_exclusive_group()
    what.add_argument("--capture", type=Path, metavar="FILE", help="a recording with one websocket frame a line")
    what.add_argument("--play-day", type=_day, nargs="+", metavar="SYMBOL:DATE", help="days of the archive")
    recording.add_argument("--speed", type=_number(float, 0), help="1 (default) as recorded, 0 as fast as possible")
    market = parser.add_argument_group(
        "the synthetic market", "archive without --archive-dir, live market without a recording"
    )
    market.add_argument("--seed", type=_number(int, 0), default=0)
    market.add_argument(
        "--trades-per-day", type=_number(int, 0), default=20_000, help="of a symbol in the archive before 2026"
    )
    market.add_argument("--trades-per-second", type=_number(float, 0.001), default=10.0, help="of all symbols live")
    market.add_argument(
        "--symbols", type=_symbols, default=SYMBOLS, help="symbols that trade live, with commas between"
    )
    market.add_argument(
        "--further-symbols",
        type=int,
        choices=range(MOST_FURTHER + 1),
        metavar=f"0..{MOST_FURTHER}",
        default=0,
        help="symbols X001USDT and on that trade live beside them",
    )
    market.add_argument("--clock-offset-ms", type=int, default=0, help="the exchange's clock minus this machine's")
    arguments = parser.parse_args()
    if arguments.speed is None:
        arguments.speed = 1.0
    elif not (arguments.capture or arguments.play_day):
        parser.error("--speed is for --capture and --play-day; the synthetic market runs at real time")
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
        value = kind(text)  # argparse reports a ValueError itself
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
