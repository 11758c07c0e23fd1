"""What a shell completes in a command line of `pipeline`: symbols, intervals and planes.

Imported by the other modules of `local.command`.
"""

from __future__ import annotations

import os
from typing import Final

from local.environment import env_file, read_env_file, stack_home

INTERVALS: Final = ("1m", "5m", "15m", "1h", "4h", "1d")
PLANES: Final = ("best", "archive", "live")

_KNOWN: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "BTCUSD")
"""Symbols that are completed where neither the environment nor a stack that is up names any."""


def symbols_from(incomplete: str) -> list[str]:
    """The symbols that may follow: those of PIPELINE_SYMBOLS, of the stack that is up, or well-known ones.

    `incomplete` may be several symbols with commas between, of which the last one is completed, in small letters too.
    """
    home = stack_home(os.environ)
    named = os.environ.get("PIPELINE_SYMBOLS") or (read_env_file(env_file(home)) if home else {}).get(
        "PIPELINE_SYMBOLS"
    )
    before, comma, last = incomplete.rpartition(",")
    given = before.upper().split(",")
    symbols = [symbol.strip() for symbol in named.split(",")] if named else _KNOWN
    rests = [symbol[len(last) :] for symbol in symbols if symbol.startswith(last.upper()) and symbol not in given]
    # A shell takes only what begins as it was typed, so the case of the letters is kept.
    return [before + comma + last + (rest.lower() if last != last.upper() else rest) for rest in rests]


def intervals_from(incomplete: str) -> list[str]:
    """The usual intervals that begin so."""
    return [interval for interval in INTERVALS if interval.startswith(incomplete)]


def planes_from(incomplete: str) -> list[str]:
    """The planes that begin so."""
    return [plane for plane in PLANES if plane.startswith(incomplete)]
