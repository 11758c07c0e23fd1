"""Whole archive files: any order and any repeats, as the core reads them, and bytes in every form."""

from __future__ import annotations

import functools
import gzip
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcoin_pipeline.bybit.archive import UnusableFileError
from bitcoin_pipeline.trade import Reason
from candles_batch.candles import minute_candles
from candles_batch.reading import read_day
from tests.support.small_files import DAY, HEADER, START, assert_same_as_core, file, row

compressed = functools.partial(gzip.compress, mtime=0)
"""gzip without the time of day, so that every worker of pytest-xdist names a parametrized test alike."""


@st.composite
def days(draw: st.DrawFn) -> bytes:
    """A small file with ties, repeated ids, bad rows, any direction."""
    usual = st.builds(
        row,
        number=st.integers(0, 12),
        time=st.sampled_from(
            [f"{START + at}{fraction}" for at in (0, 59, 60, 86399) for fraction in ("", ".1", ".999999")]
        ),
        side=st.sampled_from(["Buy", "Sell"]),
        size=st.sampled_from(["1", "0.001", "1000000000"]),
        price=st.sampled_from(["65000.5", "0.0000123", "77.31"]),
        rpi=st.sampled_from(["0", "1", ""]),
    )
    unusual = st.builds(
        row,
        number=st.integers(0, 12),
        time=st.sampled_from([str(START + 60), str(START - 1), str(START + 86400), "", "x"]),
        symbol=st.sampled_from(["BTCUSDT", "BTCUSD"]),
        side=st.sampled_from(["Buy", "Bid"]),
        size=st.sampled_from(["1", "0", "99999999999", "1e18"]),
        price=st.sampled_from(["1", "99999999999", "123456789012345678.123456789"]),
    )
    lines = draw(st.lists(st.one_of(usual, usual, usual, usual, unusual, st.just("x,y")), max_size=25))
    direction = draw(st.sampled_from(["as drawn", "ascending", "descending"]))
    if direction != "as drawn":
        lines.sort(reverse=direction == "descending", key=lambda line: line[:12])
    return file(*lines)


@given(content=days(), piece=st.integers(1, 400))
@settings(max_examples=200, deadline=None)
def test_any_small_day_is_what_the_core_reads(content: bytes, piece: int) -> None:
    assert_same_as_core(content, piece=piece)


@given(content=days())
@settings(max_examples=100, deadline=None)
def test_any_small_day_of_an_inverse_symbol_is_what_the_core_reads(content: bytes) -> None:
    assert_same_as_core(content.replace(b"BTCUSDT", b"BTCUSD"), "BTCUSD")


@pytest.mark.parametrize("direction", [1, -1])
def test_ties_and_repeated_ids_in_many_blocks(direction: int) -> None:
    pick = random.Random(5)
    rows = [
        row(pick.randrange(20_000), time=f"{START + second // 3}.{pick.randrange(2)}", price=f"{pick.randrange(1, 3)}")
        for second in range(2000)
    ]
    rows = sorted(rows + pick.choices(rows, k=50), key=lambda line: line[:12])[::direction]
    core = assert_same_as_core(file(*rows), piece=5000)
    assert core.duplicates > 20
    assert {item.reason for item in core.rejected} == {Reason.ID_WITH_OTHER_CONTENT}


CONTENT = file(*(row(number) for number in range(200)))
GZIP = compressed(CONTENT)


@pytest.mark.parametrize("piece", [1, 2, 7, 1000, 1 << 20])
@pytest.mark.parametrize(
    "content",
    [
        CONTENT,
        GZIP,
        compressed(CONTENT[:777]) + compressed(CONTENT[777:]),
        compressed(b"") + GZIP + b"\0" * 600,
        compressed(CONTENT[:777]) + b"\0\0" + compressed(CONTENT[777:]) + b"\0",
        compressed(b"\r\n\n" + CONTENT.removesuffix(b"\n")),
    ],
    ids=["plain", "gzip", "members", "padding", "padding between", "blank lines, no last line end"],
)
def test_whole_files(content: bytes, piece: int) -> None:
    day = read_day((content[at : at + piece] for at in range(0, len(content), piece)), "BTCUSDT", DAY)
    assert (len(day.trades), day.rejected) == (200, [])


@pytest.mark.parametrize(
    "content", [b"", compressed(b""), GZIP[:0], b"\n\r\n", HEADER.encode(), f"{HEADER}\r\n\n".encode()]
)
def test_a_file_without_rows_has_no_trades(content: bytes) -> None:
    day = read_day([content], "BTCUSDT", DAY)
    assert (day.rows, len(day.trades), minute_candles(day).num_rows, day.size_sum) == (0, 0, 0, 0)


@pytest.mark.parametrize("piece", [1, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GZIP[:-1], "gzip ends too early, after"),
        (GZIP[: len(GZIP) // 2], "gzip ends too early, after"),
        (GZIP[:5], "gzip ends too early, after 5 bytes"),
        (GZIP + GZIP[:15], "gzip ends too early, after"),
        (GZIP[:-8] + bytes(8), "gzip is broken"),
        (GZIP[:10] + b"\x07" + GZIP[11:], "gzip is broken: .* invalid block type"),
        (GZIP + b"rubbish", "gzip is broken"),
        (b"<html>403 Forbidden</html>\n", "header lacks timestamp"),
        (file(row(1), header=HEADER.replace("price", "px")), "header lacks price"),
        (GZIP[:1], "header lacks"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(content: bytes, reason: str, piece: int) -> None:
    pieces = (content[at : at + piece] for at in range(0, len(content), piece))
    with pytest.raises(UnusableFileError, match=reason):
        read_day(pieces, "BTCUSDT", DAY)


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    with pytest.raises(UnusableFileError, match="no line end in 4718592 bytes"):
        read_day(itertools.chain([CONTENT], itertools.repeat(b"x" * (1 << 19))), "BTCUSDT", DAY)
