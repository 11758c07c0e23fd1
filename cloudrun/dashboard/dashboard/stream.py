"""What is pushed to the viewers: bars, trades and the feed's state, as server-sent events.

Part of the dashboard; lives on the event loop. Viewers of one symbol and interval share a channel: each event is made
once, however many look. Who is slow gets each bar once in its newest form, not every form it had.

A stream's first event is either `reset` (load what you show, then apply what follows) or what was missed since the
id that the viewer names.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import takewhile
from typing import Final

import orjson

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.candle import Candle
from bitcoin_pipeline.times import SECOND_US
from bitcoin_pipeline.trade import TakerSide, Trade
from dashboard.cache import Cache
from dashboard.postgres import Stored

STREAM_S: Final = 3000.0
"""Cloud Run cuts a stream after 60 minutes; ours ends before, and the browser resumes it."""
KEEP_ALIVE_S: Final = 15.0
IDLE_S: Final = 120.0
"""A channel nobody looks at is kept that long for who comes back."""
MAX_STREAMS: Final = 400
"""Of one instance; Cloud Run's concurrency is set below it, so that another one starts before this one refuses."""
BARS_KEPT: Final = 300
BATCHES_KEPT: Final = 40
CHANGED_SENT: Final = 10
"""Bars that viewers ask for one by one at most; where more have changed, all that is shown is loaded again."""
TRADES_SENT: Final = 30
"""Of one batch at most: the newest; a tape of thousands a second cannot be read."""

_RESET: Final = b'{"reset":1}'
_RETRY: Final = b"retry: 1000\n\n"


class Channel:
    """The newest events of one symbol and interval."""

    def __init__(self, symbol: str, interval: int, now: float) -> None:
        self.symbol = symbol
        self.interval = interval
        self.viewers = 0
        self.used_at = now
        self.number = 0
        self._sent = 0
        self.epoch = secrets.token_hex(4)
        self._lost = 0
        self._bars: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        self._trades: deque[tuple[int, bytes]] = deque(maxlen=BATCHES_KEPT)
        self._state: tuple[int, bytes] = (0, b"")
        self._made: dict[int, bytes] = {}
        self._wake = asyncio.Event()

    def put_bar(self, open_s: int, event: bytes) -> None:
        """Take in a bar's newest form."""
        self._bars[open_s] = (self._next(), event)
        self._bars.move_to_end(open_s)
        if len(self._bars) > BARS_KEPT:
            _, (self._lost, _) = self._bars.popitem(last=False)

    def put_reset(self) -> None:
        """Take in that more has changed than can be told bar by bar."""
        self.put_bar(-1, _RESET)

    def put_trades(self, event: bytes) -> None:
        """Take in a batch of the tape."""
        self._trades.append((self._next(), event))

    def put_state(self, event: bytes) -> None:
        """Take in the feed's state, if it is another."""
        if event != self._state[1]:
            self._state = (self._next(), event)

    def send(self) -> None:
        """Wake the viewers if there is anything new, which they then take."""
        if self.number > self._sent:
            self._sent = self.number
            self.wake()

    def wake(self) -> None:
        """Let the viewers look for what is new, and whether they are to go on."""
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()

    async def woken(self) -> None:
        """Wait for the next `send`."""
        await self._wake.wait()

    def position(self, event_id: str) -> int | None:
        """The number that `event_id` names, None when what followed it is not known here any more."""
        epoch, _, text = event_id.partition("-")
        if epoch != self.epoch or not text.isdecimal() or len(text) > 15:
            return None
        number = int(text)
        return number if self._lost <= number <= self.number else None

    def since(self, number: int) -> bytes:
        """All that came after `number`, as one piece of the stream."""
        if number not in self._made:
            bars = takewhile(lambda bar: bar[0] > number, reversed(self._bars.values()))
            events = [*bars, *(event for event in (*self._trades, self._state) if event[0] > number)]
            self._made[number] = self._piece([event for _, event in sorted(events)])
        return self._made[number]

    def reset(self) -> bytes:
        """The first event of who begins here: the feed's state and the latest trades follow it."""
        state = [self._state[1]] if self._state[1] else []
        return self._piece([_RESET, *(event for _, event in self._trades), *state])

    def _piece(self, events: list[bytes]) -> bytes:
        *earlier, last = events
        head = b"".join(b"data: " + event + b"\n\n" for event in earlier)
        return head + f"id: {self.epoch}-{self.number}\ndata: ".encode() + last + b"\n\n"

    def _next(self) -> int:
        self.number += 1
        self._made.clear()
        return self.number


class Hub:
    """All channels. What is put goes out with the next `send`. `clock`: monotonic seconds."""

    def __init__(self, cache: Cache, clock: Callable[[], float], stream_s: float = STREAM_S) -> None:
        self._cache = cache
        self._clock = clock
        self._stream_s = stream_s
        self._channels: dict[tuple[str, int], Channel] = {}
        self._tapes: dict[str, deque[bytes]] = {}
        self._states: dict[str, bytes] = {}
        self._closed = False

    @property
    def viewers(self) -> int:
        """Streams that are open now."""
        return sum(channel.viewers for channel in self._channels.values())

    def watched(self) -> set[str]:
        """The symbols that somebody looks at."""
        return {symbol for (symbol, _), channel in self._channels.items() if channel.viewers}

    def close(self) -> None:
        """End every stream; the browsers come back to another instance."""
        self._closed = True
        for channel in self._channels.values():
            channel.wake()

    def send(self) -> None:
        """Let the viewers have what was put; bars and trades of one moment go in one piece."""
        for channel in self._channels.values():
            channel.send()

    async def stream(self, symbol: str, interval: int, event_id: str, jitter: float) -> AsyncIterator[bytes]:
        """The events of a symbol and interval, after the one named, until the stream has lasted long enough.

        `jitter`: 0 to 1, by which streams that began together do not end together.
        """
        channel = self._channel(symbol, interval)
        channel.viewers += 1
        try:
            end = self._clock() + self._stream_s * (1 - 0.1 * jitter)
            number = channel.position(event_id)
            if number is None:
                number = channel.number
                yield _RETRY + channel.reset()
            else:
                yield _RETRY
            while not self._closed and (left := end - self._clock()) > 0:
                if channel.number > number:
                    # Read before the yield: what comes while this piece is sent is the next one's.
                    piece, number = channel.since(number), channel.number
                    yield piece
                    continue
                try:
                    async with asyncio.timeout(min(KEEP_ALIVE_S, left)):
                        await channel.woken()
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            channel.viewers -= 1
            channel.used_at = self._clock()

    def _channel(self, symbol: str, interval: int) -> Channel:
        key = (symbol, interval)
        if key not in self._channels:
            channel = self._channels[key] = Channel(symbol, interval, self._clock())
            for event in self._tapes.get(symbol, ()):
                channel.put_trades(event)
            if symbol in self._states:
                channel.put_state(self._states[symbol])
        return self._channels[key]

    def _of(self, symbol: str) -> list[Channel]:
        """The symbol's channels; those that nobody came back to are dropped, and what is known of their feed."""
        now = self._clock()
        for key, channel in list(self._channels.items()):
            if not channel.viewers and now - channel.used_at > IDLE_S:
                del self._channels[key]
                self._states.pop(channel.symbol, None)  # told anew each second where somebody looks
        return [channel for (of, _), channel in self._channels.items() if of == symbol]

    def put_candles(self, rows: Iterable[Stored]) -> None:
        """Take in minutes that have changed, as bars of each interval that is looked at."""
        by_symbol: dict[str, list[Stored]] = {}
        for row in rows:
            by_symbol.setdefault(row.candle.symbol, []).append(row)
        for symbol, changed in by_symbol.items():
            for channel in self._of(symbol):
                bars = list(self._bars(symbol, channel.interval, changed))
                if sum(bar is None for _, bar, _ in bars) > CHANGED_SENT:
                    channel.put_reset()
                    bars = [made for made in bars if made[1] is not None]
                for open_s, bar, updated_us in bars:
                    channel.put_bar(open_s, bar_event(open_s, bar, updated_us))

    def _bars(self, symbol: str, interval: int, changed: list[Stored]) -> Iterable[tuple[int, Candle | None, int]]:
        """The bars that hold the changed minutes; None for one whose minutes are not all here: it is asked for."""
        live = self._cache.live(symbol)
        assert live is not None  # its minutes have just changed
        opens: dict[int, int] = {}
        for row in changed:
            t = row.candle.open_time_us // SECOND_US
            opens[t - t % interval] = max(opens.get(t - t % interval, 0), row.updated_us)
        for open_s, updated_us in sorted(opens.items()):
            is_behind = open_s < live.newest - live.newest % interval - interval
            yield open_s, None if is_behind else live.bar(open_s, interval), updated_us

    def put_trades(self, symbol: str, trades: list[Trade]) -> None:
        """Take in what was traded, in the order of time."""
        event = trades_event(sorted(trades, key=lambda trade: (trade.time_us, trade.order))[-TRADES_SENT:])
        self._tapes.setdefault(symbol, deque(maxlen=BATCHES_KEPT)).append(event)
        for channel in self._of(symbol):
            channel.put_trades(event)

    def put_state(self, symbol: str, state: dict[str, object]) -> None:
        """Take in how the feed does."""
        event = self._states[symbol] = orjson.dumps({"state": state})
        for channel in self._of(symbol):
            channel.put_state(event)


def bar_event(open_s: int, bar: Candle | None, updated_us: int) -> bytes:
    """A bar as the page reads it, amounts as they are and not as floats; without one, word that it has changed.

    `{"bar":[open time, open, high, low, close, volume, turnover, trades, bought, doubt, source, written at (ms)]}` or
    `{"changed":open time}`.
    """
    if bar is None:
        return f'{{"changed":{open_s}}}'.encode()
    amounts = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.turnover)
    count = "null" if bar.trade_count is None else bar.trade_count
    bought = "null" if bar.buy_volume is None else plain(bar.buy_volume)
    return (
        f'{{"bar":[{open_s},{",".join(map(plain, amounts))},{count},{bought},'
        f'{bar.status.doubt},"{bar.source}",{updated_us // 1000}]}}'
    ).encode()


def trades_event(trades: list[Trade]) -> bytes:
    """`{"trades":[[time (ms), price, size, 1 for a taker who bought]]}`, oldest first."""
    rows = (
        f"[{trade.time_us // 1000},{plain(trade.price)},{plain(trade.size)},{int(trade.taker_side is TakerSide.BUY)}]"
        for trade in trades
    )
    return f'{{"trades":[{",".join(rows)}]}}'.encode()
