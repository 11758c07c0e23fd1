"""Exact arithmetic on columns of amounts: turnover, and sums of runs.

Part of the candles job; its modules and tests import it. Amounts are integers in units of 10**-9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bitcoin_pipeline.amounts import SCALE
from bitcoin_pipeline.symbols import is_inverse

Integers = npt.NDArray[Any]
"""int64, or object for Python integers where int64 is too narrow; numpy's arithmetic is the same for both."""


def integers(values: Sequence[int | None]) -> Integers:
    """The values as int64, or as objects if one of them does not fit."""
    try:
        return np.array(values, np.int64)
    except OverflowError:
        return np.array(values, object)


def turnovers(symbol: str, price: Integers, size: Integers) -> Integers:
    """The turnover of each trade in units of 10**-9, by the rule of the core's `turnover_of`."""
    price, price_zeros = _without_common_zeros(price)
    size, size_zeros = _without_common_zeros(size)
    if is_inverse(symbol):
        shift = SCALE + size_zeros - price_zeros
        return _ratio([size], 10**shift, price)
    shift = price_zeros + size_zeros - SCALE
    return _ratio([price, size], 10 ** max(shift, 0), 10 ** max(-shift, 0))


def sums(values: Integers, first: npt.NDArray[np.int64]) -> list[int]:
    """The exact sum of each run of `values`; a run starts at each of the positions `first`."""
    if values.dtype == object:
        return [int(total) for total in np.add.reduceat(values, first)]
    # Halves of 32 bits cannot overflow in a sum of fewer than 2**31 values.
    high = np.add.reduceat(values >> 32, first).tolist()
    low = np.add.reduceat(values & 0xFFFFFFFF, first).tolist()
    return [(upper << 32) + lower for upper, lower in zip(high, low, strict=True)]


def _without_common_zeros(values: Integers) -> tuple[Integers, int]:
    """The values divided by the largest power of ten that divides all of them, and its exponent, 9 at most."""
    common = int(np.gcd.reduce(values)) if len(values) else 1
    zeros = next(zeros for zeros in range(SCALE, -1, -1) if common % 10**zeros == 0)
    return values // 10**zeros, zeros


def _ratio(factors: list[Integers], scale: int, denominator: Integers | int) -> Integers:
    """The product of `factors` and `scale`, divided by `denominator`, rounded half-even; all are positive."""
    bound = float(scale)
    for factor in factors:
        bound *= float(factor.max(initial=0))
    if bound >= 2.0**62:
        factors = [factor.astype(object) for factor in factors]
    numerator = factors[0] * scale
    for factor in factors[1:]:
        numerator = numerator * factor
    if isinstance(denominator, int) and denominator == 1:
        return numerator
    quotient = numerator // denominator
    rest = numerator - quotient * denominator
    opposite = denominator - rest  # twice the rest could overflow
    up = (rest > opposite) | ((rest == opposite) & (quotient % 2 == 1))
    rounded: Integers = quotient + up
    return rounded
