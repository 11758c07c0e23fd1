"""The producer's worker against websocket servers in the test's process, without a broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection, serve

from bitcoin_pipeline.live.actions import AskServerTime, Request
from bitcoin_pipeline.live.feed import LiveFeed
from bitcoin_pipeline.live.tail import Tail
from producer import worker
from producer.connections import Connections
from producer.gap_events import GapEvents
from producer.rest import RestClient
from producer.topic_writer import TopicWriter
from producer.worker import Worker
from tests.support.exchange import Exchange, market, play, until
from tests.support.feeds import BASE_MS

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
TWO = ("BTCUSDT", "ETHUSDT")


class Kept:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.trades: list[str] = []
        self.heartbeats = 0

    async def publish(self, symbol: str, records: Iterable[bytes]) -> None:
        self.trades += [symbol for record in records if b'"type":"trade"' in record]

    async def broadcast(self, record: bytes) -> None:
        self.heartbeats += 1

    async def dead_letter(self, record: bytes) -> None:
        raise AssertionError(record)

    def queued(self) -> int:
        return 0

    def serve(self) -> None:
        """Do nothing: there is no broker."""


class Rest:
    """REST of an exchange whose clock stands still."""

    banned_s = 0

    async def answer(self, request: Request) -> int | None:
        return BASE_MS * 1000 if isinstance(request, AskServerTime) else None


def workers_of(url: str, writer: Kept, *lists: tuple[str, ...]) -> Connections:
    """Connections to `url`, one for each list of symbols."""
    topic, rest = cast("TopicWriter", writer), cast("RestClient", Rest())
    feeds = [LiveFeed(symbols, Tail(), token="w1", uniform=lambda: 1.0) for symbols in lists]  # noqa: S106  # no secret
    return Connections([Worker(feed, topic, rest, GapEvents(""), url) for feed in feeds], topic, rest)


def test_the_end_does_not_wait_for_a_peer_that_is_dead() -> None:
    async def run() -> float:
        connected, stop = asyncio.Event(), asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Complete the handshake, then read and answer nothing."""
            request = await reader.readuntil(b"\r\n\r\n")
            writer.write(_handshake(request))
            connected.set()
            await asyncio.sleep(60)

        server = await asyncio.start_server(deaf, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        working = asyncio.create_task(workers_of(url, Kept(), SYMBOLS).run(stop))
        await asyncio.wait_for(connected.wait(), 20)
        await asyncio.sleep(0.2)  # the client is past the handshake
        began = time.monotonic()
        stop.set()
        await working
        server.close()
        return time.monotonic() - began

    assert asyncio.run(run()) < 2


def _handshake(request: bytes) -> bytes:
    import base64  # noqa: PLC0415  # for this server alone
    import hashlib  # noqa: PLC0415  # for this server alone

    [key] = [line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324  # RFC 6455
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    return b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + accept, b"", b""])


def test_connections_share_the_symbols() -> None:
    subscribed: list[list[str]] = []

    async def exchange(socket: ServerConnection) -> None:
        async for text in socket:
            request: dict[str, Any] = json.loads(text)
            answer = {"success": True, "ret_msg": "pong", "req_id": request.get("req_id", ""), "op": request["op"]}
            await socket.send(json.dumps(answer))
            for topic in request.get("args", ()):
                if topic.startswith("publicTrade."):
                    await socket.send(json.dumps(_frame(topic)))
            if request["op"] == "subscribe":
                subscribed.append(request["args"])

    async def run() -> tuple[Kept, dict[str, Any]]:
        writer, stop = Kept(), asyncio.Event()
        async with serve(exchange, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            connections = workers_of(url, writer, ("BTCUSDT", "SOLUSDT"), ("ETHUSDT",))
            working = asyncio.create_task(connections.run(stop))
            async with asyncio.timeout(20):
                while len(writer.trades) < 3 or not connections.is_ready():
                    await asyncio.sleep(0.05)
            state = connections.state()
            stop.set()
            await working
        return writer, state

    writer, state = asyncio.run(run())
    assert sorted(writer.trades) == sorted(SYMBOLS)
    assert state["symbols"]["live"] == 3
    assert state["trades"] == 3
    assert sorted(topics for topics in subscribed if topics[0].startswith("publicTrade")) == [
        ["publicTrade.BTCUSDT", "publicTrade.SOLUSDT"],
        ["publicTrade.ETHUSDT"],
    ]


def test_a_fresh_connection_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_BATCH_S", 60.0)
    monkeypatch.setattr(worker, "_AT_ONCE_S", 60.0)
    test_connections_share_the_symbols()


def _frame(topic: str) -> dict[str, Any]:
    symbol = topic.removeprefix("publicTrade.")
    item = {"T": BASE_MS, "s": symbol, "S": "Buy", "v": "1", "p": "2", "i": "a9188a0a-82bc-50de-be60-03eedbe3cdd7"}
    return {"topic": topic, "type": "snapshot", "ts": BASE_MS, "data": [item]}


class Recorder(Kept):
    """A writer that keeps the symbols' records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []

    async def publish(self, symbol: str, records: Iterable[bytes]) -> None:
        self.records += map(json.loads, records)


# ... silence of one symbol ... drop < ... | K      of the simulator's minute, which ends soon
def test_a_minute_of_the_simulator_is_confirmed_whatever_happens_in_it(tmp_path: Path) -> None:
    writer, stop = Recorder(), asyncio.Event()

    async def body(simulated: Exchange) -> None:
        url = f"ws://127.0.0.1:{simulated.port}/v5/public/linear"
        async with RestClient(f"http://127.0.0.1:{simulated.port}") as rest:
            feed = LiveFeed(TWO, Tail(), token="w1", uniform=lambda: 1.0)  # noqa: S106  # no secret
            worker = Worker(feed, cast("TopicWriter", writer), rest, GapEvents(""), url)
            working = asyncio.create_task(worker.run(stop))
            await until(lambda: _has(writer, 20))
            await simulated.fault("silence", symbol="ETHUSDT", seconds=1)
            await until(lambda: _has(writer, 100))
            await simulated.fault("drop")
            await until(lambda: _has_minutes(writer))
            traded = {symbol: await simulated.trades(symbol) for symbol in TWO}
            stop.set()
            await working
        minutes = [record for record in writer.records if record["type"] == "minute"]
        assert all(minute["confirmed"] for minute in minutes)
        for minute in minutes:
            open_ms = minute["open_time"] // 1000
            count = sum(open_ms <= trade["T"] < open_ms + 60_000 for trade in traded[minute["symbol"]])
            assert minute["trade_count"] == count
        assert [record for record in writer.records if record["type"] == "gap"] == []

    offset_ms = -((time.time_ns() // 1_000_000 - 50_000) % 60_000)  # the minute's last ten seconds
    # REST's last 1,000 trades of a symbol reach back beyond the start of the minute.
    play(market(tmp_path, rate=28.0, offset_ms=offset_ms), body)


async def _has(writer: Recorder, trades: int) -> bool:
    return len([record for record in writer.records if record["type"] == "trade"]) >= trades


async def _has_minutes(writer: Recorder) -> bool:
    closed: set[str] = {record["symbol"] for record in writer.records if record["type"] == "minute"}
    return closed == set(TWO)


class Full(Kept):
    """A writer whose queue is full, as the broker takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.was_called = asyncio.Event()

    async def publish(self, symbol: str, records: Iterable[bytes]) -> None:
        self.was_called.set()
        await asyncio.sleep(600)  # until it is cancelled


def test_while_the_broker_takes_nothing_the_socket_is_not_read() -> None:
    megabytes, most = 0, 60
    filler = json.dumps({"topic": "publicTrade.BTCUSDT", "filler": "x" * 2**20})

    async def exchange(socket: ServerConnection) -> None:
        nonlocal megabytes
        async for text in socket:
            request: dict[str, Any] = json.loads(text)
            await socket.send(json.dumps({"success": True, "req_id": request.get("req_id", ""), "op": request["op"]}))
            if request["op"] == "subscribe" and request["args"][0].startswith("publicTrade."):
                await socket.send(json.dumps(_frame("publicTrade.BTCUSDT")))
                await writer.was_called.wait()
                while megabytes < most:
                    async with asyncio.timeout(5):  # a lost connection may leave it without an end
                        await socket.send(filler)
                    megabytes += 1

    async def run() -> None:
        stop = asyncio.Event()
        async with serve(exchange, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            working = asyncio.create_task(workers_of(url, writer, ("BTCUSDT",)).run(stop))
            async with asyncio.timeout(60):
                await writer.was_called.wait()
                before = -1
                while before != megabytes:
                    before = megabytes
                    await asyncio.sleep(1)  # a second in which nothing is taken
            stop.set()
            await working

    writer = Full()
    asyncio.run(run())
    assert megabytes < most
