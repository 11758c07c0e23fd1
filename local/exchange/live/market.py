"""The live side as a whole: one played market, its websocket, its REST calls and its faults.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from bitcoin_pipeline.adapters.stdout import log
from local.exchange.live import faults, rest, stream
from local.exchange.live.clocks import RecordedClock, WallClock
from local.exchange.live.faults import BURST, GARBAGE_KINDS, LiveFault, LiveFaults, parse_live_fault
from local.exchange.live.frames import frames_of, trade_topic
from local.exchange.live.garbage import absurd_trade_text, garbage_text
from local.exchange.live.history import TradeHistory
from local.exchange.live.klines import floor_ms
from local.exchange.live.playback import Playback
from local.exchange.live.rest import RestHost
from local.exchange.live.sources import Capture, Days, SyntheticMarket, symbols_of
from local.exchange.live.stream import StreamHost
from local.exchange.shared.faults import FaultError
from local.exchange.shared.rate_limit import RateLimit
from local.exchange.synthetic.second import burst_around_price


class LiveMarket:
    """A played market with the hosts that serve it.

    `monotonic` returns the seconds of a clock that is never set; rate limits and faults follow it.
    """

    def __init__(self, playback: Playback, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.playback = playback
        self.faults = LiveFaults(monotonic)
        self.rate_limits = (
            RateLimit(rest.REQUESTS, rest.BAN_SECONDS, monotonic, rest.REQUESTS_SECONDS),
            RateLimit(stream.CONNECTIONS, stream.CONNECTIONS_SECONDS, monotonic, stream.CONNECTIONS_SECONDS),
        )
        self.rest = RestHost(playback, self.faults, self.rate_limits[0])
        self.stream = StreamHost(playback, self.faults, self.rate_limits[1], monotonic)

    def routes(self) -> list[web.RouteDef]:
        """The routes of the websocket and of the REST calls."""
        return [*self.rest.routes(), *self.stream.routes()]

    async def run(self, application: web.Application) -> AsyncIterator[None]:
        """Play while the application runs; one of its cleanup contexts."""
        task = asyncio.create_task(self.playback.run())
        task.add_done_callback(_log_failure)
        yield
        task.cancel()
        await asyncio.wait([task])
        self.playback.history.close()

    async def disconnect_all(self, application: web.Application) -> None:
        """End every connection; one of the application's shutdown handlers."""
        for connection in self.stream.connections():
            connection.drop("the exchange shuts down")

    def apply_fault(self, given: Mapping[str, Any]) -> LiveFault:
        """Show the fault that a JSON object describes, or set it where it lasts. Raises FaultError for a wrong one."""
        fault = parse_live_fault(given, symbols_of(self.playback.topics))
        now_ms = self.playback.now_ms()
        if fault.kind == BURST:
            assert fault.symbol is not None
            self._burst(fault.symbol, fault.trades)
        for connection in self.stream.connections():
            match fault.kind:
                case faults.DROP:
                    connection.drop("by request")
                case faults.HALF_OPEN:
                    connection.mute()
                case faults.GARBAGE:
                    kinds = (fault.what,) if fault.what else GARBAGE_KINDS
                    for kind in kinds * fault.count:
                        connection.send(garbage_text(kind, _one_of(connection.topics), now_ms))
                case faults.ABSURD_TIME:
                    symbol = fault.symbol or _one_of(connection.topics)
                    if trade_topic(symbol) in connection.topics:
                        price = self.playback.history.last_price(symbol) or "1"
                        connection.send(absurd_trade_text(symbol, price, now_ms + fault.milliseconds))
        if fault.lasts:
            self.faults.add(fault)
        return fault

    def _burst(self, symbol: str, trades: int) -> None:
        source = self.playback.source
        if isinstance(source, SyntheticMarket):
            source.burst(symbol, trades)
        elif self.playback.is_done:
            price = self.playback.history.last_price(symbol) or "1.00"
            from_ms = self.playback.free_from_ms()
            self.playback.add(frames_of(symbol, burst_around_price(symbol, price, from_ms, trades, seed=0)))
        else:
            raise FaultError("burst needs the synthetic market, or a recording that was played to its end")

    def as_json(self) -> dict[str, Any]:
        """The state of the playback, for the control interface."""
        return {
            "time": self.playback.now_ms(),
            "frames": self.playback.frames_played,
            "trades": self.playback.history.counts(),
            "started": self.playback.is_started,
            "done": self.playback.is_done,
            "connections": len(self.stream.connections()),
        }


def _log_failure(task: asyncio.Task[None]) -> None:
    """Log an unexpected end of the playback, which to a client looks like a market without trades."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log("ERROR", "market failed", error=repr(error))


def _one_of(topics: set[str]) -> str:
    """The first symbol of `topics` by name, NOTHING where they have none."""
    return min(symbols_of(frozenset(topics)), default="NOTHING")


def recorded_playback(
    recording: Capture | Days, speed: float, history_folder: Path, monotonic: Callable[[], float]
) -> Playback:
    """The playback of a recording or of days of the archive, which starts at the first subscription.

    `speed`: how many times faster than recorded; 0: as fast as clients read. A client that reads slowly loses no frame:
    the playback pauses for it.
    """
    clock = RecordedClock(recording.first_ms, speed, monotonic)
    history = TradeHistory(history_folder, recording.whole_from_ms)
    return Playback(recording, clock, history, recording.first_ms, waits=True)


def synthetic_playback(
    market: SyntheticMarket, offset_ms: int, history_folder: Path, wall: Callable[[], float]
) -> Playback:
    """The playback of the synthetic market, started, at the time of day plus `offset_ms`, with or without clients.

    It begins with the current minute, so that the klines of this minute are whole. `wall` returns the time of day in
    seconds since the epoch.
    """
    clock = WallClock(wall, offset_ms)
    first_ms = floor_ms(int(clock.due_ms()))
    history = TradeHistory(history_folder, past=market, played_from_ms=first_ms)
    playback = Playback(market, clock, history, first_ms, waits=False)
    playback.start()
    return playback
