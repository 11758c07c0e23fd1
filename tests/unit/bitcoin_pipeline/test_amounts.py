"""Exact amounts: which texts are numbers, units, the one canonical form, rounding."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_pipeline.amounts import (
    EXACT,
    canonical,
    divide_half_even,
    from_units,
    parse_decimal,
    plain,
    to_units,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6698.5", "6698.5"),
        ("0.0000123", "0.0000123"),
        ("2.4725004e+11", "247250040000"),
        ("1E-3", "0.001"),
        ("+.5", "0.5"),
        ("5.", "5"),
        ("-0", "0"),
        (" 1.0\t", "1"),
        ("007", "7"),
    ],
)
def test_numbers(text: str, value: str) -> None:
    assert parse_decimal(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "+",
        "e5",
        "1e",
        "1e+",
        "NaN",
        "nan",
        "sNaN",
        "inf",
        "-Infinity",
        "0x10",
        "1_000",
        "1,5",
        "1 2",
        "--1",
        "1.2.3",
        "1e1000",
        "1\n",
        "\n1",
        "1\r",
        "1\0",
        "\N{FULLWIDTH DIGIT ONE}",
        "\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_no_numbers(text: str) -> None:
    assert parse_decimal(text) is None


@given(st.integers(min_value=-(10**38), max_value=10**38), st.integers(min_value=0, max_value=9))
def test_units_and_back(units: int, scale: int) -> None:
    value = from_units(units, scale)
    assert Fraction(value) == Fraction(units, 10**scale)
    assert to_units(value, scale) == units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1", 10**9),
        ("0.000000001", 1),
        ("-1.5", -1_500_000_000),
        ("1e3", 10**12),
        ("1.0000000000", 10**9),
        ("0e-20", 0),
        ("0.0000000001", None),
        ("1.0000000001", None),
        ("1e-400", None),
        ("NaN", None),
        ("Infinity", None),
    ],
)
def test_units_of(text: str, units: int | None) -> None:
    assert to_units(Decimal(text)) == units


def test_a_number_of_many_thousand_digits_is_only_a_number() -> None:
    zeros = "0" * 100_000
    assert to_units(Decimal(f"1.{zeros}")) == 10**9
    assert to_units(Decimal(f"1.{zeros}1")) is None
    assert canonical(Decimal(f"1.5{zeros}")) == Decimal("1.5")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("100", "100"),
        ("1E+2", "100"),
        ("1.500", "1.5"),
        ("0.0000123", "0.0000123"),
        ("1.23e-7", "0.000000123"),
        ("-0.00", "0"),
        ("0E+5", "0"),
        ("999999999999999999.999999999", "999999999999999999.999999999"),
    ],
)
def test_one_form_of_a_value(text: str, form: str) -> None:
    assert plain(Decimal(text)) == form
    assert str(canonical(Decimal(text)).as_tuple()) == str(Decimal(form).as_tuple())


def test_the_callers_decimal_context_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 3
        value = parse_decimal("123456789.123456789")
        assert value is not None
        assert plain(value) == "123456789.123456789"
        assert from_units(123456789123456789) == value
        assert EXACT.add(value, value) == Decimal("246913578.246913578")


@given(st.integers(min_value=0, max_value=10**60), st.integers(min_value=1, max_value=10**30))
def test_division_rounds_as_fractions_do(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(("numerator", "rounded"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_a_tie_goes_to_the_even_number(numerator: int, rounded: int) -> None:
    assert divide_half_even(numerator, 2) == rounded
