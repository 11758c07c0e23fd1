"""The candles job's transforms: always what the core says, by the fast way where nothing is unusual."""

from __future__ import annotations

import datetime as dt
import functools
import gzip
import itertools
import random
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcoin_pipeline import schemas
from bitcoin_pipeline.adapters.arrow import table_schema
from bitcoin_pipeline.amounts import from_units, to_units
from bitcoin_pipeline.bybit import archive
from bitcoin_pipeline.bybit.archive import DayTrades, UnusableFileError
from bitcoin_pipeline.candle import Source, minute_candles
from bitcoin_pipeline.times import day_start_us
from bitcoin_pipeline.trade import Reason, RejectedValueError, turnover_of
from candles_batch import transforms
from local.checkout import ROOT
from tests.support.job_results import candles_of, trades_of

compressed = functools.partial(gzip.compress, mtime=0)
"""Without the time of day, so that every worker gives a test the same name."""


REAL_FILE = ROOT / "tests" / "fixtures" / "bybit" / "BTCUSDT2020-03-25.csv.gz"
REAL_DAY = dt.date(2020, 3, 25)
DAY = dt.date(2024, 5, 6)
START = day_start_us(DAY) // 1_000_000
HEADER = "timestamp,symbol,side,size,price,trdMatchID,RPI"


def row(
    number: int = 1,
    *,
    time: str = f"{START}.5",
    symbol: str = "BTCUSDT",
    side: str = "Buy",
    size: str = "0.5",
    price: str = "100.5",
    trade_id: str | None = None,
) -> str:
    return f"{time},{symbol},{side},{size},{price},{trade_id or uuid.UUID(int=number)},0"


def file(*rows: str, header: str = HEADER) -> bytes:
    return "".join(f"{line}\n" for line in (header, *rows)).encode()


def core_day(content: bytes, symbol: str = "BTCUSDT", day: dt.date = DAY) -> DayTrades:
    text = content.decode("utf-8", "backslashreplace")
    return archive.read_day(text.split("\n"), symbol, day)


def assert_same_as_core(content: bytes, symbol: str = "BTCUSDT", day: dt.date = DAY, piece: int = 1 << 20) -> DayTrades:
    """Everything that the job makes of a plain file equals what the core makes of it."""
    pieces = (content[start : start + piece] for start in range(0, len(content), piece))
    job, core = transforms.read_day(pieces, symbol, day), core_day(content, symbol, day)
    assert (job.rejected, job.duplicates, job.rows) == (core.rejected, core.duplicates, core.rows)
    assert trades_of(transforms.trades_parquet(job), symbol) == core.trades
    partial = [item.minute_us for item in core.rejected if item.minute_us is not None]
    assert candles_of(transforms.candles(job)) == minute_candles(core.trades, Source.ARCHIVE, partial_minutes=partial)
    assert job.size_sum == sum(to_units(trade.size) or 0 for trade in core.trades)
    return core


@pytest.fixture
def fast_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core's reader of lines is out of reach: only what is beyond doubt gets through."""

    def refuse(*_: object) -> None:
        raise AssertionError("a block was read line by line")

    monkeypatch.setattr(transforms, "parse_row", refuse)


# The fast way and the core.


@pytest.mark.usefixtures("fast_only")
def test_the_real_day_needs_no_line_by_line_reading() -> None:
    day = transforms.read_day([REAL_FILE.read_bytes()], "BTCUSDT", REAL_DAY)
    assert (len(day.trades), day.rows, day.duplicates, day.rejected) == (2693, 2693, 0, [])
    assert day.size_sum == 1_809_520_000_000
    candles = candles_of(transforms.candles(day))
    assert len(candles) == 442
    assert (candles[0].open, candles[-1].close) == (Decimal(6500), Decimal("6698.5"))


def test_the_real_day_is_what_the_core_says() -> None:
    core = assert_same_as_core(gzip.decompress(REAL_FILE.read_bytes()), "BTCUSDT", REAL_DAY)
    assert len(core.trades) == 2693


SPELLINGS = (
    *("1", "1.0", "007.5", ".5", "5.", "+1", "-1", "-0", "0", "0.000000000", "1e-05", "1E+2", "1.e2", "12e0", "1e5"),
    *("0.0000000010", "0.00000000010", "0.0000000001", "1e-9", "1e-10", "10e-10", "1e17", "1e18", "1e30", "1e999"),
    *("1e-999", "0e999", "1e0005", "1e+-5", "1e0x5", "1e", "e5", ".", "", "-", "+", "1e+", "1.2.3", "1,2", "1_0"),
    *(
        "nan",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "0x1",
        "0X1P3",
        "\uff11",
        "٣",
        "1\u00a0",
        " 1.0",
        "1.0 ",
        "\t1",
        "1\t",
        "\v1",
    ),
    *("1\r", "\r1", "1\0", "\0", '"1"', "'1'", "null", "None", "true", "1/2", "1f", "1d", "1L", "$1", "1%", "\ufeff1"),
    *("9223372036.854775807", "9223372036.854775808", "18446744073.709551616", "123456789012345678.123456789"),
    *("999999999999999999", "1000000000000000000", "1" * 39, "0." + "0" * 40, "1." + "0" * 40, "1e4294967297"),
    *("1715000000", "1715000000.123456", "1715000000.1234567", "1715000000.1234560", "1.715e9", "01715000000"),
)


@pytest.mark.parametrize("text", SPELLINGS, ids=ascii)
@pytest.mark.parametrize("column", ["time", "size", "price"])
def test_a_number_is_read_as_the_core_reads_it(column: str, text: str) -> None:
    # Alone, so that the fast way sees it, and beside others, so that they are not lost with it.
    assert_same_as_core(file(row(1, **{column: text})))
    assert_same_as_core(file(row(1), row(2, **{column: text}), row(3)))


@given(text=st.text("0123456789.eE+-x _ \t", max_size=9), column=st.sampled_from(["time", "size", "price"]))
@settings(max_examples=300, deadline=None)
def test_any_spelling_of_a_number_is_read_as_the_core_reads_it(column: str, text: str) -> None:
    assert_same_as_core(file(row(1, **{column: text})))


GOOD_ID = "08ff9568-cb50-55d6-b497-13727eec09dc"


@pytest.mark.parametrize(
    "trade_id",
    [
        *(GOOD_ID, GOOD_ID.upper(), GOOD_ID.replace("-", ""), f"{{{GOOD_ID}}}", f"urn:uuid:{GOOD_ID}", GOOD_ID[:-1]),
        *(f"{GOOD_ID}0", f" {GOOD_ID[1:]}", f"{GOOD_ID[:-1]} ", f"{GOOD_ID[:-1]}g", f"-{GOOD_ID[1:]}", "-" * 36),
        *(f"{GOOD_ID[:8]}0{GOOD_ID[9:]}", f"{GOOD_ID[:-2]}é", f"{GOOD_ID[:-3]}é", "0" * 36, " ", "1", "\uff10"),
    ],
)
def test_an_id_is_read_as_the_core_reads_it(trade_id: str) -> None:
    assert_same_as_core(file(row(trade_id=trade_id)))
    assert_same_as_core(file(row(1), row(trade_id=trade_id), row(3)))


@pytest.mark.parametrize("side", ["Buy", "Sell", "buy", "SELL", "", "None", " Buy", "Buy ", "Bu", "B\0y", "Bü"])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "btcusdt", "ETHUSDT", "", "BTCUSDT ", '"BTCUSDT"', "BTC\udce9USDT"])
def test_words_are_read_as_the_core_reads_them(side: str, symbol: str) -> None:
    bad = row(2, side=side, symbol=symbol).encode("utf-8", "surrogateescape")
    assert_same_as_core(file(row(1)) + bad + b"\n" + row(3).encode() + b"\n")


@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "\r",
            "\r\r",
            " ",
            ",",
            ",,,,,,",
            ",,,,,,,",
            "x",
            "\0",
            "\0\0\0\n\0",
            '"',
            '""""""',
            "#comment",
            "\ufeff",
        ),
        *(
            row(2)[:30],
            row(2) + ",",
            row(2) + ",1",
            row(2) + "\r",
            row(2) + "\r\r",
            row(2).replace(",", "\r"),
            f'"{row(2)}"',
        ),
        *(
            row(2).replace(",Buy", ',"Buy'),
            row(2) + '"',
            "\ufeff" + row(2),
            " " + row(2),
            row(2) + "\r" + row(4),
            HEADER,
        ),
        *(
            row(2).replace("0.5", "0.5\0"),
            row(2)[:-1] + "\0",
            row(2)[:-1] + '"a',
            row(2)[:-1] + "é",
            row(2)[:-1] + "\\",
        ),
    ],
    ids=ascii,
)
def test_a_line_is_read_as_the_core_reads_it(line: str) -> None:
    assert_same_as_core(file(line))
    assert_same_as_core(file(line, row(3)))
    assert_same_as_core(file(row(1), line, row(3)))
    assert_same_as_core(file(row(1), line).removesuffix(b"\n"))


def test_a_byte_order_mark_at_the_start_of_a_block_is_part_of_its_row() -> None:
    content = file(row(1), "\ufeff" + row(2))
    assert_same_as_core(content, piece=len(file(row(1))))


def test_bytes_that_are_no_text_stand_escaped_in_quarantine() -> None:
    content = file(row(1)) + row(2, side="B\\").encode().replace(b"\\", b"\xff") + b"\n"
    (rejected,) = transforms.read_day([content], "BTCUSDT", DAY).rejected
    assert (rejected.reason, rejected.text) == (Reason.UNKNOWN_SIDE, row(2, side="B\\xff"))


def test_a_bad_row_costs_its_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []

    def parse_row(*arguments: object) -> object:
        judged.append(arguments[-1])  # type: ignore[arg-type]
        return archive.parse_row(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(transforms, "parse_row", parse_row)
    rows = [row(number, side="Bid" if number == 150 else "Buy") for number in range(300)]
    blocks = [
        file(*rows[:100]),
        *("".join(f"{line}\n" for line in rows[start : start + 100]).encode() for start in (100, 200)),
    ]
    day = transforms.read_day(blocks, "BTCUSDT", DAY)
    assert judged == list(range(100, 200))
    assert (len(day.trades), [(item.row, item.text) for item in day.rejected]) == (299, [(150, rows[150])])


@pytest.mark.usefixtures("fast_only")
@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        "timestamp,symbol,side,size,price,trdMatchID",
        "trdMatchID,price,RPI,size,side,new,symbol,new,timestamp,",
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional,RPI",
        f"\ufeff{HEADER}",
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\n\n", "\r\n\n"])
@pytest.mark.parametrize("price", ["100.5", "1.23e-05", "0.0000123"])
def test_usual_files_of_all_eras_go_the_fast_way(header: str, line_end: str, price: str) -> None:
    values = dict(zip(HEADER.split(","), row(7, price=price).split(","), strict=True))
    line = ",".join(values.get(name, "2.4725004e+11") for name in header.removeprefix("\ufeff").split(","))
    day = transforms.read_day([f"{header}{line_end}{line}{line_end}".encode()], "BTCUSDT", DAY)
    assert (day.trades.price.tolist(), day.rows) == ([int(Decimal(price) * 10**9)], 1)


# Whole days.


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
def test_any_small_day_is_what_the_core_says(content: bytes, piece: int) -> None:
    assert_same_as_core(content, piece=piece)


@given(content=days())
@settings(max_examples=100, deadline=None)
def test_any_small_day_of_an_inverse_symbol_is_what_the_core_says(content: bytes) -> None:
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


amounts = st.one_of(
    st.integers(1, 10**18),
    st.integers(1, 10**27 - 1),
    st.builds(lambda n, z: n * 10**z, st.integers(1, 10**6), st.integers(0, 12)),
)


@given(
    pairs=st.lists(st.tuples(amounts, amounts), min_size=1, max_size=4), symbol=st.sampled_from(["BTCUSDT", "BTCUSD"])
)
@settings(max_examples=500, deadline=None)
def test_turnover_is_the_core_s(pairs: list[tuple[int, int]], symbol: str) -> None:
    expected = []
    for price, size in pairs:
        try:
            expected.append(turnover_of(symbol, from_units(price), from_units(size)))
        except RejectedValueError:
            return  # such a trade is rejected where it enters
    prices, sizes = (transforms._integers([pair[column] for pair in pairs]) for column in (0, 1))
    turnover = transforms.turnovers(symbol, prices, sizes)
    assert [from_units(int(units)) for units in turnover] == expected


# The file's bytes.


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
    day = transforms.read_day((content[at : at + piece] for at in range(0, len(content), piece)), "BTCUSDT", DAY)
    assert (len(day.trades), day.rejected) == (200, [])


@pytest.mark.parametrize(
    "content", [b"", compressed(b""), GZIP[:0], b"\n\r\n", HEADER.encode(), f"{HEADER}\r\n\n".encode()]
)
def test_a_file_without_rows_has_no_trades(content: bytes) -> None:
    day = transforms.read_day([content], "BTCUSDT", DAY)
    assert (day.rows, len(day.trades), transforms.candles(day).num_rows, day.size_sum) == (0, 0, 0, 0)


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
        transforms.read_day(pieces, "BTCUSDT", DAY)


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    with pytest.raises(UnusableFileError, match="no line end in 4718592 bytes"):
        transforms.read_day(itertools.chain([CONTENT], itertools.repeat(b"x" * (1 << 19))), "BTCUSDT", DAY)


# Parquet.


def test_parquet_has_the_schema_and_row_groups_to_prune_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "TRADE_ROW_GROUP", 1000)
    day = transforms.read_day([REAL_FILE.read_bytes()], "BTCUSDT", REAL_DAY)
    file = pq.ParquetFile(pa.BufferReader(transforms.trades_parquet(day)))
    assert file.schema_arrow.equals(table_schema("lake.trades"), check_metadata=True)
    assert file.schema_arrow.names == list(schemas.table("lake.trades").names)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [1000, 1000, 693]
    spans = [(group.column(0).statistics.min, group.column(0).statistics.max) for group in groups]
    assert spans == sorted(spans)
    assert {column.compression for group in groups[:1] for column in map(group.column, range(5))} == {
        "ZSTD",
        "UNCOMPRESSED",
    }
    assert [(column.column_index, column.descending) for column in groups[0].sorting_columns] == [
        (0, False),
        (5, False),
    ]
