"""An invented market: the trades of a symbol's day, and its archive file in the format of any era.

Part of the exchange simulator; also used by tests and benchmarks, and a command:
`python -m local.exchange.market BTCUSDT 2025-10-01 --trades 2000000 --out FILE`.

The same symbol, day, seed and number of trades give the same trades, and the same era and direction the same bytes, for
one version of numpy and zlib. The formats are those of `bitcoin_pipeline.bybit.archive`; what is not known of them (the
day on which an era began, when files turned to oldest first) is chosen here and nowhere relied upon.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from bitcoin_pipeline.amounts import from_units
from bitcoin_pipeline.symbols import is_inverse
from bitcoin_pipeline.times import DAY_US, MINUTE_US, day_start_us, parse_day
from bitcoin_pipeline.trade import TakerSide, Trade, turnover_of

VERSION: Final = 1
"""Rises when the same arguments give another file, so that kept files of before are not taken for today's."""

Integers = NDArray[np.int64]

_MINUTES: Final = DAY_US // MINUTE_US
_ROWS_AT_ONCE: Final = 1 << 16  # what is held as text while a file is written
_GZIP_LEVEL: Final = 4  # a quarter larger than Bybit's files, in a third of the time


@dataclass(frozen=True, slots=True)
class Profile:
    """What a symbol's trades look like. `price`: around which it moves; `size`: of the median trade.

    `tick` and `lot`: the smallest steps of price and size, whose decimals are those of the file.
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


@dataclass(frozen=True, slots=True)
class Era:
    """How files were written from `start` on. `spelled_as_floats`: 6500.0 and 0.1, not 6500.00 and 0.10."""

    name: str
    start: dt.date
    time_decimals: int
    descending: bool
    spelled_as_floats: bool
    has_rpi: bool


ERAS: Final = (
    Era("2019", dt.date(2019, 10, 1), 6, descending=True, spelled_as_floats=True, has_rpi=False),
    Era("2022", dt.date(2022, 1, 1), 0, descending=True, spelled_as_floats=True, has_rpi=False),
    Era("2023", dt.date(2023, 1, 1), 3, descending=False, spelled_as_floats=False, has_rpi=False),
    Era("2025", dt.date(2025, 1, 1), 4, descending=False, spelled_as_floats=False, has_rpi=False),
    Era("2025-09", dt.date(2025, 9, 1), 4, descending=False, spelled_as_floats=False, has_rpi=True),
)


@dataclass(frozen=True, slots=True, eq=False)
class InventedDay:
    """The trades of a day in matching order, one place of every array per trade, all of them exact.

    Price and size are whole numbers of 10 to the power of minus their decimals. `trade_id`: 16 bytes each.
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
        """The same as the core's trades, whose `order` is their place."""
        rows = zip(self.time_us.tolist(), self.price.tolist(), self.size.tolist(), self.is_buy.tolist(), strict=True)
        for place, (time_us, price_units, size_units, is_buy) in enumerate(rows):
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
            )


def era_of(day: dt.date) -> Era:
    """The era of a day; days before the first belong to it."""
    return next((era for era in reversed(ERAS) if era.start <= day), ERAS[0])


def era_named(name: str) -> Era:
    """The era called `name`. Raises ValueError, which lists the names, for any other."""
    for era in ERAS:
        if era.name == name:
            return era
    raise ValueError(f"era must be one of {', '.join(era.name for era in ERAS)}, got {name!r}")


def invented_day(symbol: str, day: dt.date, trades: int, *, seed: int = 0, era: Era | None = None) -> InventedDay:
    """Exactly `trades` trades of a symbol's day; `era` (default: that of the day) only rounds their times down.

    Takers' orders arrive busier in some minutes than in others and in some not at all; each sweeps the book, so
    its trades share a time and a side, and their prices rise for a Buy and fall for a Sell. The price walks from
    one day's level to the next one's. Raises ValueError for a symbol without a profile and for negative numbers.
    """
    if symbol not in PROFILES:
        raise ValueError(f"the invented market has {', '.join(PROFILES)}, got {symbol!r}")
    if trades < 0 or seed < 0:
        raise ValueError(f"trades and seed must not be negative, got {trades} and {seed}")
    profile, era = PROFILES[symbol], era or era_of(day)
    price_decimals, tick = _scaled(profile.tick)
    size_decimals, lot = _scaled(profile.lot)
    random = np.random.default_rng([seed, zlib.crc32(symbol.encode()), day.toordinal()])

    fills = _fills_per_order(random, trades)
    order = np.repeat(np.arange(len(fills)), fills)  # of each trade
    precision_us = 10 ** (6 - era.time_decimals)
    times = _order_times(random, len(fills)) // precision_us * precision_us
    buys = random.random(len(fills)) < 0.5
    walk = _price_walk(random, profile, day, seed, len(fills)) / tick  # in ticks, as what follows
    depth = _depth(random, fills, order, steps=min(0.4, 2e-5 * float(Decimal(profile.price) / Decimal(profile.tick))))
    ticks = np.rint(walk).astype(np.int64)[order] + np.where(buys[order], 1 + depth, -depth)
    lots = random.lognormal(math.log(Decimal(profile.size) / Decimal(profile.lot)), 1.8, trades)
    return InventedDay(
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


def write_day(target: Path, invented: InventedDay, *, descending: bool | None = None) -> None:
    """Write the archive file of a day, newest first or not (default: as the era did), replacing `target` whole."""
    descending = invented.era.descending if descending is None else descending
    header = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
    directions = _tick_directions(invented.price)
    part = target.with_name(f".{target.name}.part")
    with part.open("wb") as file, gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
        packed.write((header + (",RPI" if invented.era.has_rpi else "") + "\n").encode())
        starts = range(0, len(invented), _ROWS_AT_ONCE)
        for start in reversed(starts) if descending else starts:
            rows = list(_rows(invented, directions, slice(start, start + _ROWS_AT_ONCE)))
            packed.write("".join(reversed(rows) if descending else rows).encode())
    part.replace(target)


def _fills_per_order(random: np.random.Generator, trades: int) -> Integers:
    """How many trades each taker's order makes, `trades` in all; one order in a hundred sweeps deep."""
    fills = random.geometric(0.55, trades) + (random.random(trades) < 0.01) * random.geometric(0.02, trades)
    last = int(np.searchsorted(np.cumsum(fills), trades))
    fills = fills[: last + 1]
    if trades:
        fills[-1] -= fills.sum() - trades
    return fills


def _order_times(random: np.random.Generator, orders: int) -> Integers:
    """Microseconds of the day in rising order, in 1,440 minutes of which some are hectic and some silent."""
    # No sine or exponential of numpy's own: their last bit depends on the processor.
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
    """The price at a day's first midnight, from two slow waves, so that a day ends where the next one begins."""
    turn = 2 * math.pi * (day.toordinal() + 31 * seed)
    price = float(Decimal(profile.price).scaleb(_scaled(profile.tick)[0]))
    return price * math.exp(0.15 * math.sin(turn / 97) + 0.04 * math.sin(turn / 13))


def _depth(random: np.random.Generator, fills: Integers, order: Integers, steps: float) -> Integers:
    """How many ticks into the book each trade is; a trade is a step deeper than the one before with chance `steps`."""
    deeper = (random.random(len(order)) < steps) * random.geometric(0.6, len(order))
    depth = np.cumsum(deeper)
    first = np.cumsum(fills) - fills
    return depth - depth[first][order] if len(order) else depth


def _uuids(random: np.random.Generator, count: int) -> NDArray[np.uint8]:
    ids = np.frombuffer(bytearray(random.bytes(16 * count)), np.uint8).reshape(count, 16)
    ids[:, 6] = ids[:, 6] & 0x0F | 0x50  # version 5, as Bybit's
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids


_DIRECTIONS = np.array(["MinusTick", "ZeroMinusTick", "ZeroPlusTick", "PlusTick"], dtype=object)


def _tick_directions(price: Integers) -> NDArray[np.object_]:
    """How each price relates to the one before in matching order; the first of the day is told as a fall."""
    change = np.sign(np.diff(price, prepend=price[:1] + 1))
    last_change = np.maximum.accumulate(np.where(change != 0, np.arange(len(price)), 0))
    rising = change[last_change] > 0 if len(price) else change > 0
    directions: NDArray[np.object_] = _DIRECTIONS[np.where(change == 0, 1 + rising, 3 * rising)]
    return directions


def _rows(invented: InventedDay, directions: NDArray[np.object_], part: slice) -> Iterator[str]:
    """The lines of some trades, in matching order."""
    era, symbol = invented.era, invented.symbol
    price, size = invented.price[part], invented.size[part]
    decimal = _trimmed_decimal if era.spelled_as_floats else _fixed_decimal
    sizes = _spelled(size, invented.size_decimals, _trimmed_decimal if era.spelled_as_floats else _shortest_decimal)
    times = invented.time_us[part] // 10 ** (6 - era.time_decimals)
    hexes = invented.trade_id[part].tobytes().hex()
    # The exchange tells values in floating point, noise included (gross = value x 1e8 gives every grossValue of the
    # real file of 2020-03-25 to the last digit); nobody may compute with them.
    if is_inverse(symbol):
        value = np.round(size / price * 10.0 ** (invented.price_decimals - invented.size_decimals), 8)
    else:
        value = price * size / 10.0 ** (invented.price_decimals + invented.size_decimals)
    columns: list[Any] = [
        _spelled(times, era.time_decimals, _trimmed_decimal),
        repeat(symbol),
        np.where(invented.is_buy[part], "Buy", "Sell").tolist(),
        sizes,
        _spelled(price, invented.price_decimals, decimal),
        directions[part].tolist(),
        [_uuid(hexes[at : at + 32]) for at in range(0, len(hexes), 32)],
        map(repr if era.spelled_as_floats else _with_exponent, (value * 1e8).tolist()),
        sizes,
        map(repr, value.tolist()),
    ]
    if era.has_rpi:
        columns.append(np.where(invented.is_rpi[part], "1", "0").tolist())
    return (",".join(row) + "\n" for row in zip(*columns, strict=False))


def _spelled(values: Integers, decimals: int, spell: Callable[[int, int], str]) -> list[str]:
    """The text of each value; each different one is spelled once, as a day has few prices and sizes."""
    distinct, places = np.unique(values, return_inverse=True)
    texts = np.array([spell(value, decimals) for value in distinct.tolist()], dtype=object)
    spelled: list[str] = texts[places].tolist()
    return spelled


def _fixed_decimal(value: int, decimals: int) -> str:
    whole, rest = divmod(value, 10**decimals)
    return f"{whole}.{rest:0{decimals}}" if decimals else str(whole)


def _trimmed_decimal(value: int, decimals: int) -> str:
    if not decimals:
        return str(value)
    text = _fixed_decimal(value, decimals).rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _shortest_decimal(value: int, decimals: int) -> str:
    text = _fixed_decimal(value, decimals)
    return text.rstrip("0").rstrip(".") if decimals else text


def _with_exponent(value: float) -> str:
    """A number as newer files tell it, `2.4725004e+11`: all its digits, and an exponent of at least two."""
    whole, point, fraction = repr(value).partition(".")
    if value < 1 or "e" in fraction or not point:
        return repr(value)
    digits = (whole + fraction).rstrip("0")
    return f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e+{len(whole) - 1:02}"


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _scaled(step: str) -> tuple[int, int]:
    """The decimals of a number's text, and the number in units of the last one: `0.10` is 2 and 10."""
    decimals = len(step.partition(".")[2])
    return decimals, int(Decimal(step).scaleb(decimals))


def main() -> None:
    """Write one file, as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m local.exchange.market", description="Invents a day's file.")
    parser.add_argument("symbol", help=", ".join(PROFILES))
    parser.add_argument("day", help="YYYY-MM-DD")
    parser.add_argument("--trades", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--era", help=f"{', '.join(era.name for era in ERAS)}; default: the day's")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, .csv.gz")
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument("--descending", action="store_true", default=None, help="newest first")
    direction.add_argument("--ascending", dest="descending", action="store_false", help="oldest first")
    given = parser.parse_args()
    try:
        era = era_named(given.era) if given.era else None
        invented = invented_day(given.symbol, parse_day(given.day), given.trades, seed=given.seed, era=era)
        write_day(given.out, invented, descending=given.descending)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
