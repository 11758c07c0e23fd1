"""The live side put together: one played market, its websocket and its REST calls.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from local.exchange import live_faults, rest, stream
from local.exchange.events import log_event
from local.exchange.faults import FaultError
from local.exchange.frames import frames_of, trade_topic
from local.exchange.garbage import absurd_trade_text, garbage_text
from local.exchange.guard import Guard
from local.exchange.invented_live import burst
from local.exchange.live_faults import BURST, GARBAGE_KINDS, LiveFault, LiveFaults, parse_live_fault
from local.exchange.playback import Playback, RecordedClock, WallClock
from local.exchange.rest import Rest
from local.exchange.sources import Capture, Days, InventedMarket, symbols_of
from local.exchange.stream import Stream
from local.exchange.tape import Tape


class Live:
    """What the application serves of the played market."""

    def __init__(self, playback: Playback, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.playback = playback
        self.faults = LiveFaults(monotonic)
        self.guards = (
            Guard(rest.REQUESTS, rest.BAN_SECONDS, monotonic, rest.REQUESTS_SECONDS),
            Guard(stream.CONNECTIONS, stream.CONNECTIONS_SECONDS, monotonic, stream.CONNECTIONS_SECONDS),
        )
        self.rest = Rest(playback, self.faults, self.guards[0])
        self.stream = Stream(playback, self.faults, self.guards[1], monotonic)

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this."""
        return [*self.rest.routes(), *self.stream.routes()]

    async def run(self, application: web.Application) -> AsyncIterator[None]:
        """Play as long as the application runs."""
        task = asyncio.create_task(self.playback.run())
        task.add_done_callback(_tell_failure)
        yield
        task.cancel()
        await asyncio.wait([task])
        self.playback.tape.close()

    async def hang_up(self, application: web.Application) -> None:
        """End every connection."""
        for connection in self.stream.connections():
            connection.drop("the exchange ends")

    def show(self, given: Mapping[str, Any]) -> LiveFault:
        """Show the fault that a JSON object describes, or set it if it lasts. Raises FaultError for a wrong one."""
        fault = parse_live_fault(given, symbols_of(self.playback.topics))
        now_ms = self.playback.now_ms()
        if fault.kind == BURST:
            assert fault.symbol is not None
            self._burst(fault.symbol, fault.trades)
        for connection in self.stream.connections():
            match fault.kind:
                case live_faults.DROP:
                    connection.drop("by request")
                case live_faults.HALF_OPEN:
                    connection.die()
                case live_faults.GARBAGE:
                    kinds = (fault.what,) if fault.what else GARBAGE_KINDS
                    for kind in kinds * fault.count:
                        connection.send(garbage_text(kind, _one_of(connection.topics), now_ms))
                case live_faults.ABSURD_TIME:
                    symbol = fault.symbol or _one_of(connection.topics)
                    if trade_topic(symbol) in connection.topics:
                        price = self.playback.tape.last_price(symbol) or "1"
                        connection.send(absurd_trade_text(symbol, price, now_ms + fault.milliseconds))
        if fault.lasts:
            self.faults.add(fault)
        return fault

    def _burst(self, symbol: str, trades: int) -> None:
        source = self.playback.source
        if isinstance(source, InventedMarket):
            source.burst(symbol, trades)
        elif self.playback.is_done:
            price = self.playback.tape.last_price(symbol) or "1.00"
            from_ms = self.playback.free_from_ms()
            self.playback.add(frames_of(symbol, burst(symbol, price, from_ms, trades, seed=0)))
        else:
            raise FaultError("burst needs the invented market, or a recording that was played to its end")

    def as_json(self) -> dict[str, Any]:
        """What has been played so far."""
        return {
            "time": self.playback.now_ms(),
            "frames": self.playback.frames_played,
            "trades": self.playback.tape.counts(),
            "started": self.playback.is_started,
            "done": self.playback.is_done,
            "connections": len(self.stream.connections()),
        }


def _tell_failure(task: asyncio.Task[None]) -> None:
    """A market that stands still without a word would pass for a quiet one."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log_event("market failed", error=repr(error))


def _one_of(topics: set[str]) -> str:
    """The symbol of the first topic by name; one that is not there for a connection without subscriptions."""
    return min(symbols_of(frozenset(topics)), default="NOTHING")


def recorded(capture: Capture | Days, speed: float, tape_folder: Path, monotonic: Callable[[], float]) -> Playback:
    """A recording or days of the archive, played from the first subscription on; `speed` 0: as fast as it is taken.

    Nothing of it is lost to a client that reads slowly: it takes longer then.
    """
    clock = RecordedClock(capture.first_ms, speed, monotonic)
    return Playback(capture, clock, Tape(tape_folder), capture.first_ms, waits=True)


def invented(market: InventedMarket, offset_ms: int, tape_folder: Path, wall: Callable[[], float]) -> Playback:
    """The invented market, which goes on whether anybody listens or not, at the time of day and `offset_ms`."""
    clock = WallClock(wall, offset_ms)
    playback = Playback(market, clock, Tape(tape_folder), int(clock.due_ms()), waits=False)
    playback.start()
    return playback
