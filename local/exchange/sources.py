"""Where the frames of the played market come from: a recording, days of the archive, or the invented market.

Part of the exchange simulator.
"""

from __future__ import annotations

import datetime as dt
import gzip
import heapq
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.names import archive_file
from bitcoin_pipeline.trade import Trade
from local.exchange.frames import TRADE_TOPIC, Frame, frames_of, read_capture, trade_topic
from local.exchange.invented_live import invented_burst, invented_second, tick_direction
from local.exchange.publication import Publication


class Source(Protocol):
    """Frames in the order of their time, and the topics of which they can be."""

    @property
    def topics(self) -> frozenset[str]:
        """What can be subscribed to."""
        ...

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """The frames, from the first at or after `from_ms` on."""
        ...


def symbols_of(topics: frozenset[str]) -> list[str]:
    """The symbols whose trades are among `topics`, in order."""
    return sorted(topic.removeprefix(TRADE_TOPIC) for topic in topics if topic.startswith(TRADE_TOPIC))


class Capture:
    """A recording, one frame a line, read as it is played. Raises ValueError for one without a single readable `ts`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        topics: set[str] = set()
        self.first_ms = 0
        for frame in read_capture(path):
            self.first_ms = self.first_ms or frame.time_ms
            topics.add(frame.topic)
        if not self.first_ms:
            raise ValueError(f"a capture holds one websocket frame a line, with its ts, got {path}")
        self.topics: Final = frozenset(topics - {""})

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """Every frame to the letter, the first at or after `from_ms` as all come with it."""
        return read_capture(self._path)


class Days:
    """Days of the archive as they would have come live. Raises ValueError for days without any trade.

    `trades` of each symbol are in matching order, of which `seq` tells as the archive's times are finer than `T`.
    """

    def __init__(self, trades: Mapping[str, Sequence[Trade]]) -> None:
        self._trades = trades
        self.topics: Final = frozenset(map(trade_topic, trades))
        first = next(self.frames(0), None)
        if first is None:
            raise ValueError(f"no trades of {', '.join(trades)} on the days to play")
        self.first_ms: Final = first.time_ms

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """Every frame; the first decides where the clock stands before."""
        streams = [frames_of(symbol, _on_the_wire(trades)) for symbol, trades in self._trades.items()]
        return heapq.merge(*streams, key=lambda frame: frame.time_ms)


async def read_days(publication: Publication, days: Iterable[tuple[str, dt.date]]) -> Days:
    """Days that are published. Raises ValueError for one that is not, or whose file cannot be used."""
    trades: dict[str, list[Trade]] = {}
    for symbol, day in sorted(days):
        path = await publication.path(symbol, day)
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


class InventedMarket:
    """An endless market of `symbols`, evenly busy, whose trades follow from the seed and the second alone."""

    def __init__(self, symbols: tuple[str, ...], trades_per_second: float, seed: int) -> None:
        self._symbols = symbols
        self._rate = trades_per_second / len(symbols)
        self._seed = seed
        self._second = 0
        self._bursts: dict[str, list[Iterator[dict[str, Any]]]] = {}
        self._burst_numbers = count(1)
        self.topics: Final = frozenset(map(trade_topic, symbols))

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """From the first whole second at or after `from_ms` on, without end."""
        self._second = -(-from_ms // 1000)
        while True:
            streams = [frames_of(symbol, self._trades(symbol)) for symbol in self._symbols]
            self._second += 1
            yield from heapq.merge(*streams, key=lambda frame: frame.time_ms)

    def burst(self, symbol: str, trades: int) -> None:
        """Make so many more trades within the next second that is not made yet, among its own."""
        made = invented_burst(symbol, self._second, trades, self._seed, next(self._burst_numbers))
        self._bursts.setdefault(symbol, []).append(made)

    def _trades(self, symbol: str) -> Iterator[dict[str, Any]]:
        made = invented_second(symbol, self._second, self._rate, self._seed)
        return heapq.merge(made, *self._bursts.pop(symbol, []), key=lambda trade: trade["T"])
