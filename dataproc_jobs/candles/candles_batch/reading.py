"""One archive file as a `Day`: its bytes are inflated, parsed, put in matching order and freed of repeated ids.

Part of the candles job; its modules and tests import it. A worker's peak memory for a day, its Parquet and its candles
is 190 MiB and 91 bytes a row, in any order of the rows (measured 2026-11-30: 362 MiB for 2 million rows, 709 MiB for 6
million; 42 bytes of gzip a row), which bounds the size of Spark's executors. The rules are those of the core's
`bitcoin_pipeline.bybit.archive.read_day`, applied to whole columns.
"""

from __future__ import annotations

import datetime as dt
import itertools
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from bitcoin_pipeline.amounts import from_units
from bitcoin_pipeline.bybit.archive import Codec, Inflater, UnusableFileError, describe, parse_header
from bitcoin_pipeline.bybit.rejected_rows import RejectedRow
from bitcoin_pipeline.trade import Reason, TakerSide, Trade, turnover_of
from candles_batch.columns import Columns, Day, GrowingColumns
from candles_batch.parsing import line_text, parse_block

BLOCK_BYTES: Final = 4 << 20
"""Bytes of text that are parsed at once: the cost of a call is small beside it, and it is small beside a day."""


def read_day(pieces: Iterable[bytes], symbol: str, day: dt.date, codec: Codec = zlib) -> Day:
    """The trades of one archive file, given as its bytes in pieces: gzip, or plain CSV.

    `codec`: inflates; a file that another one than zlib rejects must be read again by zlib, whose verdict holds.
    Raises UnusableFileError when the file cannot be used at all.
    """
    readable, rejected, rows = _read_rows(_blocks(_inflated(pieces, codec)), symbol, day)
    before, after = readable.time_us[:-1], readable.time_us[1:]
    falls, rises = np.count_nonzero(after < before), np.count_nonzero(after > before)
    descending = falls > rises
    count = len(readable)
    source = np.arange(count, dtype=np.int32)  # position of each trade among the readable rows of the file
    trades = readable
    if descending:
        trades, source = trades.at(slice(None, None, -1)), source[::-1]
    if falls and rises:
        places = np.argsort(trades.time_us, kind="stable")
        trades, source = trades.picked(places), source[places]
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
        trades, source = trades.picked(distinct), source[distinct]
    order = count - 1 - source if descending else source
    return Day(symbol, trades, order, rejected, len(same), rows)


def _inflated(pieces: Iterable[bytes], codec: Codec) -> Iterator[bytes]:
    """The text of a file in pieces of bounded size."""
    inflater = Inflater(BLOCK_BYTES, codec)
    for piece in pieces:
        yield from inflater.feed(piece)
    yield inflater.end()


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same text in blocks of whole lines."""
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
    """The readable rows in the order of the file, the rejected rows, and the number of both together."""
    trades = GrowingColumns()
    rejected: list[RejectedRow] = []
    rows = 0
    text = next((text for block in blocks if (text := block.lstrip(b"\r\n"))), b"")
    line, _, first = text.partition(b"\n")
    if line:
        header = parse_header(line_text(line))
        for block in itertools.chain([first], blocks):
            part, bad, rows = parse_block(block, header, symbol, day, rows)
            trades.add(part)
            rejected += bad
    return trades.columns(), rejected, rows


def _repeats(trades: Columns) -> tuple[list[int], list[int]]:
    """Positions of trades with an id seen before: those equal to the first trade of the id, and those that differ."""
    half = np.ascontiguousarray(trades.trade_id).view(np.uint64)[::2]
    ordered = half.copy()
    ordered.sort()
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    del ordered
    same: list[int] = []
    other: list[int] = []
    first: dict[bytes, int] = {}
    # Half an id distinguishes nearly all trades; the few that remain are compared one by one.
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
    return Trade(symbol, trades.id_text(place), time_us, price, size, side, turnover_of(symbol, price, size), place)
