"""Rows as a table, as CSV and as JSON."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from local.checkout import ROOT
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


TABLE_OF_100 = """
from local.command.output import Format, write_rows
write_rows(("n",), ((number,) for number in range(100)), Format.TABLE)
"""


@pytest.mark.parametrize(("lines", "is_paged"), [(24, True), (120, False)])
def test_a_table_longer_than_the_terminal_goes_through_the_pager(tmp_path: Path, lines: int, is_paged: bool) -> None:
    terminal, other = pty.openpty()
    paged = tmp_path / "paged"
    environ = {**os.environ, "PAGER": f"cat > {paged}", "MANPAGER": "", "LINES": str(lines), "COLUMNS": "80"}
    environ["TERM"] = "xterm"
    process = subprocess.Popen([sys.executable, "-c", TABLE_OF_100], cwd=ROOT, env=environ, stdin=other, stdout=other)
    os.close(other)
    shown = b""
    with suppress(OSError):  # the end of the terminal's other side
        while part := os.read(terminal, 1 << 16):
            shown += part
    assert process.wait(30) == 0
    os.close(terminal)
    text = paged.read_text() if is_paged else re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())
    assert text.split() == ["n", *map(str, range(100))]
    assert paged.exists() is is_paged


def test_a_binary_format_is_refused_by_a_terminal() -> None:
    terminal, other = pty.openpty()
    with os.fdopen(other, "w") as out, pytest.raises(OSError, match=r"parquet is no text; .* > FILE\.parquet"):
        write_rows(NAMES, ROWS, Format.PARQUET, out, schema=lambda: pa.schema([]))
    os.close(terminal)
