"""Bars, trades and the feed's state, pushed to the viewers as server-sent events.

Part of the dashboard; lives on the event loop. Viewers of one symbol and interval share a channel, so each event is
encoded once for all of them. A slow viewer receives each bar once in its newest form, not every form that it had.

A stream begins with `reset` (the page loads the bars it shows, then applies what follows), or with the events that were
missed since the id that the viewer sends.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable
from itertools import takewhile
from typing import Final

import orjson

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.candle import Candle
from bitcoin_pipeline.times import SECOND_US, Instant
from bitcoin_pipeline.trade import TakerSide, Trade
from dashboard.cache import Cache
from dashboard.clock import Clock, elapsed_s
from dashboard.postgres import StoredCandle

STREAM_S: Final = 3000.0
"""Duration of a stream, after which the browser resumes it; Cloud Run would cut it after 60 minutes."""
KEEP_ALIVE_S: Final = 15.0
"""Time without an event after which a comment keeps the connection open; streams end at such times, too."""
IDLE_S: Final = 120.0
"""How long a channel without viewers is kept, for viewers that reconnect."""
MAX_STREAMS: Final = 1100
"""Upper bound on streams of one instance, above the most that Cloud Run's concurrency may be set to (1,000)."""
MAX_HELD_BARS: Final = 300
"""Upper bound on the bars that a channel holds for viewers that reconnect."""
MAX_BATCHES: Final = 40
"""Upper bound on the batches of trades that a channel holds."""
MAX_CHANGED: Final = 10
"""Upper bound on bars that a page requests one by one; where more have changed, it loads all bars again."""
MAX_BATCH_TRADES: Final = 30
"""Upper bound on the trades of one batch: a list that takes thousands a second is unreadable."""
LARGEST: Final = 5
"""Number of trades of a full batch that are its largest, because the page marks them; the others are the newest."""

_RESET: Final = b'{"reset":1}'
_RETRY: Final = b"retry: 1000\n\n"
_CONFIRMED: Final = {True: "true", False: "false", None: "null"}


class Channel:
    """The newest events of one symbol and interval, numbered from 1."""

    def __init__(self, symbol: str, interval_s: int, now: Instant) -> None:
        self.symbol = symbol
        self.interval_s = interval_s
        self.viewers = 0
        self.used_at = now
        self.number = 0  # of the newest event
        self._sent, self._sent_at = 0, now
        self.epoch = secrets.token_hex(4)  # marks the numbers as this channel's
        self._lost = 0  # number of the newest bar that was dropped
        self._bars: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        self._trades: deque[tuple[int, bytes]] = deque(maxlen=MAX_BATCHES)
        self._state: tuple[int, bytes] = (0, b"")
        self._encoded: dict[int, bytes] = {}
        self._wake = asyncio.Event()

    def put_bar(self, open_s: int, event: bytes) -> None:
        """Add a bar's newest form, in place of an older one."""
        self._bars[open_s] = (self._next(), event)
        self._bars.move_to_end(open_s)
        if len(self._bars) > MAX_HELD_BARS:
            _, (self._lost, _) = self._bars.popitem(last=False)

    def put_reset(self) -> None:
        """Add a reset: more bars have changed than are sent one by one."""
        self.put_bar(-1, _RESET)

    def put_trades(self, event: bytes) -> None:
        """Add a batch of trades."""
        self._trades.append((self._next(), event))

    def put_state(self, event: bytes) -> None:
        """Replace the feed's state, unless it is the same."""
        if event != self._state[1]:
            self._state = (self._next(), event)

    def send(self, now: Instant) -> None:
        """Wake the viewers when there are new events, which they then take, and when there were none for long."""
        if self.number > self._sent or elapsed_s(self._sent_at, now) > KEEP_ALIVE_S:
            self._sent, self._sent_at = self.number, now
            self.wake()

    def wake(self) -> None:
        """Wake the viewers, which take new events or end."""
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()

    async def woken(self) -> None:
        """Wait for the next `wake`."""
        await self._wake.wait()

    def position(self, event_id: str) -> int | None:
        """The number of the event with this id; None unless all events after it are still held."""
        epoch, _, text = event_id.partition("-")
        if epoch != self.epoch or not text.isdecimal() or len(text) > 15:
            return None
        number = int(text)
        return number if self._lost <= number <= self.number else None

    def since(self, number: int) -> bytes:
        """All events after `number`, as one piece of the stream."""
        if number not in self._encoded:
            bars = takewhile(lambda bar: bar[0] > number, reversed(self._bars.values()))
            events = [*bars, *(event for event in (*self._trades, self._state) if event[0] > number)]
            self._encoded[number] = self._piece([event for _, event in sorted(events)])
        return self._encoded[number]

    def reset(self) -> bytes:
        """The first piece of a new stream: a reset, the latest trades and the feed's state."""
        state = [self._state[1]] if self._state[1] else []
        return self._piece([_RESET, *(event for _, event in self._trades), *state])

    def _piece(self, events: list[bytes]) -> bytes:
        *earlier, last = events
        head = b"".join(b"data: " + event + b"\n\n" for event in earlier)
        return head + f"id: {self.epoch}-{self.number}\ndata: ".encode() + last + b"\n\n"

    def _next(self) -> int:
        self.number += 1
        self._encoded.clear()
        return self.number


class Hub:
    """All channels. What is put is sent with the next `send`. `stream_s`: the duration of a stream."""

    def __init__(self, cache: Cache, clock: Clock, stream_s: float = STREAM_S) -> None:
        self._cache = cache
        self._clock = clock
        self._stream_s = stream_s
        self._channels: dict[tuple[str, int], Channel] = {}
        self._trades: dict[str, deque[bytes]] = {}
        self._states: dict[str, bytes] = {}
        self._closed = False

    @property
    def viewers(self) -> int:
        """The number of open streams."""
        return sum(channel.viewers for channel in self._channels.values())

    def watched(self) -> set[str]:
        """The symbols that have viewers."""
        return {symbol for (symbol, _), channel in self._channels.items() if channel.viewers}

    def close(self) -> None:
        """End every stream; the browsers reconnect to another instance."""
        self._closed = True
        for channel in self._channels.values():
            channel.wake()

    def send(self) -> None:
        """Send what was put; bars and trades of one moment go in one piece."""
        now = self._clock()
        for channel in self._channels.values():
            channel.send(now)

    async def stream(self, symbol: str, interval_s: int, event_id: str, jitter: float) -> AsyncIterator[bytes]:
        """The events of a symbol and interval after `event_id`, until the stream's duration is over.

        `jitter`: 0 to 1; it shortens the stream by up to a tenth, so that streams of one start do not end together.
        """
        channel = self._channel(symbol, interval_s)
        channel.viewers += 1
        try:
            began_at, duration_s = self._clock(), self._stream_s * (1 - 0.1 * jitter)
            number = channel.position(event_id)
            if number is None:
                number = channel.number
                yield _RETRY + channel.reset()
            else:
                yield _RETRY
            while not self._closed and elapsed_s(began_at, self._clock()) < duration_s:
                if channel.number > number:
                    # Read before the yield: events that come while this piece is sent belong to the next one.
                    piece, number = channel.since(number), channel.number
                    yield piece
                    continue
                # No timer of each viewer: the hub wakes silent channels, too.
                await channel.woken()
                if channel.number == number and not self._closed:
                    yield b": still here\n\n"
        finally:
            channel.viewers -= 1
            channel.used_at = self._clock()

    def _channel(self, symbol: str, interval_s: int) -> Channel:
        key = (symbol, interval_s)
        if key not in self._channels:
            channel = self._channels[key] = Channel(symbol, interval_s, self._clock())
            for event in self._trades.get(symbol, ()):
                channel.put_trades(event)
            if symbol in self._states:
                channel.put_state(self._states[symbol])
        return self._channels[key]

    def _of(self, symbol: str) -> list[Channel]:
        """The symbol's channels. Idle channels of all symbols are dropped, and the states of their feeds."""
        now = self._clock()
        for key, channel in list(self._channels.items()):
            if not channel.viewers and elapsed_s(channel.used_at, now) > IDLE_S:
                del self._channels[key]
                self._states.pop(channel.symbol, None)  # a symbol with viewers gets a new one within a second
        return [channel for (of, _), channel in self._channels.items() if of == symbol]

    def put_candles(self, rows: Iterable[StoredCandle]) -> None:
        """Put minutes that have changed, as bars of each interval that has a channel."""
        by_symbol: dict[str, list[StoredCandle]] = {}
        for row in rows:
            by_symbol.setdefault(row.candle.symbol, []).append(row)
        for symbol, changed in by_symbol.items():
            for channel in self._of(symbol):
                bars = list(self._bars(symbol, channel.interval_s, changed))
                if sum(bar is None for _, bar, _ in bars) > MAX_CHANGED:
                    channel.put_reset()
                    bars = [item for item in bars if item[1] is not None]
                for open_s, bar, updated_us in bars:
                    channel.put_bar(open_s, bar_event(open_s, bar, updated_us))

    def _bars(
        self, symbol: str, interval_s: int, changed: list[StoredCandle]
    ) -> Iterable[tuple[int, Candle | None, int]]:
        """(Open time, bar, time of writing) of the bars that hold the changed minutes.

        The bar is None unless it is one of the two newest: the page requests it, history may have a part of it.
        """
        live = self._cache.live(symbol)
        assert live is not None  # its minutes have just changed
        opens: dict[int, int] = {}
        for row in changed:
            t = row.candle.open_time_us // SECOND_US
            open_s = t - t % interval_s
            opens[open_s] = max(opens.get(open_s, 0), row.updated_us)
        for open_s, updated_us in sorted(opens.items()):
            is_behind = open_s < live.newest_s - live.newest_s % interval_s - interval_s
            yield open_s, None if is_behind else live.bar(open_s, interval_s), updated_us

    def put_trades(self, symbol: str, trades: list[Trade]) -> None:
        """Put trades; they are sent in the order of time."""
        event = trades_event(_newest_and_largest(sorted(trades, key=lambda trade: (trade.time_us, trade.order))))
        self._trades.setdefault(symbol, deque(maxlen=MAX_BATCHES)).append(event)
        for channel in self._of(symbol):
            channel.put_trades(event)

    def put_state(self, symbol: str, state: dict[str, object]) -> None:
        """Put the feed's state."""
        event = self._states[symbol] = orjson.dumps({"state": state})
        for channel in self._of(symbol):
            channel.put_state(event)


def _newest_and_largest(trades: list[Trade]) -> list[Trade]:
    """At most MAX_BATCH_TRADES of the trades, in their order."""
    split = len(trades) - MAX_BATCH_TRADES + LARGEST
    if split <= LARGEST:
        return trades
    largest = sorted(range(split), key=lambda place: (trades[place].size, place))[-LARGEST:]
    return [trades[place] for place in sorted(largest)] + trades[split:]


def bar_event(open_s: int, bar: Candle | None, updated_us: int) -> bytes:
    """The event of a bar, with exact amounts; without a bar, that the bar of this open time has changed.

    `{"bar":[open time, open, high, low, close, volume, turnover, trades, bought, doubt, source, confirmed,
    written at (ms)]}` or
    `{"changed":open time}`.
    """
    if bar is None:
        return f'{{"changed":{open_s}}}'.encode()
    amounts = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.turnover)
    count = "null" if bar.trade_count is None else bar.trade_count
    bought = "null" if bar.buy_volume is None else plain(bar.buy_volume)
    return (
        f'{{"bar":[{open_s},{",".join(map(plain, amounts))},{count},{bought},'
        f'{bar.status.doubt},"{bar.source}",{_CONFIRMED[bar.confirmed]},{updated_us // 1000}]}}'
    ).encode()


def trades_event(trades: list[Trade]) -> bytes:
    """`{"trades":[[time (ms), price, size, 1 for a taker who bought]]}`, oldest first."""
    rows = (
        f"[{trade.time_us // 1000},{plain(trade.price)},{plain(trade.size)},{int(trade.taker_side is TakerSide.BUY)}]"
        for trade in trades
    )
    return f'{{"trades":[{",".join(rows)}]}}'.encode()
