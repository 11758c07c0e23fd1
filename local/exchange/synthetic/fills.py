"""Trades of the synthetic market as arrays: takers' orders that sweep the book.

Part of the exchange simulator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Self

import numpy as np
from numpy.typing import NDArray

from local.exchange.synthetic.profiles import Profile

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """Trades in matching order: each array has one element (or row) per trade; all values are exact.

    `price` and `size` are whole numbers in units of their last decimal. `trade_id` has 16 bytes a row. `order` is the
    same for the trades of one taker's order, and greater for a later order.
    """

    time_us: Integers
    price: Integers
    size: Integers
    is_buy: NDArray[np.bool_]
    is_rpi: NDArray[np.bool_]
    trade_id: NDArray[np.uint8]
    order: Integers

    def __len__(self) -> int:
        return len(self.time_us)

    def part(self, start: int, end: int) -> Self:
        """The trades from index `start` up to, but without, `end`."""
        return type(self)(*(getattr(self, item.name)[start:end] for item in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The trades of all `parts`, of which there is at least one."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)))


def make_fills(
    random: np.random.Generator,
    profile: Profile,
    count: int,
    times: Callable[[Floats], Integers],
    price_in_ticks: Callable[[Integers], Floats],
) -> Fills:
    """Exactly `count` trades of takers' orders.

    An order's trades share a time and a side, and their prices rise for a Buy and fall for a Sell. `times` returns the
    times of orders, given their ascending places from 0 to 1; `price_in_ticks` the price around which they trade.
    """
    (_, tick), (_, lot) = scaled(profile.tick), scaled(profile.lot)
    fills = _fills_per_order(random, count)
    orders = len(fills)
    order = np.repeat(np.arange(orders), fills)  # index of each trade's order
    first = np.cumsum(fills) - fills
    order_times = times(np.sort(random.random(orders)))
    buys = random.random(orders) < 0.5
    # A symbol whose tick is coarse trades at few prices.
    ticks_a_price = float(Decimal(profile.price) / Decimal(profile.tick))
    noise = random.normal(0, min(1.5, 2e-5 * ticks_a_price), orders)
    depth = _depth(random, order, first, steps=min(0.4, 5e-6 * ticks_a_price))
    middle = np.rint(price_in_ticks(order_times) + noise).astype(np.int64)
    ticks = middle[order] + np.where(buys[order], 1 + depth, -depth)
    # The median is at least one lot, so that a coarse lot does not make all sizes equal.
    lots = random.lognormal(math.log(max(1.0, float(Decimal(profile.size) / Decimal(profile.lot)))), 1.8, count)
    return Fills(
        time_us=order_times[order],
        price=np.maximum(ticks, 1) * tick,
        size=np.maximum(np.rint(lots).astype(np.int64), 1) * lot,
        is_buy=buys[order],
        is_rpi=(random.random(orders) < 0.03)[order],
        trade_id=_uuids(random, count),
        order=first[order],
    )


def scaled(step: str) -> tuple[int, int]:
    """The decimals of a number's text, and the number in units of its last decimal: `0.10` is 2 and 10."""
    decimals = len(step.partition(".")[2])
    return decimals, int(Decimal(step).scaleb(decimals))


def _fills_per_order(random: np.random.Generator, trades: int) -> Integers:
    """The number of trades of each taker's order, `trades` in all; one order in a hundred sweeps deep."""
    fills = random.geometric(0.55, trades) + (random.random(trades) < 0.01) * random.geometric(0.02, trades)
    last = int(np.searchsorted(np.cumsum(fills), trades))
    fills = fills[: last + 1]
    if trades:
        fills[-1] -= fills.sum() - trades
    return fills


def _depth(random: np.random.Generator, order: Integers, first: Integers, steps: float) -> Integers:
    """The depth of each trade in the book, in ticks; `steps`: the chance that a trade is deeper than the one before."""
    deeper = (random.random(len(order)) < steps) * random.geometric(0.6, len(order))
    depth = np.cumsum(deeper)
    return depth - depth[first][order] if len(order) else depth


def _uuids(random: np.random.Generator, count: int) -> NDArray[np.uint8]:
    ids = np.frombuffer(bytearray(random.bytes(16 * count)), np.uint8).reshape(count, 16)
    ids[:, 6] = ids[:, 6] & 0x0F | 0x50  # version 5, as Bybit's ids
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids
