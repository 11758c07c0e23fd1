"""The synthetic trades of a symbol's day, whole or in part.

Part of the exchange simulator; tests and benchmarks import it too. The same symbol, day, seed and number of trades give
the same trades, for one version of numpy.
"""

from __future__ import annotations

import datetime as dt
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from bitcoin_pipeline.amounts import from_units
from bitcoin_pipeline.times import DAY_US, MINUTE_US, day_start_us
from bitcoin_pipeline.trade import TakerSide, Trade, turnover_of
from local.exchange.synthetic.eras import Era, era_of
from local.exchange.synthetic.fills import Fills, Floats, Integers, make_fills, scaled
from local.exchange.synthetic.price import price_in_ticks
from local.exchange.synthetic.profiles import PROFILES, Profile, profile_of

BUSY_FROM: Final = dt.date(2026, 1, 1)
"""The first day on which the archive has what the live market trades: evenly around the clock, at the live rate.

Earlier days are smaller, and their minutes differ. No live market is expected to run on a clock of that time.
"""

_BLOCK: Final = 1024
"""Number of trades that are made at once; each block has a random generator of its own."""

_MINUTES: Final = DAY_US // MINUTE_US


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What a symbol's day consists of: exactly `trades` trades, in files of `era`.

    `is_even`: they come evenly around the clock; otherwise minutes differ, and some are empty.
    """

    profile: Profile
    day: dt.date
    trades: int
    seed: int
    era: Era
    is_even: bool

    def between(self, from_us: int, to_us: int) -> tuple[int, int]:
        """The indices of the trades from a time of the day up to another one, as of a slice.

        Both times are whole seconds since the epoch, in microseconds.
        """
        return self._index(from_us), self._index(to_us)

    def fills(self, start: int, end: int) -> Fills:
        """The trades from index `start` up to, but without, `end`."""
        if start >= end:
            return _block(self, 0).part(0, 0)
        first = start // _BLOCK
        blocks = [_block(self, number) for number in range(first, -(-end // _BLOCK))]
        return Fills.joined(blocks).part(start - first * _BLOCK, end - first * _BLOCK)

    def _index(self, time_us: int) -> int:
        """The index of the first trade at or after a time."""
        since_us = time_us - day_start_us(self.day)
        if since_us >= DAY_US or not self.trades:
            return self.trades
        share = since_us / DAY_US
        if not self.is_even:
            share = float(np.interp(since_us, _MINUTE_STARTS, _activity(self.profile.symbol, self.day, self.seed)))
        # The block before is looked at too, as a share is rounded.
        first = max(0, int(share * self.trades - 1) // _BLOCK)
        for number in range(first, self._blocks()):
            block = _block(self, number)
            if block.time_us[-1] >= time_us:
                return number * _BLOCK + int(np.searchsorted(block.time_us, time_us))
        return self.trades

    def _blocks(self) -> int:
        return -(-self.trades // _BLOCK)

    def times(self, shares: Floats) -> Integers:
        """The times at which these shares of the day's trades were made, rounded down as the files of `era` have it."""
        if self.is_even:
            since_us = (shares * DAY_US).astype(np.int64)
        else:
            activity = _activity(self.profile.symbol, self.day, self.seed)
            since_us = np.interp(shares, activity, _MINUTE_STARTS).astype(np.int64)
        precision_us = 10 ** (6 - self.era.time_decimals)
        times: Integers = day_start_us(self.day) + np.minimum(since_us, DAY_US - 1) // precision_us * precision_us
        return times


@lru_cache(1024)
def _block(plan: DayPlan, number: int) -> Fills:
    first = number * _BLOCK
    count = min(_BLOCK, plan.trades - first)
    key = zlib.crc32(plan.profile.symbol.encode())
    random = np.random.default_rng([plan.seed, key, plan.day.toordinal(), number])
    fills = make_fills(
        random,
        plan.profile,
        count,
        lambda places: plan.times((first + places * count) / max(plan.trades, 1)),
        lambda times: price_in_ticks(plan.profile, plan.seed, times),
    )
    fills.order[:] += first
    return fills


_MINUTE_STARTS: Final = np.arange(_MINUTES + 1, dtype=np.float64) * MINUTE_US


@lru_cache(512)
def _activity(symbol: str, day: dt.date, seed: int) -> Floats:
    """The share of a day's trades before each minute, and 1 at last: some minutes are busy and some are empty."""
    random = np.random.default_rng([seed, zlib.crc32(symbol.encode()), day.toordinal()])
    # math.sin, not numpy's: the last bit of numpy's sine and exponential depends on the processor.
    time_of_day = np.array([1 + 0.5 * math.sin(2 * math.pi * minute / _MINUTES) for minute in range(_MINUTES)])
    weights = time_of_day * random.lognormal(0, 0.8, _MINUTES) * (random.random(_MINUTES) > 0.04)
    before: Floats = np.concatenate(([0.0], np.cumsum(weights)))
    shares: Floats = before / before[-1]
    return shares


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticDay:
    """The trades of a day in matching order, with the arrays of `Fills`."""

    symbol: str
    day: dt.date
    era: Era
    time_us: Integers
    price: Integers
    price_decimals: int
    size: Integers
    size_decimals: int
    is_buy: NDArray[np.bool_]
    is_rpi: NDArray[np.bool_]
    trade_id: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.time_us)

    def trades(self) -> Iterator[Trade]:
        """The trades as the core's type; the `order` of each is its index."""
        columns = (self.time_us, self.price, self.size, self.is_buy, self.is_rpi)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for place, (time_us, price_units, size_units, is_buy, is_rpi) in enumerate(rows):
            price, size = from_units(price_units, self.price_decimals), from_units(size_units, self.size_decimals)
            yield Trade(
                symbol=self.symbol,
                trade_id=str(UUID(bytes=self.trade_id[place].tobytes())),
                time_us=time_us,
                price=price,
                size=size,
                taker_side=TakerSide.BUY if is_buy else TakerSide.SELL,
                turnover=turnover_of(self.symbol, price, size),
                order=place,
                rpi=is_rpi if self.era.has_rpi else None,
            )


def day_plan(symbol: str, day: dt.date, trades: int, *, seed: int = 0, era: Era | None = None) -> DayPlan:
    """The plan of a symbol's day; `era` is by default that of the day, and `is_even` holds from BUSY_FROM on.

    Raises ValueError for a symbol without a profile and for negative numbers.
    """
    profile = profile_of(symbol)
    if profile is None:
        raise ValueError(f"the synthetic market has {', '.join(PROFILES)}, got {symbol!r}")
    if trades < 0 or seed < 0:
        raise ValueError(f"trades and seed must not be negative, got {trades} and {seed}")
    return DayPlan(profile, day, trades, seed, era or era_of(day), day >= BUSY_FROM)


def synthetic_day(symbol: str, day: dt.date, trades: int, *, seed: int = 0, era: Era | None = None) -> SyntheticDay:
    """Exactly `trades` trades of a symbol's day, with times rounded down to the precision of `era`.

    `era` is by default that of the day. Raises ValueError as `day_plan` does. Memory: about 90 bytes a trade.
    """
    plan = day_plan(symbol, day, trades, seed=seed, era=era)
    fills = plan.fills(0, trades)
    return SyntheticDay(
        symbol=symbol,
        day=day,
        era=plan.era,
        time_us=fills.time_us,
        price=fills.price,
        price_decimals=scaled(plan.profile.tick)[0],
        size=fills.size,
        size_decimals=scaled(plan.profile.lot)[0],
        is_buy=fills.is_buy,
        is_rpi=fills.is_rpi,
        trade_id=fills.trade_id,
    )
