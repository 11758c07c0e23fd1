"""Bybit's symbols: which texts are symbols, which contracts are inverse, and in what their amounts count.

Part of the core; any module may import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

SYMBOL: Final = re.compile(r"[A-Z0-9]{3,30}(?:-[0-9]{1,2}[A-Z]{3}[0-9]{2})?")
"""The form of a symbol, as a regular expression of Python and of Java; the Flink job validates records with it."""

INVERSE: Final = re.compile(r"[A-Z0-9]+USD(?:[FGHJKMNQUVXZ][0-9]{2})?")
"""The form of an inverse symbol, as a regular expression of Python and of DuckDB: BTCUSD and its dated futures.

BTCUSDM24 has a month letter and a year; BTCUSDT, BTCPERP and BTCUSDT-26DEC25 are linear.
"""


def parse_symbol(text: str) -> str:
    """`text`, if it has the form of a symbol of a perpetual or a future. Raises ValueError otherwise.

    Such a text is safe in a path and in a URL.
    """
    if not SYMBOL.fullmatch(text):
        raise ValueError(f"a symbol is 3 to 30 capital letters and digits such as BTCUSDT, got {text!r}")
    return text


def is_inverse(symbol: str) -> bool:
    """True when size counts contracts of 1 USD and turnover is in the base coin."""
    return INVERSE.fullmatch(symbol) is not None


@dataclass(frozen=True, slots=True)
class Units:
    """The currencies in which a symbol's prices, sizes and turnovers count: USDT, BTC and USDT for BTCUSDT."""

    price: str
    volume: str
    turnover: str


# The currency of the price at the end of the name: PERP and a bare date stand for USDC.
_QUOTED = re.compile(r"(.+?)(USDT|USDC|USD|PERP)?(?:-[0-9]{1,2}[A-Z]{3}[0-9]{2})?")


def units_of(symbol: str) -> Units:
    """The units of a symbol. An inverse symbol's volume counts contracts of 1 USD, its turnover the base coin."""
    found = _QUOTED.fullmatch(symbol)
    assert found is not None, f"no symbol: {symbol!r}"
    if is_inverse(symbol):
        base = symbol[: symbol.rindex("USD")]
        return Units("USD", "USD", base)
    base, quote = found[1], found[2] or "USDC"
    quote = "USDC" if quote == "PERP" else quote
    return Units(quote, base, quote)


def symbols_among(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """A parser of comma-separated symbols that accepts only those in `known`, drops repeats and keeps the order."""

    def parse(text: str) -> tuple[str, ...]:
        symbols = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        if not set(symbols) <= set(known):
            raise ValueError(f"must be of {', '.join(known)} with commas between, got {text!r}")
        return symbols

    return parse


def parse_symbols(text: str) -> tuple[str, ...]:
    """Comma-separated symbols, in their order, without repeats. Raises ValueError as `parse_symbol` does."""
    return tuple(dict.fromkeys(parse_symbol(part.strip()) for part in text.split(",")))
