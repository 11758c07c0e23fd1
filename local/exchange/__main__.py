"""Starts the exchange simulator: `python -m local.exchange --port P [--archive-dir DIR]`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from aiohttp import web

from local.exchange.events import log_event
from local.exchange.folder import Folder
from local.exchange.guard import Guard
from local.exchange.server import exchange

_SHUTDOWN_SECONDS = 1.0
"""How long a running download may go on after SIGTERM."""


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments()
    guard = Guard(arguments.requests_per_second, arguments.ban_seconds, time.monotonic)
    publication = Folder(arguments.archive_dir)
    log_event("exchange started", port=arguments.port, serves=str(arguments.archive_dir))
    web.run_app(
        exchange(publication, guard),
        host="127.0.0.1",
        port=arguments.port,
        access_log=None,
        print=None,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    log_event("exchange stopped")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.exchange", description="Bybit's archive, simulated.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--archive-dir", type=_folder, required=True, help="files to serve, flat or as SYMBOL/FILE")
    parser.add_argument("--requests-per-second", type=int, default=40, help="more get an address banned")
    parser.add_argument("--ban-seconds", type=float, default=300.0)
    return parser.parse_args()


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"no such folder: {text}")
    return path


if __name__ == "__main__":
    main()
