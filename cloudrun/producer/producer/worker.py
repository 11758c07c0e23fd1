"""The loop around the live feed: passes in what happens, and carries out the actions, one thing at a time.

Part of the producer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import aiohttp

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.live.actions import (
    Action,
    AskKlines,
    AskRecentTrades,
    AskServerTime,
    AskStatus,
    Broadcast,
    DeadLetter,
    Disconnect,
    GapChanged,
    Publish,
    Report,
    Request,
    SendText,
)
from bitcoin_pipeline.live.feed import FeedState, LiveFeed
from bitcoin_pipeline.times import Instant
from producer.gap_events import GapEvents
from producer.rest import RestClient
from producer.topic_writer import TopicWriter

TICK_S: Final = 0.05
_MAX_FRAME: Final = 16 << 20
_OPEN_S: Final = 10.0
_BATCH_S: Final = 0.04
"""Time between two reads of a socket."""
_AT_ONCE_S: Final = 1.0
"""How long a fresh connection is read as its messages come: when the exchange accepts a subscription ends a gap."""
_CLOSE: Final = aiohttp.ClientWSTimeout(ws_close=0.5)
"""How long the end waits for a peer that may be dead; the flush needs the time that Cloud Run gives."""


def read_clock() -> Instant:
    """The monotonic clock of this process."""
    return Instant(time.monotonic_ns() // 1000)


class _Socket(aiohttp.ClientWebSocketResponse):
    """A websocket with its `transport`."""

    def __init__(self, reader: Any, writer: Any, protocol: Any, response: Any, *others: Any, **options: Any) -> None:
        super().__init__(reader, writer, protocol, response, *others, **options)
        self.transport: asyncio.Transport = response.connection.transport


class Worker:
    """The live feed of one connection with its socket, topic, REST client and gap events."""

    def __init__(
        self, feed: LiveFeed, writer: TopicWriter, rest: RestClient, gap_events: GapEvents, ws_url: str
    ) -> None:
        self._feed = feed
        self._writer = writer
        self._rest = rest
        self._gap_events = gap_events
        self._ws_url = ws_url
        self._socket: _Socket | None = None
        # All actions of one call are carried out before the next call: a proof must not overtake trades that wait for
        # room in the queue.
        self._lock = asyncio.Lock()

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
            for part in (self._connections, self._ticks):
                self._tasks.create_task(part())

    def feed_state(self) -> FeedState:
        """The figures of this moment."""
        return self._feed.state(read_clock())

    async def _connections(self) -> None:
        async with aiohttp.ClientSession(ws_response_class=_Socket) as session:
            while True:
                reason = "the exchange closed the connection"
                try:
                    reason = await self._connection(session) or reason
                except (OSError, TimeoutError, aiohttp.ClientError) as error:
                    reason = f"{self._ws_url}: {error!r}"
                finally:
                    self._socket = None
                async with self._lock:
                    pause_us, actions = self._feed.disconnected(reason, read_clock())
                    await self._act(actions)
                await asyncio.sleep(pause_us / 1e6)

    async def _connection(self, session: aiohttp.ClientSession) -> str:
        """Work through one connection; returns why this end has closed it, empty if the other one has."""
        # The session sends Bybit's own pings, whose answers are proofs; the protocol's would prove nothing.
        async with asyncio.timeout(_OPEN_S):
            opened = await session.ws_connect(self._ws_url, max_msg_size=_MAX_FRAME, timeout=_CLOSE)
        socket = self._socket = cast("_Socket", opened)
        async with socket:
            await self._do(self._feed.connected)
            reading = asyncio.create_task(self._read_in_batches(socket.transport))
            try:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.ERROR:
                        return f"{self._ws_url}: {message.data!r}"
                    await self._do(self._feed.received, message.data)
            finally:
                reading.cancel()
                socket.transport.resume_reading()  # the end waits for the other end's answer
        return ""

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._writer.serve()
            await self._do(self._feed.tick)

    async def _do(self, happened: Callable[..., list[Action]], *what: Any) -> None:
        async with self._lock:
            await self._act(happened(*what, read_clock()))

    async def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Publish(symbol, records):
                    await self._writer.publish(symbol, records)
                case Broadcast(record):
                    await self._writer.broadcast(record)
                case DeadLetter(record):
                    await self._writer.dead_letter(record)
                case SendText(text):
                    await self._send(text)
                case AskServerTime() | AskRecentTrades() | AskKlines() | AskStatus():
                    self._tasks.create_task(self._ask(action))
                case GapChanged(gap):
                    self._gap_events.publish(gap)
                case Disconnect(reason):
                    log("WARNING", "disconnecting", reason=reason)
                    if self._socket is not None:
                        self._socket.transport.abort()  # a dead peer does not answer a closing handshake
                case Report(event, fields):
                    log("INFO", event, **fields)

    async def _send(self, text: str) -> None:
        try:
            if self._socket is not None:
                await self._socket.send_str(text)
        except (OSError, aiohttp.ClientError):
            return  # the loop that reads the socket handles its end

    async def _ask(self, request: Request) -> None:
        await self._do(self._feed.answered, request, await self._rest.answer(request))

    async def _read_in_batches(self, transport: asyncio.Transport) -> None:
        """Read the socket at intervals only: a frame has a trade or two, and each turn of the loop costs as much.

        While the broker takes nothing the socket is not read, so that what arrives does not fill the memory.
        """
        await asyncio.sleep(_AT_ONCE_S)
        while not transport.is_closing():
            if not self._lock.locked():
                transport.resume_reading()
                await asyncio.sleep(0)
                await asyncio.sleep(0)  # the loop has polled the socket and read it
                transport.pause_reading()
            await asyncio.sleep(_BATCH_S)
