"""One block of an archive file's text as columns: fast where nothing is unusual, else line by line.

Part of the candles job; its modules and tests import it. pyarrow parses a block as a whole. A block that holds anything
that pyarrow could read differently is parsed again by the core's `parse_row`, which alone decides what is a trade.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from bitcoin_pipeline.adapters.arrow import NUMERIC
from bitcoin_pipeline.amounts import to_units
from bitcoin_pipeline.bybit.archive import NEEDED_COLUMNS, RPI_COLUMN, RPI_FLAGS, Header, parse_row
from bitcoin_pipeline.bybit.rejected_rows import RejectedRow
from bitcoin_pipeline.times import DAY_US, day_start_us
from bitcoin_pipeline.trade import TakerSide, Trade
from candles_batch.arithmetic import integers
from candles_batch.arrays import characters, codes
from candles_batch.columns import UNKNOWN, Columns
from candles_batch.words import microseconds, uuids

_TIME: Final = pa.decimal128(18, 6)
_DIGITS_AND_POINT: Final = b"0123456789."
# pyarrow also accepts 1e0005, 1e+-5 and 1e0x5, which the core rejects.
_PLAIN_EXPONENT: Final = r"^[0-9]*\.?[0-9]*([eE][+-]?[0-9]{1,3})?$"
_BUY: Final = TakerSide.BUY.encode()
_SIDES: Final = frozenset(side.encode() for side in TakerSide)
_FLAGS: Final = {text.encode(): int(flag) for text, flag in RPI_FLAGS.items()}


class _UnusualBlockError(Exception):
    """A block holds something that pyarrow could read differently from the core."""


def parse_block(
    block: bytes, header: Header, symbol: str, day: dt.date, row: int
) -> tuple[Columns, list[RejectedRow], int]:
    """The readable and the rejected rows of a block that consists of whole lines.

    `row`: the number of the block's first row. The third value is the number of the row after its last.
    """
    try:
        columns = _parse_whole(block, header, symbol, day)
    except (pa.ArrowInvalid, _UnusualBlockError):
        return _parse_lines(block, header, symbol, day, row)
    return columns, [], row + len(columns)


def line_text(line: bytes) -> str:
    """A line as text; bytes that are not UTF-8 are escaped with backslashes."""
    return line.decode("utf-8", "backslashreplace")


def _parse_whole(block: bytes, header: Header, symbol: str, day: dt.date) -> Columns:
    """All rows of a block without unusual ones. Raises _UnusualBlockError or ArrowInvalid."""
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        raise _UnusualBlockError("a lone carriage return, which pyarrow takes for a line end")
    if b"\0" in block or block.startswith(b"\xef\xbb\xbf"):
        raise _UnusualBlockError("a NUL, or a byte order mark, which pyarrow skips")
    columns = NEEDED_COLUMNS if header.rpi is None else (*NEEDED_COLUMNS, RPI_COLUMN)
    # Values that repeat are read as a dictionary, so that each distinct price and size is converted once.
    text, word, number = pa.string(), pa.dictionary(pa.int32(), pa.binary()), pa.dictionary(pa.int32(), pa.string())
    table = pyarrow.csv.read_csv(
        pa.BufferReader(block),
        pyarrow.csv.ReadOptions(column_names=header.names, block_size=len(block) + 1, use_threads=False),
        pyarrow.csv.ParseOptions(quote_char=False),
        pyarrow.csv.ConvertOptions(
            include_columns=columns,
            column_types=dict(zip(columns, (text, word, word, number, number, text, word), strict=False)),
            null_values=[],
            check_utf8=False,  # text that is not ASCII is found below
        ),
    )
    timestamp, symbols, side, size, price, trade_id, *rpi = (column.chunk(0) for column in table.columns)
    if symbols.dictionary.to_pylist() != [symbol.encode()]:
        raise _UnusualBlockError("another symbol")
    sides = side.dictionary.to_pylist()
    if not _SIDES.issuperset(sides):
        raise _UnusualBlockError("an unknown side")
    time_us, ids = microseconds(timestamp), uuids(trade_id)
    if ids is None:
        raise _UnusualBlockError("an id that is not a UUID")
    trades = Columns(
        _units(timestamp, _TIME) if time_us is None else time_us,
        _units(price.dictionary, NUMERIC)[codes(price)],
        _units(size.dictionary, NUMERIC)[codes(size)],
        np.array([each == _BUY for each in sides])[codes(side)],
        ids,
        _flags(rpi[0]) if rpi else np.full(len(table), UNKNOWN, np.int8),
    )
    start_us = day_start_us(day)
    if trades.time_us.min() < start_us or trades.time_us.max() >= start_us + DAY_US:
        raise _UnusualBlockError("another day")
    if trades.price.min() <= 0 or trades.size.min() <= 0:
        raise _UnusualBlockError("an amount that is not positive")
    return trades


def _parse_lines(
    block: bytes, header: Header, symbol: str, day: dt.date, row: int
) -> tuple[Columns, list[RejectedRow], int]:
    """The same as `parse_block`, line by line, by the core's rules."""
    trades: list[Trade] = []
    rejected: list[RejectedRow] = []
    for line in block.split(b"\n"):
        text = line_text(line).rstrip("\r")
        if text:
            item = parse_row(header, text, symbol, day, row)
            (trades if isinstance(item, Trade) else rejected).append(item)  # type: ignore[arg-type]
            row += 1
    columns = Columns(
        np.array([trade.time_us for trade in trades], np.int64),
        integers([to_units(trade.price) for trade in trades]),
        integers([to_units(trade.size) for trade in trades]),
        np.array([trade.taker_side is TakerSide.BUY for trade in trades], bool),
        np.frombuffer(b"".join(uuid.UUID(trade.trade_id).bytes for trade in trades), "V16"),
        np.array([UNKNOWN if trade.rpi is None else trade.rpi for trade in trades], np.int8),
    )
    return columns, rejected, row


def _units(column: pa.StringArray, kind: pa.DataType) -> npt.NDArray[np.int64]:
    """Numbers as integers in the scale of the decimal type `kind`. Raises _UnusualBlockError or ArrowInvalid."""
    unusual = characters(column).translate(None, _DIGITS_AND_POINT)
    if unusual and not pc.all(pc.match_substring_regex(column, _PLAIN_EXPONENT)).as_py():
        raise _UnusualBlockError("a number in an unusual form")
    words = np.frombuffer(column.cast(kind).buffers()[1], np.int64, 2 * len(column)).reshape(-1, 2)
    low, high = words[:, 0], words[:, 1]
    if (low < 0).any() or high.any():
        raise _UnusualBlockError("a number that is negative or wider than 63 bits")
    return np.ascontiguousarray(low)


def _flags(column: pa.DictionaryArray) -> npt.NDArray[np.int8]:
    return np.array([_FLAGS.get(text, UNKNOWN) for text in column.dictionary.to_pylist()], np.int8)[codes(column)]
