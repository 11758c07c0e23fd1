"""The public websocket, /v5/public/linear: its requests, its answers, and the frames that it sends.

Part of the exchange simulator. The texts of answers are the real exchange's, as several of its clients recorded them.
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

from bitcoin_pipeline.adapters.stdout import log
from local.exchange.live.faults import (
    ABSURD_FIRST,
    DUPLICATE,
    FRAME_TIME,
    HALF_OPEN,
    KLINE_WRONG,
    NO_PONG,
    REFUSE,
    SILENCE,
    SPLIT,
    LiveFaults,
)
from local.exchange.live.frames import TRADES, Frame, content_of, message_text, symbol_of, with_time
from local.exchange.live.garbage import absurd_trade_text, wrong_kline_text
from local.exchange.live.playback import Playback
from local.exchange.shared.error_page import error_page
from local.exchange.shared.rate_limit import RateLimit

PATH: Final = "/v5/public/linear"

CONNECTIONS: Final = 500
"""Number of connections that an address may open in `CONNECTIONS_SECONDS`."""
CONNECTIONS_SECONDS: Final = 300.0

_SILENT_SECONDS: Final = 60.0
"""Longest silence of a client without subscriptions before it is disconnected, as seen on the real exchange."""

_SILENT_SUBSCRIBED_SECONDS: Final = 600.0
"""Longest silence of a client with subscriptions; on the real exchange two minutes were seen to be allowed."""

_FULL_BYTES: Final = 4 << 20
"""Size of the outbox from which on a connection counts as full."""
_STALLED_SECONDS: Final = 30.0
"""Time after which a full connection whose client reads nothing is disconnected."""
_OVERFLOW_BYTES: Final = 64 << 20
"""Size of the outbox beyond which a client that reads too slowly is disconnected."""

_MUTE_POLL_SECONDS: Final = 0.1
"""Interval at which a mute connection checks whether its client has closed it."""
_REQUEST_TYPES: Final = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.PING)


class StreamHost:
    """The handler of the websocket, and its open connections."""

    def __init__(
        self, playback: Playback, faults: LiveFaults, rate_limit: RateLimit, monotonic: Callable[[], float]
    ) -> None:
        self._playback = playback
        self._faults = faults
        self._rate_limit = rate_limit
        self._monotonic = monotonic
        self._connections: set[Connection] = set()

    def routes(self) -> list[web.RouteDef]:
        """The route of the websocket."""
        return [web.get(PATH, self.connect)]

    def connections(self) -> tuple[Connection, ...]:
        """The connections that are open now."""
        return tuple(self._connections)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until either side ends it; 403 for an address that has opened too many."""
        if not self._rate_limit.admit(request.remote or ""):
            return error_page(HTTPStatus.FORBIDDEN)
        socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False)
        await socket.prepare(request)
        connection = Connection(socket, request, self._playback, self._faults, self._monotonic)
        if self._faults.get(HALF_OPEN):
            connection.mute()
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
    """A client's subscriptions, and its outbox: messages in the order in which they are due.

    A mute connection sends and answers nothing, and stays open until its client closes it.
    """

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
        self._sequence = count()
        self._in_order_due = 0.0
        self._is_mute = False
        self._outbox_changed = asyncio.Event()
        self._last_sent = monotonic()

    # The interface of a playback's listener, and of faults.

    def offer(self, frame: Frame) -> None:
        """Send a frame of a subscribed topic, or without a topic, with the faults that are set."""
        if frame.topic and frame.topic not in self.topics:
            return
        place = frame.symbol, content_of(frame.topic)
        if self._faults.get(SILENCE, *place):
            return
        texts = [frame.text]
        if self._faults.get(SPLIT) and frame.trades:
            texts = [message_text(frame.topic, frame.time_ms, [trade]) for trade in frame.trades]
        wrong = self._faults.get(KLINE_WRONG, frame.symbol)
        if wrong and frame.klines:
            texts = [wrong_kline_text(text, wrong.what) for text in texts]
        shifted = self._faults.get(FRAME_TIME, *place)
        if shifted and frame.topic:
            texts = [with_time(text, frame.time_ms + shifted.milliseconds) for text in texts]
        for text in texts * (2 if self._faults.get(DUPLICATE, *place) else 1):
            self._enqueue(text, self._faults.frame_delay_seconds(*place), self._faults.held_until(*place))

    def send(self, text: str) -> None:
        """Send a text that is not of the played market."""
        self._enqueue(text)

    def is_full(self) -> bool:
        """True while the outbox is so large that a playback with `waits` pauses."""
        return self._outbox_bytes >= _FULL_BYTES

    def drop_if_stalled(self) -> None:
        """Disconnect when the connection is full and its client has read nothing for half a minute."""
        if self.is_full() and self._monotonic() - self._last_sent > _STALLED_SECONDS:
            self.drop("the client reads nothing")

    def mute(self) -> None:
        """Send and answer nothing from now on, and leave the connection open."""
        self._is_mute = True
        self._outbox.clear()
        self._outbox_bytes = 0
        self._playback.wake()

    def drop(self, reason: str) -> None:
        """End the connection without a closing handshake."""
        log("INFO", "connection dropped", conn_id=self.conn_id, reason=reason)
        self.mute()
        if self._request.transport is not None:
            self._request.transport.abort()

    # The two tasks of a connection.

    async def write(self) -> None:
        """Send the messages that are due, until cancelled or until the client has disconnected."""
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
        """Answer the client's requests, until it disconnects or has sent nothing for too long."""
        while True:
            try:
                message = await self._socket.receive(
                    timeout=_SILENT_SUBSCRIBED_SECONDS if self.topics else _SILENT_SECONDS
                )
            except TimeoutError:
                self.drop("the client sends nothing")
                return
            if self._is_mute and message.type in _REQUEST_TYPES:
                continue
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    self._answer(message.data)
                case aiohttp.WSMsgType.PING:
                    self._playback.play_due()
                    if not self._faults.get(NO_PONG):
                        self._enqueue(bytes(message.data))
                case aiohttp.WSMsgType.PONG:
                    pass
                case aiohttp.WSMsgType.BINARY:
                    self._answer(message.data.decode(errors="replace"))
                case _:
                    while self._is_mute and self._request.transport is not None:
                        await asyncio.sleep(_MUTE_POLL_SECONDS)  # no closing handshake either
                    await self._socket.close()
                    return

    def _answer(self, text: str) -> None:
        # Messages of a connection are in order, so the frames that are due are sent before the answer.
        self._playback.play_due()
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            request = None
        if not isinstance(request, dict):
            expected = f"Failed to decode incoming data:readObjectStart: expect {{ or n, but found {text[:1]}"
            self._respond(expected, op="", req_id="", success=False)
            return
        op, req_id, topics = request.get("op"), request.get("req_id"), request.get("args")
        req_id = req_id if isinstance(req_id, str) else ""
        if op == "ping":
            if not self._faults.get(NO_PONG):
                self._respond("pong", op="ping", req_id=req_id, success=True)
        elif op in ("subscribe", "unsubscribe"):
            if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
                self._respond("error:invalid args", op=op, req_id=req_id, success=False)
            elif op == "subscribe":
                self._subscribe(topics, req_id)
            else:
                self.topics.difference_update(topics)
                self._respond("", op=op, req_id=req_id, success=True)
        else:
            self._respond("error:invalid op", op=op if isinstance(op, str) else "", req_id=req_id, success=False)

    def _subscribe(self, topics: list[str], req_id: str) -> None:
        """Subscribe to all of the topics or, if one of them is refused, to none."""
        for topic in topics:
            problem = "already subscribed" if topic in self.topics else ""
            refused = self._faults.get(REFUSE, symbol_of(topic), content_of(topic))
            if refused or topic not in self._playback.topics:
                problem = "handler not found"
            if problem:
                self._respond(f"error:{problem},topic:{topic}", op="subscribe", req_id=req_id, success=False)
                return
        self._respond("", op="subscribe", req_id=req_id, success=True)
        for topic in topics:
            absurd = self._faults.get(ABSURD_FIRST, symbol_of(topic))
            if absurd and content_of(topic) == TRADES:
                price = self._playback.history.last_price(symbol_of(topic)) or "1"
                time_ms = self._playback.now_ms() + absurd.milliseconds
                self._enqueue(absurd_trade_text(symbol_of(topic), price, time_ms))
        self.topics.update(topics)
        if topics:
            self._playback.start()

    def _respond(self, ret_msg: str, *, op: str, req_id: str, success: bool) -> None:
        answer: dict[str, Any] = {
            "success": success,
            "ret_msg": ret_msg,
            "conn_id": self.conn_id,
            "req_id": req_id,
            "op": op,
        }
        self._enqueue(orjson.dumps(answer).decode())

    def _enqueue(self, message: str | bytes, later_seconds: float = 0.0, not_before: float = 0.0) -> None:
        if self._is_mute:
            return
        if self._outbox_bytes > _OVERFLOW_BYTES:
            self.drop("the client reads too slowly")
            return
        self._in_order_due = max(self._in_order_due, self._monotonic() + self._faults.delay_seconds())
        due = max(self._in_order_due + later_seconds, not_before)
        heapq.heappush(self._outbox, (due, next(self._sequence), message))
        self._outbox_bytes += len(message)
        self._outbox_changed.set()

    async def _wait(self, seconds: float | None) -> None:
        """Wait until the outbox has a new message, or for `seconds`."""
        self._outbox_changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._outbox_changed.wait()
