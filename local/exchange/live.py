"""The live side put together: one played market, its websocket and its REST calls.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from local.exchange import rest, stream
from local.exchange.guard import Guard
from local.exchange.live_faults import LiveFaults
from local.exchange.playback import Playback, RecordedClock, WallClock
from local.exchange.rest import Rest
from local.exchange.sources import Capture, InventedMarket
from local.exchange.stream import Stream
from local.exchange.tape import Tape


class Live:
    """What the application serves of the played market."""

    def __init__(self, playback: Playback, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.playback = playback
        self.faults = LiveFaults()
        self.guards = (
            Guard(rest.REQUESTS, rest.BAN_SECONDS, monotonic, rest.REQUESTS_SECONDS),
            Guard(stream.CONNECTIONS, stream.CONNECTIONS_SECONDS, monotonic, stream.CONNECTIONS_SECONDS),
        )
        self.rest = Rest(playback, self.guards[0])
        self.stream = Stream(playback, self.faults, self.guards[1], monotonic)

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this."""
        return [*self.rest.routes(), *self.stream.routes()]

    async def run(self, application: web.Application) -> AsyncIterator[None]:
        """Play as long as the application runs."""
        task = asyncio.create_task(self.playback.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        self.playback.tape.close()

    async def hang_up(self, application: web.Application) -> None:
        """End every connection."""
        for connection in self.stream.connections():
            connection.drop("the exchange ends")

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


def recorded(capture: Capture, speed: float, tape_folder: Path, monotonic: Callable[[], float]) -> Playback:
    """A recording, played from the first subscription on at `speed`, 0 as fast as it is taken."""
    clock = RecordedClock(capture.first_ms, speed, monotonic)
    return Playback(capture, clock, Tape(tape_folder), capture.first_ms, waits=speed == 0)


def invented(market: InventedMarket, offset_ms: int, tape_folder: Path, wall: Callable[[], float]) -> Playback:
    """The invented market, which goes on whether anybody listens or not, at the time of day and `offset_ms`."""
    clock = WallClock(wall, offset_ms)
    playback = Playback(market, clock, Tape(tape_folder), int(clock.due_ms()), waits=False)
    playback.start()
    return playback
