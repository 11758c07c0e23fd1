"""The price of a symbol of the synthetic market at any time, which depends on symbol, seed and time only.

Part of the exchange simulator.
"""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bitcoin_pipeline.times import SECOND_US
from local.exchange.synthetic.profiles import Profile

_PERIODS_US: Final = SECOND_US * 2 ** np.arange(24, dtype=np.int64)[:, np.newaxis]
"""The periods of the moves that make up the price: from a second to 97 days, each twice as long as the one before."""

_SHARE_OF_A_SECOND: Final = 6e-5
"""Greatest move within a second as a share of the price. A day's standard deviation is then 2.5 %."""

# A random walk moves with the square root of time.
_SHARES: Final = _SHARE_OF_A_SECOND * np.sqrt(2.0 ** np.arange(24))[:, np.newaxis]


def price_in_ticks(profile: Profile, seed: int, time_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """The price around which the market trades at each time (microseconds since the epoch), in ticks.

    A sum of moves of every period from a second to 97 days: each joins, by straight lines, a random value at each
    multiple of its period. So any time can be computed alone, and neighbouring times have neighbouring prices.
    """
    key = np.uint64(zlib.crc32(f"{profile.symbol} {seed}".encode()))
    keys = _mixed((key + _OCTAVES) * _ODD)
    place, rest = np.divmod(time_us, _PERIODS_US)
    low, high = (_random(keys, place + step) for step in (0, 1))
    moves = (low + (high - low) * (rest / _PERIODS_US)) * _SHARES
    # Summed one by one: the order of numpy's own sums depends on the processor.
    factor = np.ones(len(time_us))
    for move in moves:
        factor += move
    ticks: NDArray[np.float64] = factor * float(Decimal(profile.price) / Decimal(profile.tick))
    return ticks


_OCTAVES: Final = np.arange(1, 25, dtype=np.uint64)[:, np.newaxis] << np.uint64(32)
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


def _random(keys: NDArray[np.uint64], place: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number from -1 to 1 for each key and place."""
    bits = _mixed(keys + place.astype(np.uint64) * _ODD)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits each of which depends on all the given ones (the finaliser of SplitMix64)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
