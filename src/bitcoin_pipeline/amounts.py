"""Exact amounts: decimals from the exchange's text to BigQuery's NUMERIC.

Part of the core; any module may import it.
"""

from __future__ import annotations

import re
from decimal import Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final

SCALE: Final = 9
"""Decimal places of BigQuery's NUMERIC; a price or a size with more is rejected."""

MAX_INTEGER_DIGITS: Final = 18
"""Upper bound on the integer digits of a price or a size."""

MAX_TURNOVER_DIGITS: Final = 20
"""Upper bound on the integer digits of one trade's turnover; NUMERIC's 29 then hold the sum of a billion trades."""

EXACT: Final = Context(
    prec=100, Emin=-999, Emax=999, traps=[Inexact, Clamped, InvalidOperation, DivisionByZero, Overflow]
)
"""Decimal context that raises an error instead of rounding; 100 digits hold every sum of the pipeline."""

# ASCII digits only, so that every implementation accepts the same texts.
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def parse_decimal(text: str) -> Decimal | None:
    """The number that `text` spells, or None: digits, point, sign, exponent; blanks around it are allowed.

    NaN, infinities, hexadecimal, digit separators and empty text give None.
    """
    text = text.strip(" \t")
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def to_units(value: Decimal, scale: int = SCALE) -> int | None:
    """`value` as an integer count of 10**-scale, or None when it has more decimals than `scale`."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return None
    shift = exponent + scale
    if shift < 0:
        if any(digits[shift:]):
            return None
        digits = digits[:shift]
    units: int = int("".join(map(str, digits)) or "0") * 10 ** max(shift, 0)
    return -units if sign else units


def from_units(units: int, scale: int = SCALE) -> Decimal:
    """The decimal `units` x 10**-scale, without trailing zeros."""
    return canonical(EXACT.scaleb(Decimal(units), -scale))


def canonical(value: Decimal) -> Decimal:
    """`value` in its one form: no trailing zeros, no positive exponent, no negative zero."""
    if not value:
        return Decimal(0)
    value = value.normalize(EXACT)
    exponent = value.as_tuple().exponent
    return value.quantize(Decimal(1), context=EXACT) if isinstance(exponent, int) and exponent > 0 else value


def plain(value: Decimal) -> str:
    """`value` in plain digits, without exponent and trailing zeros: `0.0000123`."""
    return format(canonical(value), "f")


def divide_half_even(numerator: int, denominator: int) -> int:
    """`numerator` / `denominator` rounded to the nearest integer, ties to even; both positive."""
    quotient, rest = divmod(numerator, denominator)
    double = 2 * rest
    return quotient + (double > denominator or (double == denominator and quotient & 1))


def plain_units(text: str) -> int:
    """A plain decimal of `plain`, of at most 9 decimals and not negative, as an integer count of 10**-9."""
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(SCALE, "0"))
