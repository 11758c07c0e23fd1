"""The public websocket, /v5/public/linear: what a client may ask, what it is answered, and its frames.

Part of the exchange simulator. The wording of answers is the real exchange's, as recorded by several of its clients.
"""

from __future__ import annotations

import asyncio
import heapq
import uuid
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from itertools import count
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

from local.exchange.archive import page
from local.exchange.events import log_event
from local.exchange.frames import TRADE_TOPIC, Frame, message_text
from local.exchange.guard import Guard
from local.exchange.live_faults import DUPLICATE, HALF_OPEN, NO_PONG, REFUSE, SILENCE, SPLIT, LiveFaults
from local.exchange.playback import Playback

PATH: Final = "/v5/public/linear"

CONNECTIONS: Final = 500
CONNECTIONS_SECONDS: Final = 300.0
"""So many connections an address may open in so many seconds."""

_SILENT_SECONDS: Final = 60.0
"""A client that has subscribed to nothing and says nothing is dropped after this; seen on the real exchange."""

_SILENT_SUBSCRIBED_SECONDS: Final = 600.0
"""One that has subscribed may be silent for longer: two minutes were seen, the end was not."""

_FULL_BYTES: Final = 4 << 20
_STALLED_SECONDS: Final = 30.0
_OVERFLOW_BYTES: Final = 64 << 20
"""What may wait for a client that reads too slowly, before it loses its connection."""


_DEAD_LOOK_SECONDS: Final = 0.1
_SAID: Final = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.PING)


class Stream:
    """Answers for the websocket, and holds its connections."""

    def __init__(self, playback: Playback, faults: LiveFaults, guard: Guard, monotonic: Callable[[], float]) -> None:
        self._playback = playback
        self._faults = faults
        self._guard = guard
        self._monotonic = monotonic
        self._connections: set[Connection] = set()

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this."""
        return [web.get(PATH, self.connect)]

    def connections(self) -> tuple[Connection, ...]:
        """Those that are open now."""
        return tuple(self._connections)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """One connection, until either side ends it; 403 for an address that has opened too many."""
        if not self._guard.admit(request.remote or ""):
            return page(HTTPStatus.FORBIDDEN)
        socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False)
        await socket.prepare(request)
        connection = Connection(socket, request, self._playback, self._faults, self._monotonic)
        if self._faults.get(HALF_OPEN):
            connection.die()
        self._connections.add(connection)
        self._playback.listeners.add(connection)
        writer = asyncio.create_task(connection.write())
        try:
            await connection.read()
        finally:
            self._playback.listeners.discard(connection)
            self._connections.discard(connection)
            self._playback.wake()
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
        return socket


class Connection:
    """One client's subscriptions, and what waits to be sent to it, in the order of when it is due."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.Request,
        playback: Playback,
        faults: LiveFaults,
        monotonic: Callable[[], float],
    ) -> None:
        self.conn_id: Final = str(uuid.uuid4())
        self.topics: Final[set[str]] = set()
        self._socket = socket
        self._request = request
        self._playback = playback
        self._faults = faults
        self._monotonic = monotonic
        self._outbox: list[tuple[float, int, str | bytes]] = []
        self._outbox_bytes = 0
        self._numbers = count()
        self._in_order_due = 0.0
        self._is_dead = False
        self._something = asyncio.Event()
        self._last_sent = monotonic()

    # What the playback does with it.

    def offer(self, frame: Frame) -> None:
        """Send a frame, if the client has asked for its like."""
        if frame.topic and frame.topic not in self.topics:
            return
        if self._faults.get(SILENCE, frame.topic.removeprefix(TRADE_TOPIC)):
            return
        texts = [frame.text]
        if self._faults.get(SPLIT) and frame.trades:
            texts = [message_text(frame.topic, frame.time_ms, [trade]) for trade in frame.trades]
        for text in texts * (2 if self._faults.get(DUPLICATE) else 1):
            self._put(text, self._faults.shuffle_seconds())

    def send(self, text: str) -> None:
        """Send what the market has not played."""
        self._put(text)

    def is_full(self) -> bool:
        """True while more waits to be sent than a playback should run ahead."""
        return self._outbox_bytes >= _FULL_BYTES

    def drop_if_stalled(self) -> None:
        """Drop a full connection whose client has taken nothing for half a minute."""
        if self.is_full() and self._monotonic() - self._last_sent > _STALLED_SECONDS:
            self.drop("the client reads nothing")

    def die(self) -> None:
        """From now on send nothing and answer nothing, but leave the connection open."""
        self._is_dead = True
        self._outbox.clear()
        self._outbox_bytes = 0
        self._playback.wake()

    def drop(self, reason: str) -> None:
        """End the connection without a word."""
        log_event("connection dropped", conn_id=self.conn_id, reason=reason)
        self.die()
        if self._request.transport is not None:
            self._request.transport.abort()

    # Its two tasks.

    async def write(self) -> None:
        """Send what is due, until cancelled or until the client is gone."""
        with suppress(ConnectionError):
            while True:
                if not self._outbox:
                    self._last_sent = self._monotonic()
                    await self._wait(None)
                    continue
                seconds = self._outbox[0][0] - self._monotonic()
                if seconds > 0:
                    await self._wait(seconds)
                    continue
                _, _, message = heapq.heappop(self._outbox)
                was_half_full = self._outbox_bytes >= _FULL_BYTES // 2
                self._outbox_bytes -= len(message)
                if isinstance(message, str):
                    await self._socket.send_str(message)
                else:
                    await self._socket.pong(message)
                self._last_sent = self._monotonic()
                if was_half_full and self._outbox_bytes < _FULL_BYTES // 2:
                    self._playback.wake()

    async def read(self) -> None:
        """Answer what the client says, until it leaves or has said nothing for too long."""
        while True:
            try:
                message = await self._socket.receive(
                    timeout=_SILENT_SUBSCRIBED_SECONDS if self.topics else _SILENT_SECONDS
                )
            except TimeoutError:
                self.drop("the client says nothing")
                return
            if self._is_dead and message.type in _SAID:
                continue
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    self._answer(message.data)
                case aiohttp.WSMsgType.PING:
                    self._playback.pump()
                    if not self._faults.get(NO_PONG):
                        self._put(bytes(message.data))
                case aiohttp.WSMsgType.PONG:
                    pass
                case aiohttp.WSMsgType.BINARY:
                    self._answer(message.data.decode(errors="replace"))
                case _:
                    while self._is_dead and self._request.transport is not None:
                        await asyncio.sleep(_DEAD_LOOK_SECONDS)  # it would not even say good-bye
                    await self._socket.close()
                    return

    def _answer(self, text: str) -> None:
        # Messages of one connection come in order, so what was due before an answer is sent before it.
        self._playback.pump()
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            request = None
        if not isinstance(request, dict):
            expected = f"Failed to decode incoming data:readObjectStart: expect {{ or n, but found {text[:1]}"
            self._say(expected, op="", req_id="", success=False)
            return
        op, req_id, topics = request.get("op"), request.get("req_id"), request.get("args")
        req_id = req_id if isinstance(req_id, str) else ""
        if op == "ping":
            if not self._faults.get(NO_PONG):
                self._say("pong", op="ping", req_id=req_id, success=True)
        elif op in ("subscribe", "unsubscribe"):
            if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
                self._say("error:invalid args", op=op, req_id=req_id, success=False)
            elif op == "subscribe":
                self._subscribe(topics, req_id)
            else:
                self.topics.difference_update(topics)
                self._say("", op=op, req_id=req_id, success=True)
        else:
            self._say("error:invalid op", op=op if isinstance(op, str) else "", req_id=req_id, success=False)

    def _subscribe(self, topics: list[str], req_id: str) -> None:
        """All of the topics or, if one of them cannot be had, none."""
        for topic in topics:
            problem = "already subscribed" if topic in self.topics else ""
            refused = self._faults.get(REFUSE, topic.removeprefix(TRADE_TOPIC))
            if refused or topic not in self._playback.topics:
                problem = "handler not found"
            if problem:
                self._say(f"error:{problem},topic:{topic}", op="subscribe", req_id=req_id, success=False)
                return
        self._say("", op="subscribe", req_id=req_id, success=True)
        self.topics.update(topics)
        if topics:
            self._playback.start()

    def _say(self, ret_msg: str, *, op: str, req_id: str, success: bool) -> None:
        answer: dict[str, Any] = {
            "success": success,
            "ret_msg": ret_msg,
            "conn_id": self.conn_id,
            "req_id": req_id,
            "op": op,
        }
        self._put(orjson.dumps(answer).decode())

    def _put(self, message: str | bytes, later_seconds: float = 0.0) -> None:
        if self._is_dead:
            return
        if self._outbox_bytes > _OVERFLOW_BYTES:
            self.drop("the client reads too slowly")
            return
        self._in_order_due = max(self._in_order_due, self._monotonic() + self._faults.delay_seconds())
        heapq.heappush(self._outbox, (self._in_order_due + later_seconds, next(self._numbers), message))
        self._outbox_bytes += len(message)
        self._something.set()

    async def _wait(self, seconds: float | None) -> None:
        """Until something new waits to be sent, or for `seconds`."""
        self._something.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._something.wait()
