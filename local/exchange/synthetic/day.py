"""The synthetic trades of a symbol's day.

Part of the exchange simulator; tests and benchmarks import it too. The same symbol, day, seed and number of trades give
the same trades, for one version of numpy.
"""

from __future__ import annotations

import datetime as dt
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from bitcoin_pipeline.amounts import from_units
from bitcoin_pipeline.times import DAY_US, MINUTE_US, day_start_us
from bitcoin_pipeline.trade import TakerSide, Trade, turnover_of
from local.exchange.synthetic.eras import Era, era_of
from local.exchange.synthetic.profiles import PROFILES, Profile

Integers = NDArray[np.int64]

_MINUTES: Final = DAY_US // MINUTE_US


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticDay:
    """The trades of a day in matching order: each array has one element (or row) per trade; all values are exact.

    `price` and `size` are whole numbers in units of their last decimal. `trade_id` has 16 bytes a row.
    """

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


def synthetic_day(symbol: str, day: dt.date, trades: int, *, seed: int = 0, era: Era | None = None) -> SyntheticDay:
    """Exactly `trades` trades of a symbol's day, with times rounded down to the precision of `era`.

    The rate of takers' orders differs between minutes, and some minutes have none. An order sweeps the book: its trades
    share a time and a side, and their prices rise for a Buy and fall for a Sell. The price walks from the level of one
    midnight to that of the next. `era` is by default that of the day.
    Raises ValueError for a symbol without a profile and for negative numbers.
    """
    if symbol not in PROFILES:
        raise ValueError(f"the synthetic market has {', '.join(PROFILES)}, got {symbol!r}")
    if trades < 0 or seed < 0:
        raise ValueError(f"trades and seed must not be negative, got {trades} and {seed}")
    profile, era = PROFILES[symbol], era or era_of(day)
    price_decimals, tick = _scaled(profile.tick)
    size_decimals, lot = _scaled(profile.lot)
    random = np.random.default_rng([seed, zlib.crc32(symbol.encode()), day.toordinal()])

    fills = _fills_per_order(random, trades)
    order = np.repeat(np.arange(len(fills)), fills)  # index of each trade's order
    precision_us = 10 ** (6 - era.time_decimals)
    times = _order_times(random, len(fills)) // precision_us * precision_us
    buys = random.random(len(fills)) < 0.5
    walk = _price_walk(random, profile, day, seed, len(fills)) / tick  # in ticks, as are the lines below
    depth = _depth(random, fills, order, steps=min(0.4, 2e-5 * float(Decimal(profile.price) / Decimal(profile.tick))))
    ticks = np.rint(walk).astype(np.int64)[order] + np.where(buys[order], 1 + depth, -depth)
    lots = random.lognormal(math.log(Decimal(profile.size) / Decimal(profile.lot)), 1.8, trades)
    return SyntheticDay(
        symbol=symbol,
        day=day,
        era=era,
        time_us=(day_start_us(day) + times)[order],
        price=np.maximum(ticks, 1) * tick,
        price_decimals=price_decimals,
        size=np.maximum(np.rint(lots).astype(np.int64), 1) * lot,
        size_decimals=size_decimals,
        is_buy=buys[order],
        is_rpi=(random.random(len(fills)) < 0.03)[order],
        trade_id=_uuids(random, trades),
    )


def _fills_per_order(random: np.random.Generator, trades: int) -> Integers:
    """The number of trades of each taker's order, `trades` in all; one order in a hundred sweeps deep."""
    fills = random.geometric(0.55, trades) + (random.random(trades) < 0.01) * random.geometric(0.02, trades)
    last = int(np.searchsorted(np.cumsum(fills), trades))
    fills = fills[: last + 1]
    if trades:
        fills[-1] -= fills.sum() - trades
    return fills


def _order_times(random: np.random.Generator, orders: int) -> Integers:
    """Ascending times of `orders` orders, microseconds since midnight; some minutes are busy and some are empty."""
    # math.sin, not numpy's: the last bit of numpy's sine and exponential depends on the processor.
    time_of_day = np.array([1 + 0.5 * math.sin(2 * math.pi * minute / _MINUTES) for minute in range(_MINUTES)])
    activity = time_of_day * random.lognormal(0, 0.8, _MINUTES) * (random.random(_MINUTES) > 0.04)
    per_minute = random.multinomial(orders, activity / activity.sum())
    minutes = np.repeat(np.arange(_MINUTES), per_minute)
    return np.sort(minutes * MINUTE_US + random.integers(0, MINUTE_US, orders))


def _price_walk(
    random: np.random.Generator, profile: Profile, day: dt.date, seed: int, orders: int
) -> NDArray[np.float64]:
    """The price before each order, in units of its last decimal: a random walk between the levels of two midnights."""
    start, end = (_level(profile, date, seed) for date in (day, day + dt.timedelta(days=1)))
    walk = np.cumsum(random.normal(0, 0.02 * start / math.sqrt(max(orders, 1)), orders))
    way = np.linspace(0, 1, orders)
    return start + walk + way * (end - start - (walk[-1] if orders else 0))


def _level(profile: Profile, day: dt.date, seed: int) -> float:
    """The price at the midnight that opens a day, from two slow waves, so that a day ends where the next one begins."""
    turn = 2 * math.pi * (day.toordinal() + 31 * seed)
    price = float(Decimal(profile.price).scaleb(_scaled(profile.tick)[0]))
    return price * math.exp(0.15 * math.sin(turn / 97) + 0.04 * math.sin(turn / 13))


def _depth(random: np.random.Generator, fills: Integers, order: Integers, steps: float) -> Integers:
    """The depth of each trade in the book, in ticks; `steps`: the chance that a trade is deeper than the one before."""
    deeper = (random.random(len(order)) < steps) * random.geometric(0.6, len(order))
    depth = np.cumsum(deeper)
    first = np.cumsum(fills) - fills
    return depth - depth[first][order] if len(order) else depth


def _uuids(random: np.random.Generator, count: int) -> NDArray[np.uint8]:
    ids = np.frombuffer(bytearray(random.bytes(16 * count)), np.uint8).reshape(count, 16)
    ids[:, 6] = ids[:, 6] & 0x0F | 0x50  # version 5, as Bybit's ids
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids


def _scaled(step: str) -> tuple[int, int]:
    """The decimals of a number's text, and the number in units of its last decimal: `0.10` is 2 and 10."""
    decimals = len(step.partition(".")[2])
    return decimals, int(Decimal(step).scaleb(decimals))
