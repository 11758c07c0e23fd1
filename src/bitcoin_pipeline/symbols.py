"""Bybit's symbols: which texts are one, and which contracts are inverse.

Part of the core; anybody may import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

SYMBOL: Final = re.compile(r"[A-Z0-9]{3,30}(?:-[0-9]{1,2}[A-Z]{3}[0-9]{2})?")
"""What Flink's job asks of a record, too."""

# BTCUSD and its dated futures (BTCUSDM24: month letter and year); BTCUSDT, BTCPERP and BTCUSDT-26DEC25 are linear.
_INVERSE = re.compile(r"[A-Z0-9]+USD(?:[FGHJKMNQUVXZ][0-9]{2})?")


def parse_symbol(text: str) -> str:
    """`text` if it can be a symbol of a perpetual or future. Raises ValueError otherwise.

    What passes is safe in a path and in a URL.
    """
    if not SYMBOL.fullmatch(text):
        raise ValueError(f"a symbol is 3 to 30 capital letters and digits such as BTCUSDT, got {text!r}")
    return text


def is_inverse(symbol: str) -> bool:
    """True when size counts contracts of 1 USD and turnover is in the base coin."""
    return _INVERSE.fullmatch(symbol) is not None


def symbols_among(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """A parser of a text with commas between symbols, each once, in its order, that takes only those in `known`."""

    def parse(text: str) -> tuple[str, ...]:
        symbols = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        if not set(symbols) <= set(known):
            raise ValueError(f"must be of {', '.join(known)} with commas between, got {text!r}")
        return symbols

    return parse


def parse_symbols(text: str) -> tuple[str, ...]:
    """The symbols of a text with commas between, each once, in its order. Raises ValueError as `parse_symbol`."""
    return tuple(dict.fromkeys(parse_symbol(part.strip()) for part in text.split(",")))
