"""The producer: Bybit's public trades from the websocket into the topic `trades`, with what proves them whole.

An entry point, imported by no module: it reads the settings and runs the package `producer`. Exit code 2: a setting is
wrong. Exit code 1: the broker refuses records for good; the next start reads from the topic where to go on. SIGTERM:
no more input is read, the queue is flushed, and the exit code is 0.
"""

from __future__ import annotations

import asyncio
import os
import sys

from bitcoin_pipeline.adapters.kafka import BrokerError
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.settings import SettingsError, read_settings
from producer.settings import Settings
from producer.wiring import run


def main() -> None:
    """Read the settings and run until a signal arrives."""
    try:
        settings = read_settings(Settings, os.environ)
    except SettingsError as error:
        log("CRITICAL", "settings are wrong", reason=str(error))
        sys.exit(2)
    refusals: list[str] = []
    try:
        asyncio.run(run(settings))
    except* BrokerError as group:
        refusals = [str(error) for error in group.exceptions]
    if refusals:
        log("CRITICAL", "the broker refuses", reason="; ".join(refusals))
        sys.exit(1)


if __name__ == "__main__":
    main()
