"""Blocks of an archive file: they are read as the core reads them, and as a whole where nothing is unusual."""

from __future__ import annotations

import gzip
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcoin_pipeline.bybit import archive
from bitcoin_pipeline.trade import Reason
from candles_batch import parsing
from candles_batch.candles import minute_candles
from candles_batch.parquet import trades_parquet
from candles_batch.reading import read_day
from tests.support.job_results import candles_of, trades_of
from tests.support.small_files import DAY, HEADER, REAL_DAY, REAL_FILE, assert_same_as_core, file, row


@pytest.fixture
def whole_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the core's `parse_row` fail, so that only blocks that pyarrow parses as a whole can be read."""

    def refuse(*_: object) -> None:
        raise AssertionError("a block was read line by line")

    monkeypatch.setattr(parsing, "parse_row", refuse)


@pytest.mark.usefixtures("whole_blocks")
def test_the_real_day_needs_no_line_by_line_reading() -> None:
    day = read_day([REAL_FILE.read_bytes()], "BTCUSDT", REAL_DAY)
    assert (len(day.trades), day.rows, day.duplicates, day.rejected) == (2693, 2693, 0, [])
    assert day.size_sum == 1_809_520_000_000
    candles = candles_of(minute_candles(day))
    assert len(candles) == 442
    assert (candles[0].open, candles[-1].close) == (Decimal(6500), Decimal("6698.5"))


def test_the_real_day_is_what_the_core_reads() -> None:
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
    # In a block of its own, and in a block with rows that must not be lost with it.
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


FLAGS = ("0", "1", "", "2", "true", "1.0", " 1", "1 ", "01", "1\0", "\uff11", "B\\", '"1"', "null")


@pytest.mark.parametrize("rpi", FLAGS, ids=ascii)
@pytest.mark.parametrize("header", [HEADER, HEADER.replace("trdMatchID,RPI", "RPI,trdMatchID")])
def test_a_flag_is_read_as_the_core_reads_it(rpi: str, header: str) -> None:
    line = row(2, rpi=rpi)
    if header != HEADER:
        *others, trade_id, flag = line.split(",")
        line = ",".join([*others, flag, trade_id])
    core = assert_same_as_core(file(line, header=header))
    assert [trade.rpi for trade in core.trades] == [{"0": False, "1": True}.get(rpi)]


@pytest.mark.usefixtures("whole_blocks")
def test_flags_need_no_line_by_line_reading() -> None:
    flags = ["0", "1", "1", "", "0", "x", "1", "0", "1"]
    day = read_day([file(*(row(number, rpi=flag) for number, flag in enumerate(flags)))], "BTCUSDT", DAY)
    found = [trade.rpi for trade in trades_of(trades_parquet(day), "BTCUSDT")]
    assert found == [False, True, True, None, False, None, True, False, True]


@pytest.mark.parametrize("header", [HEADER.replace("RPI", "rpi"), f"{HEADER},RPI"])
def test_a_file_without_one_column_of_flags_has_none(header: str) -> None:
    line = row(2, rpi="1") + ",1" * (header.count(",") - HEADER.count(","))
    core = assert_same_as_core(file(line, header=header))
    assert [(trade.rpi, trade.block_trade) for trade in core.trades] == [(None, None)]


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
    (rejected,) = read_day([content], "BTCUSDT", DAY).rejected
    assert (rejected.reason, rejected.text) == (Reason.UNKNOWN_SIDE, row(2, side="B\\xff"))


def test_a_bad_row_costs_its_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []

    def parse_row(*arguments: object) -> object:
        judged.append(arguments[-1])  # type: ignore[arg-type]
        return archive.parse_row(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(parsing, "parse_row", parse_row)
    rows = [row(number, side="Bid" if number == 150 else "Buy") for number in range(300)]
    blocks = [
        file(*rows[:100]),
        *("".join(f"{line}\n" for line in rows[start : start + 100]).encode() for start in (100, 200)),
    ]
    day = read_day(blocks, "BTCUSDT", DAY)
    assert judged == list(range(100, 200))
    assert (len(day.trades), [(item.row, item.text) for item in day.rejected]) == (299, [(150, rows[150])])


@pytest.mark.usefixtures("whole_blocks")
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
def test_usual_files_of_all_eras_are_parsed_in_whole_blocks(header: str, line_end: str, price: str) -> None:
    values = dict(zip(HEADER.split(","), row(7, price=price).split(","), strict=True))
    line = ",".join(values.get(name, "2.4725004e+11") for name in header.removeprefix("\ufeff").split(","))
    day = read_day([f"{header}{line_end}{line}{line_end}".encode()], "BTCUSDT", DAY)
    assert (day.trades.price.tolist(), day.rows) == ([int(Decimal(price) * 10**9)], 1)
