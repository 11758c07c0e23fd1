"""The loop around the core's feed: it tells the feed what happens and does what the feed says, one thing at a time.

Part of the producer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.live.feed import (
    Action,
    AskRecentTrades,
    AskServerTime,
    Broadcast,
    DeadLetter,
    Feed,
    GapChanged,
    HangUp,
    Publish,
    Report,
    Say,
    Stage,
)
from producer.events import Events
from producer.rest import Rest
from producer.topic import Topic

TICK_S: Final = 0.05
METRICS_S: Final = 60.0
READY_US: Final = 10_000_000
"""A producer whose last heartbeat is older proves nothing now."""
_MAX_FRAME: Final = 16 << 20
_OPEN_S: Final = 10.0


def now_us() -> int:
    """The clock that the feed is given: monotonic."""
    return time.monotonic_ns() // 1000


class Worker:
    """One feed with its socket, topic, REST and events."""

    def __init__(self, feed: Feed, topic: Topic, rest: Rest, events: Events, ws_url: str) -> None:
        self._feed = feed
        self._topic = topic
        self._rest = rest
        self._events = events
        self._ws_url = ws_url
        self._socket: ClientConnection | None = None
        # What the feed decides is done whole before it decides again: a proof must not overtake trades that wait for
        # room in the queue.
        self._turn = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises BrokerError, in a group."""
        work, stopped = asyncio.create_task(self._work()), asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as self._tasks:
            for part in (self._connections, self._ticks, self._metrics):
                self._tasks.create_task(part())

    def is_ready(self) -> bool:
        """True while at least one symbol is proven up to now."""
        age_us = self._feed.heartbeat_age_us(now_us())
        return age_us is not None and age_us < READY_US

    def state(self) -> dict[str, Any]:
        """The figures of this moment."""
        feed = self._feed
        stages = list(feed.stages().values())
        return {
            "lag_ms": feed.lag_ms(now_us()),
            "symbols": {stage.value: stages.count(stage) for stage in Stage},
            "queue": self._topic.queued(),
            "reconnects": feed.reconnects,
            **feed.counts,
        }

    async def _connections(self) -> None:
        while True:
            reason = "the exchange closed the connection"
            try:
                # Pings are the session's: an answer to them is what proves, not the protocol's own.
                async with connect(
                    self._ws_url, ping_interval=None, compression=None, max_size=_MAX_FRAME, open_timeout=_OPEN_S
                ) as socket:
                    self._socket = socket
                    await self._do(self._feed.connected)
                    async for text in socket:
                        await self._do(self._feed.received, text)
            except (OSError, TimeoutError, WebSocketException) as error:
                reason = f"{self._ws_url}: {error!r}"
            finally:
                self._socket = None
            async with self._turn:
                pause_us, actions = self._feed.disconnected(reason)
                await self._act(actions)
            await asyncio.sleep(pause_us / 1e6)

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._topic.serve()
            await self._do(self._feed.tick)

    async def _metrics(self) -> None:
        while True:
            await asyncio.sleep(METRICS_S)
            log("INFO", "metrics", **self.state())

    async def _do(self, happened: Callable[..., list[Action]], *what: Any) -> None:
        async with self._turn:
            await self._act(happened(*what, now_us()))

    async def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Publish(symbol, records):
                    await self._topic.publish(symbol, records)
                case Broadcast(record):
                    await self._topic.broadcast(record)
                case DeadLetter(record):
                    await self._topic.bury(record)
                case Say(text):
                    await self._say(text)
                case AskServerTime(asked_at):
                    self._tasks.create_task(self._ask_server_time(asked_at))
                case AskRecentTrades(symbol, asked_at, limit):
                    self._tasks.create_task(self._ask_recent_trades(symbol, asked_at, limit))
                case GapChanged(gap):
                    self._events.gap(gap)
                case HangUp(reason):
                    log("WARNING", "hanging up", reason=reason)
                    if self._socket is not None:
                        self._socket.transport.abort()  # a dead peer would not answer a good-bye
                case Report(event, fields):
                    log("INFO", event, **fields)

    async def _say(self, text: str) -> None:
        try:
            if self._socket is not None:
                await self._socket.send(text)
        except (OSError, WebSocketException):
            return  # whoever reads the socket learns of its end

    async def _ask_server_time(self, asked_at: int) -> None:
        server_us = await self._rest.server_time()
        await self._do(self._feed.server_time, server_us, asked_at)

    async def _ask_recent_trades(self, symbol: str, asked_at: int, limit: int) -> None:
        page = await self._rest.recent_trades(symbol, limit)
        await self._do(self._feed.recent_trades, symbol, page, asked_at)
