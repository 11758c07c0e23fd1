"""The history of a played market: its last trades and its klines in memory, and every trade in a file.

Part of the exchange simulator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import orjson

from bitcoin_pipeline.amounts import EXACT, plain
from bitcoin_pipeline.bybit.rest import RECENT_TRADES
from local.exchange.live.klines import MINUTE_MS, MinuteSums, count_trade, floor_ms, positive

_KEPT_MINUTES: Final = 3 * 1440
"""Number of minutes of a symbol whose klines are held."""

_KLINE: Final = ("open", "high", "low", "close", "volume", "turnover")
"""The keys of a pushed kline in the order of the values of REST's klines, after the start."""


_HOUR_MS: Final = 60 * MINUTE_MS
_PAST_HOURS: Final = 24
"""Number of hours before the first requested minute in which an earlier trade is searched for its open."""


class Past(Protocol):
    """What a market has traded before it was played."""

    def before(self, symbol: str, time_ms: int, limit: int) -> list[dict[str, Any]]:
        """The last `limit` trades before a whole second, in matching order, in the form of a frame's `data`."""
        ...

    def minutes(self, symbol: str, hour: int) -> Mapping[int, MinuteSums]:
        """The sums of each minute with trades in one hour, counted from the epoch, by the minute's start."""
        ...


@dataclass(slots=True)
class _SymbolHistory:
    """The history of one symbol."""

    file: BinaryIO
    trades: int = 0
    recent: dict[str, dict[str, Any]] = field(default_factory=dict)
    minutes: dict[int, MinuteSums] = field(default_factory=dict)
    recorded: dict[int, dict[str, Any]] = field(default_factory=dict)


class TradeHistory:
    """Stores every trade that is played, once: an id among the last ones of its symbol is a repetition.

    Objects that are no trade (a price that is not a number, a missing time) are skipped. Memory is bounded; all trades
    go to one file per symbol in `folder`, and a file of an earlier process is replaced. `whole_from_ms`: the recording
    begins within the minute before it, whose trades are not all here. `past`: the market's trades before
    `played_from_ms`, the start of a minute; last trades and klines reach back into it.
    """

    def __init__(self, folder: Path, whole_from_ms: int = 0, past: Past | None = None, played_from_ms: int = 0) -> None:
        self._folder = folder
        self._whole_from_ms = whole_from_ms
        self._past = past
        self._played_from_ms = played_from_ms
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

    def add_klines(self, symbol: str, klines: Iterable[dict[str, Any]]) -> None:
        """Store the objects of the `data` of a frame of klines."""
        stored = self._symbols.get(symbol)
        if stored is None:
            return
        for kline in klines:
            if isinstance(kline.get("start"), int) and all(positive(kline.get(name)) for name in _KLINE):
                stored.recorded[kline["start"]] = kline
                _drop_oldest(stored.recorded)

    def recent(self, symbol: str, limit: int, until_ms: float = math.inf) -> list[dict[str, Any]]:
        """The last `limit` trades up to `until_ms`, newest first, in the form of a frame's `data`."""
        stored = self._symbols.get(symbol)
        trades = sorted(stored.recent.values(), key=_time) if stored else []
        if self._past and len(trades) < RECENT_TRADES:
            trades = self._past.before(symbol, self._played_from_ms, RECENT_TRADES - len(trades)) + trades
        return [trade for trade in reversed(trades) if trade["T"] <= until_ms][:limit]

    def klines(self, symbol: str, from_ms: int, to_ms: int, until_ms: float = math.inf) -> Iterator[list[str]]:
        """The minutes that begin between two times, newest first, back to the first minute with trades, if any.

        Each is `[start, open, high, low, close, volume, turnover]`, also a minute without trades. Its open is the close
        of the minute before, which counts for high and low. A kline that was played has the minute's trades from before
        the recording too, so it stands where its volume is the greater one, and it alone where the recording begins
        within the minute. `until_ms`: volume and turnover lack the trades after it, as far as they are among the last
        ones.
        """
        later = self.recent(symbol, RECENT_TRADES) if until_ms < math.inf else []
        recorded = self._symbols[symbol].recorded if symbol in self._symbols else {}
        for kline in self._own_klines(symbol, from_ms, int(min(to_ms, until_ms))):
            minute_ms, volume, turnover = int(kline[0]), Decimal(kline[5]), Decimal(kline[6])
            played = recorded.get(minute_ms)
            if played and Decimal(played["volume"]) > volume:
                yield [kline[0], *(played[name] for name in _KLINE)]
                continue
            if minute_ms < self._whole_from_ms:
                continue
            for trade in later:
                if trade["T"] > until_ms and floor_ms(trade["T"]) == minute_ms:
                    volume = EXACT.subtract(volume, Decimal(trade["v"]))
                    turnover = EXACT.fma(-Decimal(trade["p"]), Decimal(trade["v"]), turnover)
            yield [*kline[:5], plain(volume), plain(turnover)]

    def _own_klines(self, symbol: str, from_ms: int, to_ms: int) -> Iterator[list[str]]:
        minutes = self._minutes(symbol, from_ms)
        earlier = next(minutes, None)
        next_ms = floor_ms(to_ms)
        while earlier is not None:
            (minute_ms, minute), earlier = earlier, next(minutes, None)
            if minute_ms > next_ms:
                continue
            close = plain(minute.close)
            for empty_ms in range(next_ms, max(minute_ms, from_ms - 1), -MINUTE_MS):
                yield [str(empty_ms), close, close, close, close, "0", "0"]
            if minute_ms < from_ms:
                return
            opened = earlier[1].close if earlier else minute.first
            yield [str(minute_ms), *minute.prices(opened), plain(minute.volume), plain(minute.turnover)]
            next_ms = minute_ms - MINUTE_MS

    def _minutes(self, symbol: str, from_ms: int) -> Iterator[tuple[int, MinuteSums]]:
        """The sums of the minutes with trades, newest first, back to one before `from_ms`."""
        stored = self._symbols.get(symbol)
        played = sorted(stored.minutes.items(), reverse=True) if stored else []
        yield from played
        if self._past is None:
            return
        before_ms = played[-1][0] if played else self._played_from_ms
        for hour in range((before_ms - 1) // _HOUR_MS, from_ms // _HOUR_MS - _PAST_HOURS - 1, -1):
            past = self._past.minutes(symbol, hour)
            yield from (
                (minute_ms, past[minute_ms]) for minute_ms in sorted(past, reverse=True) if minute_ms < before_ms
            )

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
        price, size = positive(trade.get("p")), positive(trade.get("v"))
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
        count_trade(stored.minutes, time_ms, price, size)
        _drop_oldest(stored.minutes)
        line: dict[str, Any] = {
            "id": trade_id,
            "symbol": symbol,
            "T": time_ms,
            "seq": trade.get("seq"),
            "price": trade["p"],
            "size": trade["v"],
            "side": trade["S"],
            **{flag: trade[flag] for flag in ("BT", "RPI") if flag in trade},
        }
        stored.file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _drop_oldest(minutes: dict[int, Any]) -> None:
    if len(minutes) > _KEPT_MINUTES:
        del minutes[min(minutes)]


def _time(trade: dict[str, Any]) -> int:
    time_ms: int = trade["T"]
    return time_ms
