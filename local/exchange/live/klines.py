"""The exchange's one-minute klines, made of trades: their sums, and the frames in which the websocket pushes them.

Part of the exchange simulator; no I/O. Source of the rules: Bybit's v5 documentation and a real capture of August 2026.
"""

from __future__ import annotations

import heapq
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import orjson

from bitcoin_pipeline.amounts import EXACT, parse_decimal, plain
from bitcoin_pipeline.times import MINUTE_US
from local.exchange.live.frames import Frame, kline_topic

MINUTE_MS: Final = MINUTE_US // 1000
_SECOND_MS: Final = 1000

_LAG_MS: Final = 60
"""Time after which a trade's frame is counted in the klines that are pushed; the last of a minute counts all."""

_FIRST_PHASE_MS: Final = 100
"""Least time between the start of a second and a symbol's pushes; the greatest is a second."""


@dataclass(slots=True)
class MinuteSums:
    """The sums of a minute with trades; its open is the close of the minute before, which is not stored here."""

    first: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    closed_at_ms: int
    volume: Decimal = Decimal(0)
    turnover: Decimal = Decimal(0)

    def prices(self, opened: Decimal) -> tuple[str, str, str, str]:
        """Open, high, low and close of a minute that opens at `opened`, which counts for high and low."""
        open_, high, low, close = map(plain, (opened, max(opened, self.high), min(opened, self.low), self.close))
        return open_, high, low, close


def count_trade(minutes: dict[int, MinuteSums], time_ms: int, price: Decimal, size: Decimal) -> None:
    """Add a trade to its minute's sums; `minutes` has them by the minute's start in milliseconds."""
    minute_ms = floor_ms(time_ms)
    minute = minutes.get(minute_ms)
    if minute is None:
        minute = minutes[minute_ms] = MinuteSums(price, price, price, price, time_ms)
    minute.high = max(minute.high, price)
    minute.low = min(minute.low, price)
    if time_ms >= minute.closed_at_ms:
        minute.close, minute.closed_at_ms = price, time_ms
    minute.volume = EXACT.add(minute.volume, size)
    minute.turnover = EXACT.fma(price, size, minute.turnover)


def floor_ms(time_ms: int) -> int:
    """The start of a time's minute."""
    return time_ms // MINUTE_MS * MINUTE_MS


def positive(text: object) -> Decimal | None:
    """The number in a text; None for what is no text of a number above 0."""
    return _positive_decimal(text) if isinstance(text, str) else None


@lru_cache(1 << 14)
def _positive_decimal(text: str) -> Decimal | None:
    """Cached, as a market has few distinct prices and sizes."""
    value = parse_decimal(text)
    return value if value is not None and value > 0 else None


def with_klines(
    frames: Iterable[Frame], price_before: Callable[[str], Decimal | None] = lambda symbol: None
) -> Iterator[Frame]:
    """The frames of trades, which ascend by time, with the frames of their symbols' klines between them.

    A symbol's klines are pushed at one phase of the second, from 0.1 to 1 s after its start: when trades came since the
    last push, and after the end of each minute, then with `confirm`. They begin with the symbol's first trade and end
    with the minute of the last trade of all. `price_before`: the price of a symbol's last trade before all frames, at
    which its first kline opens; None where it is unknown.
    """
    pushes: list[tuple[int, str]] = []
    symbols: dict[str, _SymbolKlines] = {}
    last_ms = 0
    for frame in frames:
        last_ms = frame.time_ms
        yield from _pushed(pushes, symbols, last_ms)
        yield frame
        symbol = frame.trades[0]["s"]
        klines = symbols.get(symbol)
        if klines is None:
            klines = symbols[symbol] = _SymbolKlines(symbol, frame.trades[0], price_before(symbol))
            heapq.heappush(pushes, (klines.push_ms, symbol))
        if klines.add(frame):
            heapq.heappush(pushes, (klines.push_ms, symbol))
    yield from _pushed(pushes, symbols, floor_ms(last_ms) + MINUTE_MS + _SECOND_MS)


def _pushed(pushes: list[tuple[int, str]], symbols: dict[str, _SymbolKlines], before_ms: int) -> Iterator[Frame]:
    """The frames that are pushed before a time; each entry of `pushes` is a symbol and the time of a push."""
    while pushes and pushes[0][0] < before_ms:
        push_ms, symbol = heapq.heappop(pushes)
        klines = symbols[symbol]
        if klines.push_ms == push_ms:  # another push was not moved before it
            yield klines.push()
            heapq.heappush(pushes, (klines.push_ms, symbol))


class _SymbolKlines:
    """The open kline of one symbol. `push_ms`: the time of its next push."""

    def __init__(self, symbol: str, first: Mapping[str, Any], price_before: Decimal | None) -> None:
        self._topic: Final = kline_topic(symbol)
        self._phase_ms: Final = _FIRST_PHASE_MS + zlib.crc32(symbol.encode()) % (_SECOND_MS - _FIRST_PHASE_MS)
        self._waiting: deque[Frame] = deque()
        self._minutes: dict[int, MinuteSums] = {}
        self._minute_ms = floor_ms(first["T"])
        self._opened = Decimal(first["p"]) if price_before is None else price_before
        self.push_ms = self._closing_ms()

    def add(self, frame: Frame) -> bool:
        """Take a frame of trades; whether it moves the next push to an earlier time."""
        self._waiting.append(frame)
        after_ms = frame.time_ms + _LAG_MS - self._phase_ms
        push_ms = -(-after_ms // _SECOND_MS) * _SECOND_MS + self._phase_ms
        is_earlier = push_ms < self.push_ms
        self.push_ms = min(push_ms, self.push_ms)
        return is_earlier

    def push(self) -> Frame:
        """The frame of the push that is due now; `push_ms` is that of the next one."""
        now_ms = self.push_ms
        while self._waiting and self._waiting[0].time_ms <= now_ms - _LAG_MS:
            for trade in self._waiting.popleft().trades:
                count_trade(self._minutes, trade["T"], Decimal(trade["p"]), Decimal(trade["v"]))
        data = []
        if now_ms >= self._minute_ms + MINUTE_MS:
            data.append(self._kline(now_ms, is_closed=True))
            closed = self._minutes.pop(self._minute_ms, None)
            self._opened = closed.close if closed else self._opened
            self._minute_ms += MINUTE_MS
        data.append(self._kline(now_ms, is_closed=False))
        self.push_ms = now_ms + _SECOND_MS if self._waiting else self._closing_ms()
        message = {"topic": self._topic, "data": data, "ts": now_ms, "type": "snapshot"}
        return Frame(orjson.dumps(message).decode(), self._topic, now_ms, klines=tuple(data))

    def _closing_ms(self) -> int:
        return self._minute_ms + MINUTE_MS + self._phase_ms

    def _kline(self, now_ms: int, *, is_closed: bool) -> dict[str, Any]:
        sums = self._minutes.get(self._minute_ms)
        opened, high, low, close = sums.prices(self._opened) if sums else (plain(self._opened),) * 4
        return {
            "start": self._minute_ms,
            "end": self._minute_ms + MINUTE_MS - 1,
            "interval": "1",
            "open": opened,
            "close": close,
            "high": high,
            "low": low,
            "volume": plain(sums.volume) if sums else "0",
            "turnover": plain(sums.turnover) if sums else "0",
            "confirm": is_closed,
            "timestamp": now_ms,
        }
