"""Archive files of synthetic trades, in the format of any era.

Part of the exchange simulator; tests import it too. The same trades, era and direction give the same bytes, for one
version of zlib.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bitcoin_pipeline.symbols import is_inverse
from local.exchange.synthetic.day import SyntheticDay
from local.exchange.synthetic.fills import Integers

GENERATOR_VERSION: Final = 2
"""Version of the generator. It rises when the same arguments give another file, so that cached files are not used."""

_ROWS_AT_ONCE: Final = 1 << 16
"""Number of rows that are held as text while a file is written."""
_GZIP_LEVEL: Final = 4
"""Compression level: files are a quarter larger than Bybit's and are written in a third of the time."""


def write_day(target: Path, trades: SyntheticDay, *, descending: bool | None = None) -> None:
    """Write the archive file of a day to `target`, which is replaced in one step.

    `descending`: whether rows are newest first; the default is the order of the day's era.
    """
    descending = trades.era.descending if descending is None else descending
    header = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
    directions = tick_directions(trades.price)
    part = target.with_name(f".{target.name}.part")
    with part.open("wb") as file, gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
        packed.write((header + (",RPI" if trades.era.has_rpi else "") + "\n").encode())
        starts = range(0, len(trades), _ROWS_AT_ONCE)
        for start in reversed(starts) if descending else starts:
            rows = list(_rows(trades, directions, slice(start, start + _ROWS_AT_ONCE)))
            packed.write("".join(reversed(rows) if descending else rows).encode())
    part.replace(target)


_DIRECTIONS = np.array(["MinusTick", "ZeroMinusTick", "ZeroPlusTick", "PlusTick"], dtype=object)


def tick_directions(price: Integers) -> NDArray[np.object_]:
    """The tick direction of each price against the one before, in matching order; the first one of a day is a fall."""
    change = np.sign(np.diff(price, prepend=price[:1] + 1))
    last_change = np.maximum.accumulate(np.where(change != 0, np.arange(len(price)), 0))
    rising = change[last_change] > 0 if len(price) else change > 0
    directions: NDArray[np.object_] = _DIRECTIONS[np.where(change == 0, 1 + rising, 3 * rising)]
    return directions


def _rows(trades: SyntheticDay, directions: NDArray[np.object_], part: slice) -> Iterator[str]:
    """The lines of the trades in `part`, in matching order."""
    era, symbol = trades.era, trades.symbol
    price, size = trades.price[part], trades.size[part]
    decimal = _trimmed_decimal if era.spelled_as_floats else fixed_decimal
    sizes = _spelled(size, trades.size_decimals, _trimmed_decimal if era.spelled_as_floats else _shortest_decimal)
    times = trades.time_us[part] // 10 ** (6 - era.time_decimals)
    hexes = trades.trade_id[part].tobytes().hex()
    # The exchange writes these values in floating point with its rounding noise: value x 1e8 gives every grossValue of
    # the real file of 2020-03-25 to the last digit. They are not exact, so no candle is computed from them.
    if is_inverse(symbol):
        value = np.round(size / price * 10.0 ** (trades.price_decimals - trades.size_decimals), 8)
    else:
        value = price * size / 10.0 ** (trades.price_decimals + trades.size_decimals)
    columns: list[Any] = [
        _spelled(times, era.time_decimals, _trimmed_decimal),
        repeat(symbol),
        np.where(trades.is_buy[part], "Buy", "Sell").tolist(),
        sizes,
        _spelled(price, trades.price_decimals, decimal),
        directions[part].tolist(),
        [uuid_text(hexes[at : at + 32]) for at in range(0, len(hexes), 32)],
        map(repr if era.spelled_as_floats else _with_exponent, (value * 1e8).tolist()),
        sizes,
        map(repr, value.tolist()),
    ]
    if era.has_rpi:
        columns.append(np.where(trades.is_rpi[part], "1", "0").tolist())
    return (",".join(row) + "\n" for row in zip(*columns, strict=False))


def _spelled(values: Integers, decimals: int, spell: Callable[[int, int], str]) -> list[str]:
    """The text of each value; each distinct value is formatted once, as a day has few distinct prices and sizes."""
    distinct, places = np.unique(values, return_inverse=True)
    texts = np.array([spell(value, decimals) for value in distinct.tolist()], dtype=object)
    spelled: list[str] = texts[places].tolist()
    return spelled


def fixed_decimal(value: int, decimals: int) -> str:
    """A number of units of the last decimal, with all its decimals: 650000 and 2 give 6500.00."""
    whole, rest = divmod(value, 10**decimals)
    return f"{whole}.{rest:0{decimals}}" if decimals else str(whole)


def _trimmed_decimal(value: int, decimals: int) -> str:
    if not decimals:
        return str(value)
    text = fixed_decimal(value, decimals).rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _shortest_decimal(value: int, decimals: int) -> str:
    text = fixed_decimal(value, decimals)
    return text.rstrip("0").rstrip(".") if decimals else text


def _with_exponent(value: float) -> str:
    """A number as newer files write it, `2.4725004e+11`: all its digits, and an exponent of at least two digits."""
    whole, point, fraction = repr(value).partition(".")
    if value < 1 or "e" in fraction or not point:
        return repr(value)
    digits = (whole + fraction).rstrip("0")
    return f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e+{len(whole) - 1:02}"


def uuid_text(digits: str) -> str:
    """A UUID's text, given its 32 hexadecimal digits."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
