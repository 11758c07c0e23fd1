"""Rows as a table, as CSV and as JSON."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal

import pytest

from local.command.output import Format, text_of, write_rows

NAMES = ("time", "price", "note")
ROWS = [
    (dt.datetime(2020, 3, 25, 10, 36, 12, 982200, tzinfo=dt.UTC), Decimal("0.000012300"), "a,b"),
    (dt.datetime(2020, 3, 25, 10, 36, tzinfo=dt.UTC), Decimal("1E+9"), None),
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (Decimal("1809.520"), "1809.52"),
        (Decimal("1E-9"), "0.000000001"),
        (Decimal("NaN"), "NaN"),
        (dt.date(2020, 3, 25), "2020-03-25"),
        (dt.datetime(2020, 3, 25, 19, 36, tzinfo=dt.timezone(dt.timedelta(hours=9))), "2020-03-25T10:36:00Z"),
        (b"\x00\xff", "00ff"),
        ({"a": [Decimal("1.10"), None]}, '{"a": ["1.1", null]}'),
    ],
)
def test_a_value_has_one_text(value: object, text: str) -> None:
    assert text_of(value) == text


def test_csv_quotes_what_must_be_quoted() -> None:
    out = io.StringIO()
    assert write_rows(NAMES, ROWS, Format.CSV, out) == 2
    assert out.getvalue() == (
        'time,price,note\n2020-03-25T10:36:12.9822Z,0.0000123,"a,b"\n2020-03-25T10:36:00Z,1000000000,\n'
    )


def test_json_is_one_array_with_exact_decimals() -> None:
    out = io.StringIO()
    assert write_rows(NAMES, ROWS, Format.JSON, out) == 2
    assert json.loads(out.getvalue()) == [
        {"time": "2020-03-25T10:36:12.9822Z", "price": "0.0000123", "note": "a,b"},
        {"time": "2020-03-25T10:36:00Z", "price": "1000000000", "note": None},
    ]


def test_json_stays_json_without_finite_numbers() -> None:
    out = io.StringIO()
    write_rows(("a", "b"), [(float("inf"), float("nan"))], Format.JSON, out)
    assert json.loads(out.getvalue()) == [{"a": None, "b": None}]


@pytest.mark.parametrize(("output_format", "text"), [(Format.JSON, "[]\n"), (Format.CSV, "time,price,note\n")])
def test_no_rows_are_still_a_document(output_format: Format, text: str) -> None:
    out = io.StringIO()
    assert write_rows(NAMES, [], output_format, out) == 0
    assert out.getvalue() == text


def test_a_table_shows_head_and_foot_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    assert write_rows(("n",), ((number,) for number in range(100)), Format.TABLE, out) == 100
    shown = out.getvalue().split()
    assert shown == ["n", *map(str, range(20)), "…", *map(str, range(80, 100))]
    assert "100 rows, 60 of them not shown; --format csv gives all" in capsys.readouterr().err


def test_a_table_never_cuts_digits() -> None:
    out = io.StringIO()
    wide = "9" * 300
    write_rows(("a", "b"), [(wide, wide)], Format.TABLE, out)
    assert out.getvalue().split() == ["a", "b", wide, wide]
