"""Sources of the frames of a played market: a recording, days of the archive, or the synthetic market.

Part of the exchange simulator.
"""

from __future__ import annotations

import datetime as dt
import gzip
import heapq
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from bitcoin_pipeline.amounts import from_units, plain
from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.bybit.frames import TOPIC_PREFIX
from bitcoin_pipeline.names import archive_file
from bitcoin_pipeline.times import MINUTE_US
from bitcoin_pipeline.trade import Trade
from local.exchange.live.frames import Frame, frames_of, kline_topic, read_capture, trade_topic
from local.exchange.live.klines import MINUTE_MS, MinuteSums, floor_ms, with_klines
from local.exchange.synthetic.fills import scaled
from local.exchange.synthetic.profiles import profile_of
from local.exchange.synthetic.second import (
    fills_of_hour,
    synthetic_burst,
    synthetic_second,
    tick_direction,
    trades_before,
)

FindFile = Callable[[str, dt.date], Awaitable[Path | None]]
"""Returns the archive file of a symbol and day, None for a day that is not published."""


class Source(Protocol):
    """Frames in the order of their time, and the topics that they can have."""

    @property
    def topics(self) -> frozenset[str]:
        """The topics to which clients can subscribe."""
        ...

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """The frames, from the first at or after `from_ms` on."""
        ...


def _topics_of(symbols: Iterable[str]) -> frozenset[str]:
    return frozenset(topic(symbol) for symbol in symbols for topic in (trade_topic, kline_topic))


def symbols_of(topics: frozenset[str]) -> list[str]:
    """The symbols of the trade topics among `topics`, in order."""
    return sorted(topic.removeprefix(TOPIC_PREFIX) for topic in topics if topic.startswith(TOPIC_PREFIX))


class Capture:
    """A recording with one frame a line, read as it is played. Raises ValueError for a file without any readable `ts`.

    `first_ms`: the time of its first frame. `whole_from_ms`: the end of the minute within which it begins.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        topics: set[str] = set()
        self.first_ms = 0
        for frame in read_capture(path):
            self.first_ms = self.first_ms or frame.time_ms
            topics.add(frame.topic)
        if not self.first_ms:
            raise ValueError(f"a capture holds one websocket frame a line, with its ts, got {path}")
        self.whole_from_ms: Final = floor_ms(self.first_ms - 1) + MINUTE_MS
        self.topics: Final = frozenset(topics - {""})

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """Every frame with its exact text, whatever `from_ms` is."""
        return read_capture(self._path)


class Days:
    """Days of the archive in the form of live frames. Raises ValueError for days without any trade.

    `trades` of each symbol are in matching order, which becomes their `seq`, as the archive's times are finer than `T`.
    `first_ms`: the time of the first frame. `whole_from_ms`: no minute lacks trades.
    """

    whole_from_ms: Final = 0

    def __init__(self, trades: Mapping[str, Sequence[Trade]]) -> None:
        self._trades = trades
        self.topics: Final = _topics_of(trades)
        first = next(self.frames(0), None)
        if first is None:
            raise ValueError(f"no trades of {', '.join(trades)} on the days to play")
        self.first_ms: Final = first.time_ms

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """Every frame, whatever `from_ms` is, with the klines of their trades."""
        streams = [frames_of(symbol, _on_the_wire(trades)) for symbol, trades in self._trades.items()]
        return with_klines(heapq.merge(*streams, key=lambda frame: frame.time_ms))


async def read_days(find_file: FindFile, days: Iterable[tuple[str, dt.date]]) -> Days:
    """The trades of symbols' days. Raises ValueError for a day that is not published or has an unusable file."""
    trades: dict[str, list[Trade]] = {}
    for symbol, day in sorted(days):
        path = await find_file(symbol, day)
        if path is None:
            raise ValueError(f"the archive has no {archive_file(symbol, day)}")
        try:
            with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
                trades.setdefault(symbol, []).extend(read_day(lines, symbol, day).trades)
        except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} is broken: {error}") from error
    return Days(trades)


def _on_the_wire(trades: Iterable[Trade]) -> Iterator[dict[str, Any]]:
    last: Trade | None = None
    direction = "ZeroPlusTick"
    for seq, trade in enumerate(trades, 1):
        change = 0 if last is None else int(trade.price.compare(last.price))
        direction = tick_direction(change, direction)
        last = trade
        yield {
            "T": trade.time_us // 1000,
            "s": trade.symbol,
            "S": str(trade.taker_side),
            "v": plain(trade.size),
            "p": plain(trade.price),
            "L": direction,
            "i": trade.trade_id,
            "BT": False,
            "RPI": False,
            "seq": seq,
        }


_MANY: Final = 50
"""Number of symbols from which on their next second is made in the course of the current one, not at its end."""
_FRAME_TRADES: Final = 1.6
"""Mean number of trades in a frame of a symbol that trades a few times a second."""


class SyntheticMarket:
    """A market without end and without a beginning: `symbols` have equal rates.

    Its trades are those of the synthetic archive with the same rate and seed. They depend on the second only, so that a
    market that was not played in some time has traded in it nevertheless.
    """

    def __init__(self, symbols: tuple[str, ...], trades_per_second: float, seed: int) -> None:
        self._symbols = symbols
        self._rate = trades_per_second / len(symbols)
        self._seed = seed
        self._second = 0
        self._ahead: list[Iterator[Frame]] = []
        self._bursts: dict[str, list[Iterator[dict[str, Any]]]] = {}
        self._burst_numbers = count(1)
        self.topics: Final = _topics_of(symbols)

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """The frames from the first whole second at or after `from_ms` on, without end, with the klines of these."""
        first = self._second = -(-from_ms // 1000)

        def price_before(symbol: str) -> Decimal | None:
            return next((Decimal(trade["p"]) for trade in self.before(symbol, first * 1000, 1)), None)

        return with_klines(self._trade_frames(), price_before)

    def before(self, symbol: str, time_ms: int, limit: int) -> list[dict[str, Any]]:
        """The last `limit` trades before a whole second, in matching order, in the form of a frame's `data`."""
        if symbol not in self._symbols:
            return []
        return trades_before(symbol, time_ms // 1000, self._rate, self._seed, limit)

    def minutes(self, symbol: str, hour: int) -> dict[int, MinuteSums]:
        """The sums of each minute with trades in one hour, which is counted from the epoch, by the minute's start."""
        return _minutes_of_hour(symbol, hour, self._rate, self._seed) if symbol in self._symbols else {}

    def _trade_frames(self) -> Iterator[Frame]:
        every = max(1, round(self._rate / _FRAME_TRADES)) if len(self._symbols) >= _MANY else 0
        while True:
            ahead = self._ahead
            streams = [*ahead, *(frames_of(symbol, self._trades(symbol)) for symbol in self._symbols[len(ahead) :])]
            self._ahead = []
            self._second += 1
            for number, frame in enumerate(heapq.merge(*streams, key=lambda frame: frame.time_ms), 1):
                yield frame
                if every and number % every == 0 and len(self._ahead) < len(self._symbols):
                    symbol = self._symbols[len(self._ahead)]
                    self._ahead.append(iter(list(frames_of(symbol, self._trades(symbol)))))

    def burst(self, symbol: str, trades: int) -> None:
        """Make `trades` further trades of `symbol` within the next second that is not made yet, among its own."""
        second = self._second + (symbol in self._symbols[: len(self._ahead)])
        made = synthetic_burst(symbol, second, trades, self._seed, next(self._burst_numbers))
        self._bursts.setdefault(symbol, []).append(made)

    def _trades(self, symbol: str) -> Iterator[dict[str, Any]]:
        made = synthetic_second(symbol, self._second, self._rate, self._seed)
        return heapq.merge(made, *self._bursts.pop(symbol, []), key=lambda trade: trade["T"])


@lru_cache(256)
def _minutes_of_hour(symbol: str, hour: int, rate: float, seed: int) -> dict[int, MinuteSums]:
    profile = profile_of(symbol)
    assert profile is not None
    (price_decimals, _), (size_decimals, _) = scaled(profile.tick), scaled(profile.lot)
    fills = fills_of_hour(symbol, hour, rate, seed)
    if not len(fills):
        return {}
    minutes = fills.time_us // MINUTE_US
    starts = np.flatnonzero(np.diff(minutes, prepend=-1))
    prices = [
        fills.price[starts],
        np.maximum.reduceat(fills.price, starts),
        np.minimum.reduceat(fills.price, starts),
        fills.price[np.append(starts[1:], len(fills)) - 1],
    ]
    found = {}
    volumes, turnovers = np.add.reduceat(fills.size, starts), np.add.reduceat(fills.price * fills.size, starts)
    for place, minute in enumerate(minutes[starts].tolist()):
        first, high, low, close = (from_units(int(price[place]), price_decimals) for price in prices)
        volume = from_units(int(volumes[place]), size_decimals)
        turnover = from_units(int(turnovers[place]), price_decimals + size_decimals)
        start_ms = minute * MINUTE_MS
        found[start_ms] = MinuteSums(first, high, low, close, start_ms, volume, turnover)
    return found
