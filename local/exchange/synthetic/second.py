"""The synthetic trades of one second as the websocket carries them, which depend on symbol, second, rate and seed only.

Part of the exchange simulator; tests and benchmarks import it too.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np

from local.exchange.synthetic.profiles import Profile, profile_of

_WAVES: Final = ((0.15, 8_380_800), (0.03, 1_123_200), (0.008, 21_600), (0.002, 2_220), (0.0008, 421), (0.0003, 53))
"""The waves that move the price: amplitude as a share of the price, and period in seconds."""

_SEQS_PER_MS: Final = 100
"""Sequence numbers that each millisecond has for its orders."""


def synthetic_second(symbol: str, second: int, rate: float, seed: int) -> Iterator[dict[str, Any]]:
    """The trades of `symbol` in one second, in the form of a frame's `data`, ascending by time.

    `second`: seconds since the epoch. `rate`: the mean number of trades; the actual number has a Poisson distribution.
    A taker's order sweeps the book: its trades share time, side and seq, and their prices rise for a Buy and fall for a
    Sell.
    """
    profile = _profile(symbol)
    random = np.random.default_rng([seed, zlib.crc32(symbol.encode()), second])
    return _trades(profile, second * 1000, int(random.poisson(rate)), random, lambda ms: _level(profile, ms, seed))


def synthetic_burst(symbol: str, second: int, count: int, seed: int, number: int) -> Iterator[dict[str, Any]]:
    """Exactly `count` further trades of the synthetic market in one second; each `number` gives other trades."""
    profile = _profile(symbol)
    random = np.random.default_rng([seed, zlib.crc32(symbol.encode()), second, number])
    for trade in _trades(profile, second * 1000, count, random, lambda ms: _level(profile, ms, seed)):
        trade["seq"] += _SEQS_PER_MS * 500  # beyond those of the second's own trades
        yield trade


def burst_around_price(symbol: str, price: str, from_ms: int, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Exactly `count` trades of any symbol in the second from `from_ms`, around `price` and with as many decimals."""
    tick = str(Decimal(1).scaleb(-len(price.partition(".")[2])))
    random = np.random.default_rng([seed, zlib.crc32(symbol.encode()), from_ms, count])
    return _trades(Profile(symbol, price, tick, "0.1", "0.001"), from_ms, count, random, lambda _: float(price))


def _profile(symbol: str) -> Profile:
    profile = profile_of(symbol)
    if profile is None:
        raise ValueError(f"the synthetic market has no {symbol}")
    return profile


def _trades(
    profile: Profile, from_ms: int, count: int, random: np.random.Generator, level: Callable[[int], float]
) -> Iterator[dict[str, Any]]:
    """`count` trades in the second from `from_ms`; `level(time_ms)` is the price around which they are made.

    Trades are made lazily, so that a second with thousands of them does not delay the second before.
    """
    if not count:
        return
    tick, lot = Decimal(profile.tick), Decimal(profile.lot)
    fills = random.geometric(0.55, count)
    orders = int(np.searchsorted(np.cumsum(fills), count)) + 1
    order = np.repeat(np.arange(orders), fills[:orders])[:count].tolist()
    times = (from_ms + np.sort(random.integers(0, 1000, orders))).tolist()
    buys = (random.random(orders) < 0.5).tolist()
    noise = random.normal(0, 1.5, orders).tolist()
    deeper = (random.random(count) < 0.3).tolist()
    # The median is at least one lot, so that a coarse lot does not make all sizes equal.
    lots = random.lognormal(math.log(max(1.0, float(Decimal(profile.size) / lot))), 1.5, count)
    sizes = np.maximum(np.rint(lots), 1).astype(np.int64).tolist()
    ids = random.bytes(16 * count)
    size_decimals, price_decimals = len(profile.lot.partition(".")[2]), len(profile.price.partition(".")[2])

    depth, last_ticks, direction = 0, 0, "ZeroPlusTick"
    for place, of in enumerate(order):
        depth = depth + deeper[place] if place and order[place - 1] == of else 0
        ticks = max(1, round(level(times[of]) / float(tick) + noise[of]) + (1 + depth if buys[of] else -depth))
        direction = tick_direction(ticks - last_ticks if place else 0, direction)
        last_ticks = ticks
        yield {
            "T": times[of],
            "s": profile.symbol,
            "S": "Buy" if buys[of] else "Sell",
            "v": f"{lot * sizes[place]:.{size_decimals}f}",
            "p": f"{tick * ticks:.{price_decimals}f}",
            "L": direction,
            "i": str(UUID(bytes=ids[16 * place : 16 * place + 16], version=5)),
            "BT": False,
            "RPI": False,
            "seq": from_ms * _SEQS_PER_MS + of,
        }


def _level(profile: Profile, time_ms: int, seed: int) -> float:
    """The price around which trades are made at a time: a sum of waves, so it depends on no earlier trade."""
    phase = zlib.crc32(f"{profile.symbol}{seed}".encode()) / 2**32
    moves = (share * math.sin(2 * math.pi * (time_ms / 1000 / seconds + phase)) for share, seconds in _WAVES)
    return float(profile.price) * math.exp(sum(moves))


def tick_direction(change: int, before: str) -> str:
    """The exchange's tick direction for a price's `change` against the last price, whose direction was `before`."""
    if change:
        return "PlusTick" if change > 0 else "MinusTick"
    return before if before.startswith("Zero") else f"Zero{before}"
