"""One archive file becomes sorted trades, 1-minute candles and a list of rejected rows: bytes in, columns out, no I/O.

Part of the candles job; `main.py` and the tests import it. The rules are those of
`bitcoin_pipeline.bybit.archive.read_day` and `bitcoin_pipeline.candle.minute_candles`, applied to whole columns. Text
is parsed by pyarrow in blocks of some megabytes; a block in which anything is unusual is parsed again by the core, line
by line, so that the core alone decides what a trade is. Amounts are integers in units of 10**-9: int64, or Python's own
where they do not fit.

pandas is never needed here, and importing it costs a second in every new worker. `pa.array`, `np.asarray(array)` and
`Array.to_numpy` import it, therefore arrays are made from buffers and read from them.
"""

from __future__ import annotations

import binascii
import datetime as dt
import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from bitcoin_pipeline.adapters.arrow import NUMERIC, TRADE_ROW_GROUP, table_schema, trade_compression
from bitcoin_pipeline.amounts import SCALE, from_units, to_units
from bitcoin_pipeline.bybit.archive import (
    NEEDED_COLUMNS,
    Header,
    Inflater,
    RejectedRow,
    UnusableFileError,
    describe,
    parse_header,
    parse_row,
)
from bitcoin_pipeline.candle import Source, Status
from bitcoin_pipeline.symbols import is_inverse
from bitcoin_pipeline.times import DAY_US, MINUTE_US, day_start_us
from bitcoin_pipeline.trade import Reason, TakerSide, Trade, turnover_of

BLOCK_BYTES: Final = 4 << 20
"""How much text is parsed at once: enough to drown the cost of a call, little beside the columns of a day."""

Integers = npt.NDArray[Any]
"""int64, or object for Python integers where int64 is too narrow; numpy's arithmetic is the same for both."""

_TIME = pa.decimal128(18, 6)
_DIGITS_AND_POINT = b"0123456789."
# pyarrow also takes 1e0005, 1e+-5 and 1e0x5, which the core does not.
_PLAIN_EXPONENT = r"^[0-9]*\.?[0-9]*([eE][+-]?[0-9]{1,3})?$"
_BUY = TakerSide.BUY.encode()
_SIDES = frozenset(side.encode() for side in TakerSide)
_UUID_LENGTH = 36
_UUID_DASHES = [8, 13, 18, 23]


@dataclass(frozen=True, slots=True)
class Columns:
    """Trades as columns of equal length, 41 bytes a trade.

    `time_us`: int64. `price`, `size`: units of 10**-9. `bought`: the taker bought. `trade_id`: 16 bytes each.
    """

    time_us: npt.NDArray[np.int64]
    price: Integers
    size: Integers
    bought: npt.NDArray[np.bool_]
    trade_id: npt.NDArray[np.void]

    def __len__(self) -> int:
        return len(self.time_us)

    def at(self, places: slice | npt.NDArray[Any]) -> Columns:
        """The trades at `places`, in that order."""
        return Columns(*(getattr(self, field.name)[places] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Day:
    """One archive file, read.

    `trades`: distinct, in matching order; `order`: the place of each among the readable rows in that order.
    `rows` counts trades, duplicates and rejected rows together; 0 means that the file holds no trades.
    """

    symbol: str
    trades: Columns
    order: npt.NDArray[np.int64]
    rejected: list[RejectedRow]
    duplicates: int
    rows: int

    @property
    def size_sum(self) -> int:
        """Sum of size, in units of 10**-9."""
        return sum(_sums(self.trades.size, np.zeros(min(len(self.trades), 1), np.int64)))


def read_day(pieces: Iterable[bytes], symbol: str, day: dt.date) -> Day:
    """The trades of one archive file, given as its bytes in pieces: gzip, or plain CSV.

    Raises UnusableFileError when the file cannot be used at all.
    """
    readable, rejected, rows = _read_rows(_blocks(_inflated(pieces)), symbol, day)
    steps = np.diff(readable.time_us)
    falls, rises = np.count_nonzero(steps < 0), np.count_nonzero(steps > 0)
    descending = falls > rises
    source = np.arange(len(readable))  # where in the file each trade stands, rejected rows left out
    if descending:
        source = source[::-1]
    if falls and rises:
        source = source[np.argsort(readable.time_us[source], kind="stable")]
    trades = readable.at(source) if falls else readable
    same, other = _repeats(trades)
    if other:
        bad_rows = np.array([item.row for item in rejected], np.int64)
        row_of = np.setdiff1d(np.arange(rows), bad_rows, assume_unique=True)
        for place in other:
            text = describe(_trade(symbol, trades, place))
            rejected.append(RejectedRow(int(row_of[source[place]]), Reason.ID_WITH_OTHER_CONTENT, text))
        rejected.sort(key=lambda item: item.row)
    if same or other:
        distinct = np.ones(len(trades), bool)
        distinct[same + other] = False
        trades, source = trades.at(distinct), source[distinct]
    order = len(readable) - 1 - source if descending else source
    return Day(symbol, trades, order, rejected, len(same), rows)


def candles(day: Day) -> pa.Table:
    """The 1-minute candles of a day, as the columns of `market.candles` that do not depend on when they are stored."""
    trades = day.trades
    minutes = trades.time_us // MINUTE_US
    first = np.flatnonzero(np.diff(minutes, prepend=-1))
    last = np.append(first, len(trades))[1:] - 1
    turnover = turnovers(day.symbol, trades.price, trades.size)
    partial = {item.minute_us for item in day.rejected}
    open_times = minutes[first] * MINUTE_US
    columns = {
        "symbol": _strings([day.symbol] * len(first)),
        "open_time": _fixed(open_times, pa.timestamp("us", "UTC")),
        "source": _strings([Source.ARCHIVE] * len(first)),
        "open": _decimals(trades.price[first]),
        "high": _decimals(np.maximum.reduceat(trades.price, first)),
        "low": _decimals(np.minimum.reduceat(trades.price, first)),
        "close": _decimals(trades.price[last]),
        "volume": _decimals(_sums(trades.size, first)),
        "turnover": _decimals(_sums(turnover, first)),
        "trade_count": _fixed(last - first + 1, pa.int64()),
        "buy_volume": _decimals(_sums(trades.size * trades.bought, first)),
        "buy_turnover": _decimals(_sums(turnover * trades.bought, first)),
        "first_trade_id": _strings([_id_text(trades, place) for place in first.tolist()]),
        "last_trade_id": _strings([_id_text(trades, place) for place in last.tolist()]),
        "status": _strings([Status.PARTIAL if time in partial else Status.FINAL for time in open_times.tolist()]),
    }
    schema = table_schema("market.candles", leave_out=("updated_at",))
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def trades_parquet(day: Day) -> pa.Buffer:
    """The trades of a day as a Parquet file in the form of `lake.trades`, sorted, in row groups to prune by time."""
    schema = table_schema("lake.trades")
    # Written as a dictionary, which the file's own schema does not show.
    side = schema.get_field_index("side")
    schema = schema.set(side, pa.field("side", pa.dictionary(pa.int8(), pa.string()), nullable=False))
    sides = _strings([TakerSide.SELL, TakerSide.BUY])
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        compression=trade_compression(schema),
        use_dictionary=["price", "size", "side"],
        column_encoding={"time": "DELTA_BINARY_PACKED", "match_order": "DELTA_BINARY_PACKED", "id": "PLAIN"},
        write_statistics=["time", "price", "size", "match_order"],
        sorting_columns=[pq.SortingColumn(schema.get_field_index(name)) for name in ("time", "match_order")],
        store_schema=False,
    ) as writer:
        for start in range(0, len(day.trades), TRADE_ROW_GROUP):
            part = slice(start, start + TRADE_ROW_GROUP)
            trades = day.trades.at(part)
            codes = pa.py_buffer(trades.bought.astype(np.int8))
            columns = {
                "time": _fixed(trades.time_us, pa.timestamp("us", "UTC")),
                "price": _decimals(trades.price),
                "size": _decimals(trades.size),
                "side": pa.DictionaryArray.from_buffers(schema.field("side").type, len(trades), [None, codes], sides),
                "id": _fixed(trades.trade_id, pa.binary(16)),
                "match_order": _fixed(day.order[part], pa.int64()),
            }
            writer.write_table(
                pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema), TRADE_ROW_GROUP
            )
    return sink.getvalue()


def turnovers(symbol: str, price: Integers, size: Integers) -> Integers:
    """The turnover of each trade in units of 10**-9: the core's `turnover_of`, for columns."""
    price, price_zeros = _without_common_zeros(price)
    size, size_zeros = _without_common_zeros(size)
    if is_inverse(symbol):
        shift = SCALE + size_zeros - price_zeros
        return _ratio([size], 10**shift, price)
    shift = price_zeros + size_zeros - SCALE
    return _ratio([price, size], 10 ** max(shift, 0), 10 ** max(-shift, 0))


def _inflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a file in pieces of bounded size."""
    inflater = Inflater(BLOCK_BYTES)
    for piece in pieces:
        yield from inflater.feed(piece)
    yield inflater.end()


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same text, cut at line ends."""
    rest = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(piece)[:end]))
            rest = piece[end:]
        else:
            rest += piece
            if len(rest) > BLOCK_BYTES:
                raise UnusableFileError(f"no line end in {len(rest)} bytes")
    if rest:
        yield rest


def _read_rows(blocks: Iterator[bytes], symbol: str, day: dt.date) -> tuple[Columns, list[RejectedRow], int]:
    """The readable rows in the order of the file, the rejected ones, and how many there are together."""
    parts: list[Columns] = []
    rejected: list[RejectedRow] = []
    rows = 0
    text = next((text for block in blocks if (text := block.lstrip(b"\r\n"))), b"")
    line, _, first = text.partition(b"\n")
    if line:
        header = parse_header(_text(line))
        for block in itertools.chain([first], blocks):
            try:
                part = _parse_block(block, header, symbol, day)
                rows += len(part)
            except (pa.ArrowInvalid, binascii.Error, _DoubtError):
                part, bad, rows = _parse_lines(block, header, symbol, day, rows)
                rejected += bad
            parts.append(part)
    return _joined(parts), rejected, rows


class _DoubtError(Exception):
    """A block holds something unusual; the core shall judge it."""


def _parse_block(block: bytes, header: Header, symbol: str, day: dt.date) -> Columns:
    """All rows of a block whose every row is beyond doubt. Raises _DoubtError, ArrowInvalid or binascii.Error."""
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        raise _DoubtError("a lone carriage return, which pyarrow takes for a line end")
    if b"\0" in block or block.startswith(b"\xef\xbb\xbf"):
        raise _DoubtError("a NUL, or a byte order mark, which pyarrow skips")
    # What repeats is read as a dictionary, so that each price and size is made a number once.
    text, word, number = pa.string(), pa.dictionary(pa.int32(), pa.binary()), pa.dictionary(pa.int32(), pa.string())
    table = pyarrow.csv.read_csv(
        pa.BufferReader(block),
        pyarrow.csv.ReadOptions(column_names=header.names, block_size=len(block) + 1, use_threads=False),
        pyarrow.csv.ParseOptions(quote_char=False),
        pyarrow.csv.ConvertOptions(
            include_columns=NEEDED_COLUMNS,
            column_types=dict(zip(NEEDED_COLUMNS, (text, word, word, number, number, text), strict=True)),
            null_values=[],
            check_utf8=False,  # what is not ASCII is refused below
        ),
    )
    timestamp, symbols, side, size, price, trade_id = (column.chunk(0) for column in table.columns)
    if symbols.dictionary.to_pylist() != [symbol.encode()]:
        raise _DoubtError("another symbol")
    sides = side.dictionary.to_pylist()
    if not _SIDES.issuperset(sides):
        raise _DoubtError("an unknown side")
    columns = Columns(
        _units(timestamp, _TIME),
        _units(price.dictionary, NUMERIC)[_codes(price)],
        _units(size.dictionary, NUMERIC)[_codes(size)],
        np.array([each == _BUY for each in sides])[_codes(side)],
        _uuid_bytes(trade_id),
    )
    start_us = day_start_us(day)
    if columns.time_us.min() < start_us or columns.time_us.max() >= start_us + DAY_US:
        raise _DoubtError("another day")
    if columns.price.min() <= 0 or columns.size.min() <= 0:
        raise _DoubtError("not positive")
    return columns


def _parse_lines(
    block: bytes, header: Header, symbol: str, day: dt.date, row: int
) -> tuple[Columns, list[RejectedRow], int]:
    """The readable and the rejected rows of a block whose first row has the number `row`, and the next number."""
    trades: list[Trade] = []
    rejected: list[RejectedRow] = []
    for line in block.split(b"\n"):
        text = _text(line).rstrip("\r")
        if text:
            item = parse_row(header, text, symbol, day, row)
            (trades if isinstance(item, Trade) else rejected).append(item)  # type: ignore[arg-type]
            row += 1
    columns = Columns(
        np.array([trade.time_us for trade in trades], np.int64),
        _integers([to_units(trade.price) for trade in trades]),
        _integers([to_units(trade.size) for trade in trades]),
        np.array([trade.taker_side is TakerSide.BUY for trade in trades], bool),
        np.frombuffer(b"".join(uuid.UUID(trade.trade_id).bytes for trade in trades), "V16"),
    )
    return columns, rejected, row


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")


def _units(column: pa.StringArray, kind: pa.DataType) -> npt.NDArray[np.int64]:
    """Numbers as integers in the scale of the decimal type `kind`. Raises _DoubtError or ArrowInvalid."""
    unusual = _characters(column).translate(None, _DIGITS_AND_POINT)
    if unusual and not pc.all(pc.match_substring_regex(column, _PLAIN_EXPONENT)).as_py():
        raise _DoubtError("a number in an unusual form")
    words = np.frombuffer(column.cast(kind).buffers()[1], np.int64, 2 * len(column)).reshape(-1, 2)
    low, high = words[:, 0], words[:, 1]
    if (low < 0).any() or high.any():
        raise _DoubtError("negative, or wider than 63 bits")
    return np.ascontiguousarray(low)


def _uuid_bytes(column: pa.StringArray) -> npt.NDArray[np.void]:
    """UUIDs as 16 bytes each. Raises _DoubtError or binascii.Error when one is not spelled as a UUID."""
    text = _characters(column)
    lengths = np.diff(_offsets(column))
    letters = np.frombuffer(text, np.uint8)
    if (lengths != _UUID_LENGTH).any() or (letters.reshape(-1, _UUID_LENGTH)[:, _UUID_DASHES] != ord("-")).any():
        raise _DoubtError("an id that is no UUID")
    ids = binascii.unhexlify(text.translate(None, b"-"))
    if len(ids) != 16 * len(column):
        raise _DoubtError("an id with too many dashes")
    return np.frombuffer(ids, "V16")


def _characters(column: pa.StringArray) -> bytes:
    """All texts of a column without nulls, one after the other."""
    data = column.buffers()[2]
    return bytes(data)[: _offsets(column)[-1]] if data else b""


def _codes(column: pa.DictionaryArray) -> npt.NDArray[np.int32]:
    return np.frombuffer(column.indices.buffers()[1], np.int32, len(column))


def _offsets(column: pa.StringArray) -> npt.NDArray[np.int32]:
    return np.frombuffer(column.buffers()[1], np.int32, len(column) + 1)


def _joined(parts: list[Columns]) -> Columns:
    """All parts as one; `parts` is emptied, column by column, so that a day is never in memory twice."""
    empty = Columns(*(np.empty(0, kind) for kind in (np.int64, np.int64, np.int64, bool, "V16")))
    columns = [[getattr(part, field.name) for part in (empty, *parts)] for field in fields(Columns)]
    parts.clear()
    return Columns(*(np.concatenate(columns.pop(0)) for _ in fields(Columns)))


def _repeats(trades: Columns) -> tuple[list[int], list[int]]:
    """Places of trades whose id came before: with the same content as the first, and with other content."""
    half = np.ascontiguousarray(trades.trade_id).view(np.uint64)[::2]
    ordered = np.sort(half)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    same: list[int] = []
    other: list[int] = []
    first: dict[bytes, int] = {}
    # Half an id is enough to clear nearly every trade; the few that are left are compared one by one.
    for place in np.flatnonzero(np.isin(half, repeated)).tolist() if len(repeated) else ():
        before = first.setdefault(trades.trade_id[place].tobytes(), place)
        if before != place:
            (same if _content(trades, before) == _content(trades, place) else other).append(place)
    return same, other


def _content(trades: Columns, place: int) -> tuple[int, int, int, bool]:
    return trades.time_us[place], trades.price[place], trades.size[place], trades.bought[place]


def _trade(symbol: str, trades: Columns, place: int) -> Trade:
    price, size = from_units(int(trades.price[place])), from_units(int(trades.size[place]))
    side = TakerSide.BUY if trades.bought[place] else TakerSide.SELL
    time_us = int(trades.time_us[place])
    return Trade(symbol, _id_text(trades, place), time_us, price, size, side, turnover_of(symbol, price, size), place)


def _id_text(trades: Columns, place: int) -> str:
    return str(uuid.UUID(bytes=trades.trade_id[place].tobytes()))


def _integers(values: Sequence[int | None]) -> Integers:
    try:
        return np.array(values, np.int64)
    except OverflowError:
        return np.array(values, object)


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


def _sums(values: Integers, first: npt.NDArray[np.int64]) -> list[int]:
    """The exact sum of each run of `values` that starts at one of `first`."""
    if values.dtype == object:
        return [int(total) for total in np.add.reduceat(values, first)]
    # Halves of 32 bits cannot overflow in a sum of fewer than 2**31 values.
    high, low = (np.add.reduceat(half, first).tolist() for half in (values >> 32, values & 0xFFFFFFFF))
    return [(upper << 32) + lower for upper, lower in zip(high, low, strict=True)]


def _decimals(values: Integers | list[int]) -> pa.Array:
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _fixed(np.stack([values, values >> 63], axis=1), NUMERIC)
    words = b"".join(int(value).to_bytes(16, "little", signed=True) for value in values)
    return pa.Array.from_buffers(NUMERIC, len(values), [None, pa.py_buffer(words)])


def _fixed(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """An array of values of fixed width, which share their memory with `values` if that is contiguous."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _strings(values: Sequence[str]) -> pa.Array:
    texts = [value.encode() for value in values]
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts)))
