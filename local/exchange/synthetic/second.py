"""The synthetic trades of a stretch of time as the websocket carries them: those of the archive's file of that day.

Part of the exchange simulator; tests and benchmarks import it too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import numpy as np

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.times import DAY_US, MS_US, SECOND_US, day_of, day_start_us
from local.exchange.synthetic.day import DayPlan, day_plan
from local.exchange.synthetic.files import fixed_decimal, tick_directions, uuid_text
from local.exchange.synthetic.fills import Fills, Floats, Integers, make_fills, scaled
from local.exchange.synthetic.price import price_in_ticks
from local.exchange.synthetic.profiles import Profile

_SEQS_PER_DAY: Final = 10**11
"""Sequence numbers that each day has for its orders; the upper half is for bursts."""

_SEQS_PER_SECOND: Final = 500_000
"""Sequence numbers that each second has for the orders of bursts."""

_HOUR_US: Final = 3600 * SECOND_US

_BEFORE: Final = 1024
"""Number of earlier trades of a day that are looked at for the tick direction of a trade."""


def daily_trades(rate: float) -> int:
    """The number of trades in a day of a symbol with `rate` trades a second."""
    return round(rate * DAY_US / SECOND_US)


def synthetic_second(symbol: str, second: int, rate: float, seed: int) -> Iterator[dict[str, Any]]:
    """The trades of `symbol` in one second, in the form of a frame's `data`, in matching order.

    `second`: seconds since the epoch. `rate`: the mean number of trades a second. From BUSY_FROM on they are the trades
    of that second in `synthetic_day` with `daily_trades(rate)`. A taker's order sweeps the book: its trades share time,
    side and seq, and their prices rise for a Buy and fall for a Sell.
    """
    plan = _plan(symbol, second * SECOND_US, rate, seed)
    return _of_plan(plan, *plan.between(second * SECOND_US, (second + 1) * SECOND_US))


def trades_before(symbol: str, second: int, rate: float, seed: int, limit: int) -> list[dict[str, Any]]:
    """The last `limit` trades before the start of a second, in matching order; they may reach into earlier days."""
    found: list[dict[str, Any]] = []
    end_us = second * SECOND_US
    while len(found) < limit:
        plan = _plan(symbol, end_us - SECOND_US, rate, seed)
        if plan.trades == 0:
            break
        midnight_us = day_start_us(plan.day)
        _, end = plan.between(midnight_us, end_us)
        found = [*_of_plan(plan, max(0, end - limit + len(found)), end), *found]
        end_us = midnight_us
    return found


def fills_of_hour(symbol: str, hour: int, rate: float, seed: int) -> Fills:
    """The trades of `symbol` in one hour, which is counted from the epoch."""
    from_us = hour * _HOUR_US
    plan = _plan(symbol, from_us, rate, seed)
    return plan.fills(*plan.between(from_us, from_us + _HOUR_US))


def synthetic_burst(symbol: str, second: int, count: int, seed: int, number: int) -> Iterator[dict[str, Any]]:
    """Exactly `count` trades beside the market's own in one second; each `number` gives other trades.

    They are not in the archive's file.
    """
    plan = _plan(symbol, second * SECOND_US, 0, seed)

    def level(times: Integers) -> Floats:
        return price_in_ticks(plan.profile, seed, times)

    random = np.random.default_rng([seed, zlib.crc32(symbol.encode()), second, number])
    fills = make_fills(random, plan.profile, count, lambda places: _within_second(second * SECOND_US, places), level)
    first_seq = _first_seq(plan) + _SEQS_PER_DAY // 2 + second % (DAY_US // SECOND_US) * _SEQS_PER_SECOND
    return _on_the_wire(plan.profile, fills, 0, first_seq)


def burst_around_price(symbol: str, price: str, from_ms: int, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Exactly `count` trades of any symbol in the second from `from_ms`, around `price` and with as many decimals."""
    tick = plain(Decimal(1).scaleb(-len(price.partition(".")[2])))
    profile = Profile(symbol, price, tick, "0.1", "0.001")
    random = np.random.default_rng([seed, zlib.crc32(symbol.encode()), from_ms, count])
    ticks = float(Decimal(price) / Decimal(tick))
    fills = make_fills(
        random,
        profile,
        count,
        lambda places: _within_second(from_ms * MS_US, places),
        lambda times: np.full(len(times), ticks),
    )
    return _on_the_wire(profile, fills, 0, from_ms * 100)


def _plan(symbol: str, time_us: int, rate: float, seed: int) -> DayPlan:
    return replace(day_plan(symbol, day_of(time_us), daily_trades(rate), seed=seed), is_even=True)


def _first_seq(plan: DayPlan) -> int:
    return (plan.day.toordinal() - 719_163) * _SEQS_PER_DAY


def _within_second(from_us: int, places: Floats) -> Integers:
    return from_us + np.minimum((places * SECOND_US).astype(np.int64), SECOND_US - 1)


def _of_plan(plan: DayPlan, start: int, end: int) -> Iterator[dict[str, Any]]:
    """The trades of a day from index `start` up to, but without, `end`."""
    before = min(_BEFORE, start) if start < end else 0
    return _on_the_wire(plan.profile, plan.fills(start - before, end), before, _first_seq(plan))


def _on_the_wire(profile: Profile, fills: Fills, before: int, first_seq: int) -> Iterator[dict[str, Any]]:
    """The trades after the first `before` ones. They are made one by one, so that many do not delay other symbols'."""
    directions = tick_directions(fills.price)[before:].tolist()
    fills = fills.part(before, len(fills))
    (price_decimals, _), (size_decimals, _) = scaled(profile.tick), scaled(profile.lot)
    ids = fills.trade_id.tobytes().hex()
    columns = (fills.time_us // MS_US, fills.is_buy, fills.size, fills.price, fills.is_rpi, fills.order)
    rows = zip(directions, *(column.tolist() for column in columns), strict=True)
    for place, (direction, time_ms, is_buy, size, price, is_rpi, order) in enumerate(rows):
        yield {
            "T": time_ms,
            "s": profile.symbol,
            "S": "Buy" if is_buy else "Sell",
            "v": fixed_decimal(size, size_decimals),
            "p": fixed_decimal(price, price_decimals),
            "L": direction,
            "i": uuid_text(ids[32 * place : 32 * place + 32]),
            "BT": False,
            "RPI": is_rpi,
            "seq": first_seq + order,
        }


def tick_direction(change: int, before: str) -> str:
    """The exchange's tick direction for a price's `change` against the last price, whose direction was `before`."""
    if change:
        return "PlusTick" if change > 0 else "MinusTick"
    return before if before.startswith("Zero") else f"Zero{before}"
