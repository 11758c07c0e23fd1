"""The history of a played market: its last trades and its klines in memory, and every trade in a file.

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
from bitcoin_pipeline.bybit.rest import RECENT_TRADES
from bitcoin_pipeline.times import MINUTE_US

MINUTE_MS: Final = MINUTE_US // 1000

_KEPT_MINUTES: Final = 3 * 1440
"""Number of minutes of a symbol whose klines are held."""


@dataclass(slots=True)
class _Minute:
    """The sums of a minute with trades; its open is the close of the minute before, which is not stored here."""

    first: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    closed_at_ms: int
    volume: Decimal = Decimal(0)
    turnover: Decimal = Decimal(0)


@dataclass(slots=True)
class _SymbolHistory:
    """The history of one symbol."""

    file: BinaryIO
    trades: int = 0
    recent: dict[str, dict[str, Any]] = field(default_factory=dict)
    minutes: dict[int, _Minute] = field(default_factory=dict)


class TradeHistory:
    """Stores every trade that is played, once: an id among the last ones of its symbol is a repetition.

    Objects that are no trade (a price that is not a number, a missing time) are skipped. Memory is bounded; all trades
    go to one file per symbol in `folder`, and a file of an earlier process is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._symbols: dict[str, _SymbolHistory] = {}

    def add(self, trades: Iterable[dict[str, Any]]) -> None:
        """Store the objects of a frame's `data`, in the order in which frames are played."""
        for trade in trades:
            self._add(trade)

    def counts(self) -> dict[str, int]:
        """The number of trades of each symbol."""
        return {symbol: stored.trades for symbol, stored in sorted(self._symbols.items())}

    def last_price(self, symbol: str) -> str | None:
        """The price of the last trade, None before the first."""
        stored = self._symbols.get(symbol)
        return next(reversed(stored.recent.values()))["p"] if stored else None

    def recent(self, symbol: str, limit: int) -> list[dict[str, Any]]:
        """The last `limit` trades, newest first, in the form of a frame's `data`."""
        stored = self._symbols.get(symbol)
        return sorted(stored.recent.values(), key=_time)[: -limit - 1 : -1] if stored else []

    def klines(self, symbol: str, from_ms: int, to_ms: int) -> Iterator[list[str]]:
        """The minutes that begin between two times, newest first, back to the first minute with trades.

        Each is `[start, open, high, low, close, volume, turnover]`, also a minute without trades. Its open is the close
        of the minute before, which counts for high and low.
        """
        stored = self._symbols.get(symbol)
        minutes = sorted(stored.minutes.items(), reverse=True) if stored else []
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

    def file(self, symbol: str) -> Path | None:
        """The file with all trades of `symbol` so far, one JSON object a line; None before the first trade."""
        stored = self._symbols.get(symbol)
        if stored is None:
            return None
        stored.file.flush()
        return self._path(symbol)

    def close(self) -> None:
        """Close the files."""
        for stored in self._symbols.values():
            stored.file.close()

    def _path(self, symbol: str) -> Path:
        return self._folder / f"{symbol}.jsonl"

    def _add(self, trade: dict[str, Any]) -> None:
        symbol, trade_id, time_ms = trade.get("s"), trade.get("i"), trade.get("T")
        price, size = _positive(trade.get("p")), _positive(trade.get("v"))
        # Checked, because the symbol becomes the name of a file.
        if not (isinstance(symbol, str) and symbol.replace("-", "").isalnum() and isinstance(trade_id, str)):
            return
        if price is None or size is None or not isinstance(time_ms, int) or trade.get("S") not in ("Buy", "Sell"):
            return
        stored = self._symbols.get(symbol)
        if stored is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            stored = self._symbols[symbol] = _SymbolHistory(self._path(symbol).open("wb"))
        if trade_id in stored.recent:
            return
        stored.trades += 1
        stored.recent[trade_id] = trade
        if len(stored.recent) > RECENT_TRADES:
            del stored.recent[next(iter(stored.recent))]
        _count(stored.minutes, time_ms, price, size)
        line = {
            "id": trade_id,
            "symbol": symbol,
            "T": time_ms,
            "seq": trade.get("seq"),
            "price": trade["p"],
            "size": trade["v"],
            "side": trade["S"],
        }
        stored.file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


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
    """Cached, as a market has few distinct prices and sizes."""
    value = parse_decimal(text)
    return value if value is not None and value > 0 else None


def _time(trade: dict[str, Any]) -> int:
    time_ms: int = trade["T"]
    return time_ms
