"""Bybit's daily archive file: its columns over the years, its order, its rows, a whole day, and its bytes.

Source of the format: files of `public.bybit.com/trading/` (README, "Bybit's files"). Part of the core; every module but
the base modules may import it. `read_day` states the rules plainly, one row at a time; the Spark job implements the
same faster, and the conformance cases compare the two.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, Protocol

from bitcoin_pipeline.amounts import from_units, parse_decimal, plain, to_units
from bitcoin_pipeline.bybit.rejected_rows import RejectedRow
from bitcoin_pipeline.times import DAY_US, day_start_us, floor_us
from bitcoin_pipeline.trade import (
    Reason,
    RejectedValueError,
    Trade,
    parse_price,
    parse_size,
    parse_taker_side,
    parse_trade_id,
    turnover_of,
)

NEEDED_COLUMNS: Final = ("timestamp", "symbol", "side", "size", "price", "trdMatchID")
"""The columns that every file has; they are read by name, and a file may have others."""

RPI_COLUMN: Final = "RPI"
"""A column of newer files, read where it is; block trades have no column."""

RPI_FLAGS: Final = {"0": False, "1": True}
"""The values of the column `RPI`; any other value is unknown, and no row is rejected for it."""

GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WBITS: Final = 31
_FLAGS_AT: Final = 3
# Nothing optional, or the name of the file (RFC 1952).
_USUAL_FLAGS: Final = (b"\x00", b"\x08")
_PIECE = 1 << 20


class UnusableFileError(ValueError):
    """The file of a day cannot be used at all, and reading it again changes nothing."""


@dataclass(frozen=True, slots=True)
class Header:
    """The positions of columns in one file; `names`: all of its columns. `rpi` may be None."""

    names: tuple[str, ...]
    timestamp: int
    symbol: int
    side: int
    size: int
    price: int
    trade_id: int
    rpi: int | None


@dataclass(frozen=True, slots=True)
class DayTrades:
    """The content of one day file: trades in matching order, rejected rows, and counts.

    `duplicates`: rows that repeat a trade. `rows`: all rows of the file, blank lines left out.
    """

    trades: list[Trade]
    rejected: list[RejectedRow]
    duplicates: int
    rows: int


def parse_header(line: str) -> Header:
    """The positions of the columns. Raises UnusableFileError when a needed one is missing or occurs twice."""
    line = line.removeprefix("\ufeff").rstrip("\r\n")
    if "\r" in line:
        # Such a file would be all header and no rows, as if there had been no trades.
        raise UnusableFileError(f"lines end with a lone carriage return, not with a newline: {line[:200]!r}")
    names = tuple(line.split(","))
    missing = [name for name in NEEDED_COLUMNS if name not in names]
    if missing:
        raise UnusableFileError(f"header lacks {', '.join(missing)}: {line[:200]!r}")
    twice = [name for name in NEEDED_COLUMNS if names.count(name) > 1]
    if twice:
        raise UnusableFileError(f"header names {', '.join(twice)} twice: {line[:200]!r}")
    timestamp, symbol, side, size, price, trade_id = (names.index(name) for name in NEEDED_COLUMNS)
    rpi = names.index(RPI_COLUMN) if names.count(RPI_COLUMN) == 1 else None
    return Header(names, timestamp, symbol, side, size, price, trade_id, rpi)


def parse_time_us(text: str) -> int:
    """Unix seconds with up to 6 decimals as integer microseconds. Raises RejectedValueError."""
    value = parse_decimal(text)
    # Bounded before arithmetic; 11 digits of seconds reach the year 5138.
    time_us = to_units(value, 6) if value is not None and -7 < value.adjusted() < 11 else None
    if time_us is None or time_us < 0:
        raise RejectedValueError(Reason.UNREADABLE_TIME, text)
    return time_us


def parse_row(header: Header, line: str, symbol: str, day: dt.date, row: int) -> Trade | RejectedRow:
    """The trade in one line (without its line end), or the rejected row. `Trade.order` is `row`.

    A row of size 0 in which nothing else is wrong is a match smaller than the file's decimals: its reason is
    `zero_size`, and it makes no minute partial, because no amount is missing.
    """
    start_us = day_start_us(day)
    fields = line.split(",")
    minute_us: int | None = None

    def rejected(reason: Reason, value: str) -> RejectedRow:
        return RejectedRow(row, reason, line, minute_us, value)

    if len(fields) != len(header.names):
        minute_us = _minute_of(header, fields, symbol, start_us)
        return rejected(Reason.COLUMN_COUNT, str(len(fields)))
    if fields[header.symbol] != symbol:
        return rejected(Reason.OTHER_SYMBOL, fields[header.symbol])
    try:
        time_us = parse_time_us(fields[header.timestamp])
        if not start_us <= time_us < start_us + DAY_US:
            return rejected(Reason.OTHER_DAY, fields[header.timestamp])
        minute_us = floor_us(time_us)
        taker_side = parse_taker_side(fields[header.side])
        size = parse_size(fields[header.size])
        price = parse_price(fields[header.price])
        trade_id = parse_trade_id(fields[header.trade_id])
        turnover = turnover_of(symbol, price, size)
    except RejectedValueError as error:
        if error.reason is Reason.SIZE_NOT_POSITIVE and _is_match_of_size_zero(header, fields):
            return RejectedRow(row, Reason.ZERO_SIZE, line, value=error.value)
        return rejected(error.reason, error.value)
    rpi = None if header.rpi is None else RPI_FLAGS.get(fields[header.rpi])
    return Trade(symbol, trade_id, time_us, price, size, taker_side, turnover, row, rpi=rpi)


def is_descending(times: Sequence[int]) -> bool:
    """True when more steps fall than rise: the file is newest first and its exact reverse is the matching order."""
    pairs = list(pairwise(times))
    return sum(b < a for a, b in pairs) > sum(b > a for a, b in pairs)


def read_day(lines: Iterable[str], symbol: str, day: dt.date) -> DayTrades:
    """The trades of one day file given as lines of text, header first.

    Rows are put in matching order: a descending file is reversed whole, then (time, row) decides. `Trade.order`
    is the row's place in that direction, counted over the readable rows from 0. A repeated trade id counts
    once, and the first in matching order stands. Raises UnusableFileError when a needed column is missing.
    """
    texts = (line.rstrip("\r\n") for line in lines)
    texts = (text for text in texts if text)
    first = next(texts, None)
    if first is None:
        return DayTrades([], [], 0, 0)
    header = parse_header(first)
    parsed = [parse_row(header, text, symbol, day, row) for row, text in enumerate(texts)]
    rejected = [item for item in parsed if isinstance(item, RejectedRow)]
    readable = [item for item in parsed if isinstance(item, Trade)]
    if is_descending([trade.time_us for trade in readable]):
        readable.reverse()
    places = sorted(range(len(readable)), key=lambda place: (readable[place].time_us, place))
    trades: list[Trade] = []
    seen: dict[str, Trade] = {}
    duplicates = 0
    for place in places:
        trade = readable[place]
        first_of_id = seen.setdefault(trade.trade_id, trade)
        if first_of_id is trade:
            trades.append(replace(trade, order=place))
        elif first_of_id.same_content(trade):
            duplicates += 1
        else:
            assert isinstance(trade.order, int)
            rejected.append(RejectedRow(trade.order, Reason.ID_WITH_OTHER_CONTENT, describe(trade)))
    rejected.sort(key=lambda item: item.row)
    return DayTrades(trades, rejected, duplicates, len(parsed))


def describe(trade: Trade) -> str:
    """A trade as a line of the needed columns in their order, where the text of its row is no longer at hand."""
    seconds = plain(from_units(trade.time_us, 6))
    return f"{seconds},{trade.symbol},{trade.taker_side},{plain(trade.size)},{plain(trade.price)},{trade.trade_id}"


class Codec(Protocol):
    """The part of zlib's interface that inflates; the module zlib has it, and other modules have."""

    @property
    def error(self) -> type[Exception]:
        """Raised for a stream that is broken."""
        ...

    def decompressobj(self, wbits: int = ..., /) -> Any:
        """An object that inflates one stream."""
        ...


class Inflater:
    """Turns the bytes of an archive file, as they come, into its text, in constant memory.

    The file is gzip of one or more members, with zeros as padding after each, or plain CSV. `most`: upper bound, in
    bytes, on a piece of text that gzip gives. `codec`: inflates members with the usual headers; a file that another
    one than zlib rejects must be judged by zlib, whose verdict holds. Every method raises UnusableFileError.
    """

    def __init__(self, most: int, codec: Codec = zlib) -> None:
        self.size = 0
        """Bytes that were passed in."""
        self._most = most
        self._codec = codec
        self._start = b""
        self._is_gzip: bool | None = None
        self._member: Any = None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The text that the next bytes of the file add; the caller must exhaust the iterator."""
        self.size += len(piece)
        if self._is_gzip is None:
            self._start += piece
            if len(self._start) < len(GZIP_MAGIC):
                return
            self._is_gzip = self._start.startswith(GZIP_MAGIC)
            piece, self._start = self._start, b""
        if self._is_gzip:
            yield from self._inflated(piece)
        else:
            yield piece

    def end(self) -> bytes:
        """The remaining text, to be called at the end of the file: the whole of one that is too short to be gzip."""
        if self._member is not None and not self._member.eof:
            raise UnusableFileError(f"gzip ends too early, after {self.size} bytes")
        return self._start

    def _inflated(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._member is not None and self._member.eof:
                piece = piece.lstrip(b"\0")  # padding after a member, as gzip itself allows
                if not piece:
                    return
                self._member = None
            if self._member is None:
                # Other codecs accept headers that zlib rejects, such as those with unknown flags.
                codec = self._codec if piece[_FLAGS_AT : _FLAGS_AT + 1] in _USUAL_FLAGS else zlib
                self._member = codec.decompressobj(_GZIP_WBITS)
            try:
                text = self._member.decompress(piece, self._most)
            except (zlib.error, self._codec.error) as error:
                raise UnusableFileError(f"gzip is broken: {error}") from error
            yield text
            piece = self._member.unconsumed_tail or self._member.unused_data


class FileCheck:
    """Checks an archive file from its bytes, piece by piece and in constant memory.

    The caller passes every piece to `feed`, in order, then calls `problem`. A file that does not begin like gzip is
    taken as plain CSV.
    """

    def __init__(self) -> None:
        self.size = 0
        self.has_rows = False
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._inflater = Inflater(_PIECE)
        self._error = ""
        self._text = b""
        self._header: bytes | None = None

    @property
    def sha256(self) -> str:
        """The digest of all bytes so far, in hex."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """The digest of all bytes so far, in hex; the bucket's listing has it as ETag."""
        return self._md5.hexdigest()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the file."""
        self.size += len(piece)
        self._sha256.update(piece)
        self._md5.update(piece)
        if self._error:
            return
        try:
            for text in self._inflater.feed(piece):
                self._see(text)
        except UnusableFileError as error:
            self._error = str(error)

    def problem(self) -> str | None:
        """What makes the whole file unusable; None if gzip is whole and the header has the needed columns.

        A file without any rows is not a problem; `has_rows` is then False.
        """
        if self._error:
            return self._error
        try:
            # A file of one byte may be gzip or text; it is no CSV either way.
            header = self._inflater.end() or (self._text if self._header is None else self._header)
            if header.strip(b"\r\n"):
                parse_header(header.decode("utf-8", "backslashreplace"))
        except UnusableFileError as error:
            return str(error)
        return None

    def _see(self, text: bytes) -> None:
        if self.has_rows or not text:
            return
        if self._header is None:
            self._text = (self._text + text).lstrip(b"\r\n")
            line, newline, rest = self._text.partition(b"\n")
            if not newline:
                if len(self._text) > _PIECE:
                    self._error = f"no line end in the first {len(self._text)} bytes"
                return
            self._header, text, self._text = line, rest, b""
        self.has_rows = bool(text.strip(b"\r\n"))


def _minute_of(header: Header, fields: list[str], symbol: str, start_us: int) -> int | None:
    if len(fields) <= max(header.symbol, header.timestamp) or fields[header.symbol] != symbol:
        return None
    try:
        time_us = parse_time_us(fields[header.timestamp])
    except RejectedValueError:
        return None
    return floor_us(time_us) if start_us <= time_us < start_us + DAY_US else None


def _is_match_of_size_zero(header: Header, fields: list[str]) -> bool:
    """True when the size of a row is 0 and what follows it in the order of the rules is well-formed."""
    try:
        parse_price(fields[header.price])
        parse_trade_id(fields[header.trade_id])
    except RejectedValueError:
        return False
    return parse_decimal(fields[header.size]) == 0
