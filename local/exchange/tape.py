"""What the played market has traded so far: the last trades, the klines, and every trade in a file.

Part of the exchange simulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from bitcoin_pipeline.amounts import EXACT, parse_decimal, plain
from bitcoin_pipeline.times import MINUTE_US

MINUTE_MS: Final = MINUTE_US // 1000
RECENT_TRADES: Final = 1000
"""How many trades of a symbol REST gives."""

_KEPT_MINUTES: Final = 3 * 1440


@dataclass(slots=True)
class _Minute:
    """A minute with trades; its open is the previous close, so it is not known here."""

    first: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    closed_at_ms: int
    volume: Decimal = Decimal(0)
    turnover: Decimal = Decimal(0)


@dataclass(slots=True)
class _Book:
    """All that is kept of one symbol."""

    log: BinaryIO
    trades: int = 0
    recent: dict[str, dict[str, Any]] = field(default_factory=dict)
    minutes: dict[int, _Minute] = field(default_factory=dict)


class Tape:
    """Takes every trade that is played, once: an id among the last ones of its symbol is a repetition.

    Trades that cannot be (a price that is no number, a time that is missing) are left out, as they were never made.
    Memory is bounded; all trades go to a file per symbol in `folder`, which is begun anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._books: dict[str, _Book] = {}

    def add(self, trades: Iterable[dict[str, Any]]) -> None:
        """Take trades as they stand in a frame, in the order in which they are played."""
        for trade in trades:
            self._add(trade)

    def counts(self) -> dict[str, int]:
        """How many trades each symbol has had."""
        return {symbol: book.trades for symbol, book in sorted(self._books.items())}

    def last_price(self, symbol: str) -> str | None:
        """The price of the last trade, None before the first."""
        book = self._books.get(symbol)
        return next(reversed(book.recent.values()))["p"] if book else None

    def recent(self, symbol: str, limit: int) -> list[dict[str, Any]]:
        """The last `limit` trades, newest first, as they stood in their frames."""
        book = self._books.get(symbol)
        return sorted(book.recent.values(), key=_time)[: -limit - 1 : -1] if book else []

    def klines(self, symbol: str, from_ms: int, to_ms: int) -> Iterator[list[str]]:
        """The minutes that begin between two times, newest first, back to the first with trades.

        Each is `[start, open, high, low, close, volume, turnover]`, also one without trades. The open is the previous
        close, which counts for high and low.
        """
        book = self._books.get(symbol)
        minutes = sorted(book.minutes.items(), reverse=True) if book else []
        next_ms = to_ms // MINUTE_MS * MINUTE_MS
        for place, (minute_ms, minute) in enumerate(minutes):
            if minute_ms > next_ms:
                continue
            close = plain(minute.close)
            for empty_ms in range(next_ms, max(minute_ms, from_ms - 1), -MINUTE_MS):
                yield [str(empty_ms), close, close, close, close, "0", "0"]
            if minute_ms < from_ms:
                return
            opened = minutes[place + 1][1].close if place + 1 < len(minutes) else minute.first
            prices = (opened, max(opened, minute.high), min(opened, minute.low), minute.close)
            yield [str(minute_ms), *map(plain, (*prices, minute.volume, minute.turnover))]
            next_ms = minute_ms - MINUTE_MS

    def log(self, symbol: str) -> Path | None:
        """The file with all trades of `symbol` so far, one JSON object a line; None without any."""
        book = self._books.get(symbol)
        if book is None:
            return None
        book.log.flush()
        return self._path(symbol)

    def close(self) -> None:
        """Finish the files."""
        for book in self._books.values():
            book.log.close()

    def _path(self, symbol: str) -> Path:
        return self._folder / f"{symbol}.jsonl"

    def _add(self, trade: dict[str, Any]) -> None:
        symbol, trade_id, time_ms = trade.get("s"), trade.get("i"), trade.get("T")
        price, size = _positive(trade.get("p")), _positive(trade.get("v"))
        # A symbol becomes a file's name.
        if not (isinstance(symbol, str) and symbol.replace("-", "").isalnum() and isinstance(trade_id, str)):
            return
        if price is None or size is None or not isinstance(time_ms, int) or trade.get("S") not in ("Buy", "Sell"):
            return
        book = self._books.get(symbol)
        if book is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            book = self._books[symbol] = _Book(self._path(symbol).open("wb"))
        if trade_id in book.recent:
            return
        book.trades += 1
        book.recent[trade_id] = trade
        if len(book.recent) > RECENT_TRADES:
            del book.recent[next(iter(book.recent))]
        _count(book.minutes, time_ms, price, size)
        line = {
            "id": trade_id,
            "symbol": symbol,
            "T": time_ms,
            "seq": trade.get("seq"),
            "price": trade["p"],
            "size": trade["v"],
            "side": trade["S"],
        }
        book.log.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _count(minutes: dict[int, _Minute], time_ms: int, price: Decimal, size: Decimal) -> None:
    minute_ms = time_ms // MINUTE_MS * MINUTE_MS
    minute = minutes.get(minute_ms)
    if minute is None:
        minute = minutes[minute_ms] = _Minute(price, price, price, price, time_ms)
        if len(minutes) > _KEPT_MINUTES:
            del minutes[min(minutes)]
    minute.high = max(minute.high, price)
    minute.low = min(minute.low, price)
    if time_ms >= minute.closed_at_ms:
        minute.close, minute.closed_at_ms = price, time_ms
    minute.volume = EXACT.add(minute.volume, size)
    minute.turnover = EXACT.fma(price, size, minute.turnover)


def _positive(text: object) -> Decimal | None:
    return _positive_decimal(text) if isinstance(text, str) else None


@lru_cache(1 << 14)
def _positive_decimal(text: str) -> Decimal | None:
    """Kept, as a market has few prices and sizes."""
    value = parse_decimal(text)
    return value if value is not None and value > 0 else None


def _time(trade: dict[str, Any]) -> int:
    time_ms: int = trade["T"]
    return time_ms
