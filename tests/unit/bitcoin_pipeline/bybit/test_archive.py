"""The archive's file: header, rows, direction, and the judgement on its bytes. What rows mean: tests/conformance."""

from __future__ import annotations

import datetime as dt
import functools
import gzip
import hashlib
import io
import re
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_pipeline.bybit.archive import (
    FileCheck,
    Inflater,
    UnusableFileError,
    is_descending,
    parse_header,
    parse_time_us,
    read_day,
)
from bitcoin_pipeline.trade import Reason, RejectedValueError
from tests.support.cases import ARCHIVE_HEADER, Case, load_cases, trade_id

compressed = functools.partial(gzip.compress, mtime=0)
"""Without the time of day, so that every worker gives a test the same name."""


DAY = dt.date(2024, 1, 2)
HEADER = "timestamp,symbol,side,size,price,trdMatchID"
ROW = f"1704153600,BTCUSDT,Buy,1,100,{trade_id(1)}"
PLAIN = f"{HEADER}\n{ROW}\n".encode()
GZIP = compressed(PLAIN)


def check(content: bytes, piece: int = 1 << 16) -> FileCheck:
    judge = FileCheck()
    for start in range(0, len(content), piece):
        judge.feed(content[start : start + piece])
    return judge


# The header.


def test_header_of_2020_and_of_today() -> None:
    old = parse_header(ARCHIVE_HEADER.removesuffix(",RPI"))
    new = parse_header(ARCHIVE_HEADER)
    assert (old.timestamp, old.symbol, old.side, old.size, old.price, old.trade_id) == (0, 1, 2, 3, 4, 6)
    assert (old.rpi, new.rpi) == (None, 10)
    assert (len(old.names), len(new.names)) == (10, 11)


def test_header_tells_every_column_that_is_missing() -> None:
    with pytest.raises(UnusableFileError, match="header lacks side, trdMatchID: 'timestamp,symbol,size,price'"):
        parse_header("timestamp,symbol,size,price")


@pytest.mark.parametrize(
    ("header", "flag", "expected"),
    [
        (f"{HEADER},RPI", ",0", False),
        (f"{HEADER},RPI", ",1", True),
        (f"{HEADER},RPI", ",", None),
        (f"{HEADER},RPI", ",true", None),
        (f"{HEADER},RPI,RPI", ",1,1", None),  # which of the two holds is unknown
        (HEADER, "", None),
    ],
)
def test_a_trade_has_the_file_s_rpi_flag_and_is_never_lost_for_it(
    header: str, flag: str, expected: bool | None
) -> None:
    content = read_day([header, ROW + flag], "BTCUSDT", DAY)
    assert [(trade.rpi, trade.block_trade) for trade in content.trades] == [(expected, None)]
    assert content.rejected == []


def test_a_repeated_id_with_another_flag_is_the_same_trade() -> None:
    content = read_day([f"{HEADER},RPI", f"{ROW},1", f"{ROW},0"], "BTCUSDT", DAY)
    assert [trade.rpi for trade in content.trades] == [True]
    assert (content.duplicates, content.rejected) == (1, [])


@pytest.mark.parametrize("name", ["Price", " price", '"price"', "price\0", ""])
def test_header_names_are_spelled_exactly(name: str) -> None:
    with pytest.raises(UnusableFileError, match="header lacks price"):
        parse_header(HEADER.replace("price", name))


def test_header_with_a_column_twice() -> None:
    with pytest.raises(UnusableFileError, match="header names price twice"):
        parse_header(f"{HEADER},price")


def test_an_error_does_not_carry_a_whole_file() -> None:
    with pytest.raises(UnusableFileError) as error:
        parse_header("x" * 1_000_000)
    assert len(str(error.value)) < 400


def test_a_file_with_old_mac_line_ends_is_not_a_day_without_trades() -> None:
    text = PLAIN.replace(b"\n", b"\r")
    with pytest.raises(UnusableFileError, match="lone carriage return"):
        read_day([text.decode()], "BTCUSDT", DAY)
    assert "lone carriage return" in (check(text).problem() or "")


# Rows.


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("0", 0),
        ("1585180700.0647", 1_585_180_700_064_700),
        ("1704153600.000001", 1_704_153_600_000_001),
        ("1704153600.1000000", 1_704_153_600_100_000),
        ("0.000001", 1),
        ("99999999999", 99_999_999_999_000_000),
    ],
)
def test_times_are_exact(text: str, time_us: int) -> None:
    assert parse_time_us(text) == time_us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "-0.000001",
        "0.0000001",
        "1704153600000",
        "1e11",
        "1e999",
        "1e-999",
        "0e999",
        "NaN",
        pytest.param("1" * 100_000, id="long"),
        pytest.param("1." + "0" * 100_000 + "1", id="long fraction"),
    ],
)
def test_no_times(text: str) -> None:
    with pytest.raises(RejectedValueError) as error:
        parse_time_us(text)
    assert error.value.reason is Reason.UNREADABLE_TIME


@pytest.mark.parametrize(
    ("times", "descending"),
    [
        ([], False),
        ([1], False),
        ([1, 1], False),
        ([1, 2], False),
        ([2, 1], True),
        ([2, 1, 2], False),
        ([3, 2, 2, 1, 9], True),
    ],
)
def test_direction(times: list[int], descending: bool) -> None:
    assert is_descending(times) is descending


def test_a_number_of_many_thousand_digits_spoils_its_row_only() -> None:
    long = "0" * 100_000
    rows = [
        f"1704153600,BTCUSDT,Buy,1.{long}1,100,{trade_id(1)}",
        f"1704153600,BTCUSDT,Buy,1,{'9' * 100_000},{trade_id(2)}",
        f"1704153600.{long}1,BTCUSDT,Buy,1,100,{trade_id(3)}",
        f"1704153600,BTCUSDT,Buy,1.{long},100,{trade_id(4)}",
    ]
    day = read_day([HEADER, *rows], "BTCUSDT", DAY)
    assert [row.reason for row in day.rejected] == [
        Reason.SIZE_OUT_OF_RANGE,
        Reason.PRICE_OUT_OF_RANGE,
        Reason.UNREADABLE_TIME,
    ]
    assert [trade.trade_id for trade in day.trades] == [trade_id(4)]


def test_order_is_the_place_among_readable_rows_in_matching_direction() -> None:
    rows = [
        f"1704153603,BTCUSDT,Buy,1,103,{trade_id(3)}",
        f"1704153602,BTCUSDT,Buy,0,102,{trade_id(9)}",
        f"1704153601,BTCUSDT,Buy,1,102,{trade_id(2)}",
        f"1704153601,BTCUSDT,Buy,1,101,{trade_id(1)}",
    ]
    day = read_day([HEADER, *rows], "BTCUSDT", DAY)
    assert [(trade.trade_id, trade.order) for trade in day.trades] == [
        (trade_id(1), 0),
        (trade_id(2), 1),
        (trade_id(3), 2),
    ]


def test_a_rejected_row_is_kept_as_it_stood() -> None:
    day = read_day([HEADER, "half a line\r\n"], "BTCUSDT", DAY)
    assert [(row.row, row.text, row.minute_us) for row in day.rejected] == [(0, "half a line", None)]


def test_an_id_with_other_content_is_told_in_the_needed_columns() -> None:
    rows = [ROW, f"1704153600.5000,BTCUSDT,Buy,2.50,1e2,{trade_id(1)}"]
    day = read_day([HEADER, *rows], "BTCUSDT", DAY)
    assert [(row.row, row.text) for row in day.rejected] == [(1, f"1704153600.5,BTCUSDT,Buy,2.5,100,{trade_id(1)}")]


@given(st.lists(st.text(alphabet='0123456789.,eE+-"\0\r BTCUSDuySl', max_size=60), max_size=8))
def test_whatever_the_lines_hold_every_one_is_accounted_for(lines: list[str]) -> None:
    day = read_day([HEADER, ROW, *lines], "BTCUSDT", DAY)
    assert day.rows == len(day.trades) + len(day.rejected) + day.duplicates
    assert trade_id(1) in {trade.trade_id for trade in day.trades}


# The bytes.


@pytest.mark.parametrize(
    "content",
    [
        GZIP,
        PLAIN,
        PLAIN.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + PLAIN,
        compressed(b"\r\n\r\n" + PLAIN),
        compressed(PLAIN[:20]) + compressed(PLAIN[20:]),
        compressed(b"") + GZIP + compressed(b""),
        GZIP + b"\0" * 100,
        compressed(PLAIN[:20]) + b"\0" * 7 + compressed(PLAIN[20:]) + b"\0",
        compressed(PLAIN[:-1]),
    ],
    ids=[
        "gzip",
        "plain",
        "crlf",
        "mark",
        "blank",
        "two_members",
        "empty_members",
        "padded",
        "padded_inside",
        "half_line",
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 7, 1 << 16])
def test_usable_files_however_they_are_cut(content: bytes, piece: int) -> None:
    judge = check(content, piece)
    assert judge.problem() is None
    assert judge.has_rows
    assert judge.size == len(content)
    assert judge.sha256 == hashlib.sha256(content).hexdigest()
    assert judge.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()


# What `gzip` makes of nothing when it keeps the name of such a file: 20 bytes and the name with its end.
NOTHING = compressed(b"", mtime=0)
NAMED_NOTHING = NOTHING[:3] + b"\x08" + NOTHING[4:10] + b"BTCUSDT2024-01-02.csv.gz"[:23] + b"\0" + NOTHING[10:]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\r\n\r\n",
        NOTHING,
        NAMED_NOTHING,
        HEADER.encode(),
        f"{HEADER}\r\n\r\n".encode(),
        compressed(HEADER.encode()),
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 16])
def test_files_without_rows_are_no_problem(content: bytes, piece: int) -> None:
    judge = check(content, piece)
    assert judge.problem() is None
    assert not judge.has_rows


def test_the_44_bytes_that_hold_nothing() -> None:
    assert len(NAMED_NOTHING) == 44
    assert gzip.decompress(NAMED_NOTHING) == b""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (GZIP[:-1], "gzip ends too early"),
        (GZIP[:-8], "gzip ends too early"),
        (GZIP[:2], "gzip ends too early"),
        (GZIP[:1], "header lacks"),
        (GZIP + GZIP[:1], "gzip ends too early"),
        (GZIP[:-8] + bytes(4) + GZIP[-4:], "gzip is broken: .*incorrect data check"),
        (GZIP[:-4] + bytes(4), "gzip is broken: .*incorrect length check"),
        (GZIP + b"garbage", "gzip is broken: .*incorrect header check"),
        (GZIP[:12] + bytes([GZIP[12] ^ 0xFF]) + GZIP[13:], "gzip"),
        (compressed(b"a,b,c\n1,2,3\n"), "header lacks timestamp"),
        (b"<html>403 Forbidden</html>", "header lacks timestamp"),
        (b"x", "header lacks timestamp"),
        (b"PK\x03\x04", "header lacks timestamp"),
        (b"\0" * 100, "header lacks timestamp"),
        (b"\xff\xfe\n", "header lacks timestamp"),
        (compressed(GZIP), "header lacks timestamp"),
        pytest.param(b"x" * (1 << 21), "no line end", id="endless"),
        (compressed(b"x" * (1 << 21)), "no line end"),
    ],
)
@pytest.mark.parametrize("piece", [1 << 10, 1 << 22])
def test_unusable_files(content: bytes, problem: str, piece: int) -> None:
    assert re.search(problem, check(content, piece).problem() or "")


@given(st.data())
def test_a_file_cut_off_anywhere_is_never_whole(data: st.DataObject) -> None:
    content = GZIP[: data.draw(st.integers(min_value=1, max_value=len(GZIP) - 1))]
    assert check(content, data.draw(st.integers(min_value=1, max_value=50))).problem() is not None


@given(st.binary(max_size=200), st.integers(min_value=1, max_value=200))
def test_pieces_do_not_change_the_judgement(content: bytes, piece: int) -> None:
    for start in (b"", GZIP, PLAIN):
        whole, cut = check(start + content), check(start + content, piece)
        assert (whole.problem(), whole.has_rows) == (cut.problem(), cut.has_rows)


def test_a_file_that_inflates_a_thousandfold_is_not_held() -> None:
    deflate = zlib.compressobj(9, wbits=31)
    content = (
        deflate.compress(PLAIN) + b"".join(deflate.compress(b"0" * (1 << 20)) for _ in range(64)) + deflate.flush()
    )
    tracemalloc.start()
    try:
        judge = check(content, len(content))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert judge.problem() is None


@pytest.mark.parametrize("case", load_cases("archive"), ids=lambda case: case.name)
def test_judgement_and_reading_agree(case: Case) -> None:
    judge = check(case.archive_gzip(), 100)
    day = read_day(io.StringIO(case.archive_text(), newline="\n"), case.symbol, case.day)
    assert judge.problem() is None
    assert judge.has_rows == (day.rows > 0)


# The text in the bytes.


def inflated(content: bytes, piece: int, most: int = 1 << 20) -> list[bytes]:
    inflater = Inflater(most)
    pieces = (content[start : start + piece] for start in range(0, len(content), piece))
    return [*(text for piece in pieces for text in inflater.feed(piece)), inflater.end()]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        GZIP,
        compressed(PLAIN[:20]) + compressed(PLAIN[20:]),
        compressed(PLAIN[:20]) + b"\0" * 7 + compressed(PLAIN[20:]) + b"\0",
    ],
    ids=["plain", "gzip", "members", "padded"],
)
@pytest.mark.parametrize("piece", [1, 2, 3, 10, 1000])
def test_the_text_does_not_depend_on_the_pieces(content: bytes, piece: int) -> None:
    assert b"".join(inflated(content, piece)) == PLAIN


def test_text_comes_in_pieces_of_bounded_size() -> None:
    texts = inflated(compressed(b"0" * 100_000), 1000, most=4096)
    assert sum(map(len, texts)) == 100_000
    assert max(map(len, texts)) == 4096


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f"])
def test_a_file_too_short_to_be_gzip_is_text(content: bytes) -> None:
    assert b"".join(inflated(content, 1)) == content


@pytest.mark.parametrize(
    ("content", "reason"),
    [(GZIP[:-1], f"gzip ends too early, after {len(GZIP) - 1} bytes"), (GZIP + b"x" * 20, "gzip is broken: ")],
)
def test_gzip_that_is_not_whole_has_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnusableFileError, match=re.escape(reason)):
        inflated(content, 7)
