"""The symbols of the synthetic market, and the scale of their prices and sizes.

Part of the exchange simulator; the local stack and tests import the symbols.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from bitcoin_pipeline.symbols import is_inverse


@dataclass(frozen=True, slots=True)
class Profile:
    """The scale of a symbol's trades, as decimal texts.

    `price`: the level around which the price moves. `size`: the size of the median trade. `tick` and `lot`: the
    smallest steps of price and size; their decimals are those of the texts in files and frames.
    """

    symbol: str
    price: str
    tick: str
    size: str
    lot: str
    listed: dt.date = dt.date(2020, 3, 25)


PROFILES: Final[Mapping[str, Profile]] = {
    profile.symbol: profile
    for profile in (
        Profile("BTCUSDT", "65114.20", "0.10", "0.012", "0.001"),
        Profile("ETHUSDT", "3420.55", "0.01", "0.15", "0.01"),
        Profile("SOLUSDT", "77.31", "0.01", "4.2", "0.1"),
        Profile("DOGEUSDT", "0.07053", "0.00001", "1500", "1"),
        Profile("1000PEPEUSDT", "0.0000123", "0.0000001", "6000000", "100"),
        Profile("BTCUSD", "65114.50", "0.50", "250", "1", dt.date(2019, 10, 1)),
    )
}
"""Every symbol of the synthetic market: the linear ones, which trade live too, and one inverse symbol."""

SYMBOLS: Final = tuple(sorted(symbol for symbol in PROFILES if not is_inverse(symbol)))
"""The linear symbols, which the synthetic market trades live, in order."""

MOST_FURTHER: Final = 999
"""Upper bound on the further symbols."""


def further_symbols(count: int) -> tuple[str, ...]:
    """`count` further linear symbols, X001USDT and on, for a live market with many of them."""
    return tuple(f"X{number:03d}USDT" for number in range(1, count + 1))


@cache
def profile_of(symbol: str) -> Profile | None:
    """The scale of a symbol; a further one has that of one of SYMBOLS. None for a symbol of no synthetic market."""
    further = re.fullmatch("X([0-9]{3})USDT", symbol)
    if further is None:
        return PROFILES.get(symbol)
    return replace(PROFILES[SYMBOLS[int(further[1]) % len(SYMBOLS)]], symbol=symbol)
