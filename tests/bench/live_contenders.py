"""Programs that send frames of trades to Kafka: the project's producer and, for comparison, a plain loop.

`python -m tests.bench.live_contenders NAME ADDRESS FILE FRAMES` reads the first FRAMES lines of FILE into memory,
prints `ready`, works after the next line of input, prints `done`, and waits for another line, so that it can be
measured from outside. Each runs on one core. `socket` receives the same frames from a websocket and drops them.
"""

# ruff: noqa: PLC0415  # each contender loads its own libraries only
from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Final, cast
from unittest.mock import patch

from bitcoin_pipeline.times import MS_US
from local.checkout import ROOT
from tests.bench.measuring import obey

PLAIN_TOPIC: Final = "plain"
FRAME: Final = 100
"""Trades in a frame."""
_TURN: Final = 4
"""Frames between two turns of the event loop, about as many as one read of a socket returns."""

Work = Callable[[], None]


def read_frames(file: Path, count: int) -> list[str]:
    """The first `count` lines of a file with one frame a line."""
    with file.open() as lines:
        return [line.rstrip("\n") for line in islice(lines, count)]


# The producer with all its parts, except for the socket and REST, which are simulated in the process.


class Played:
    """A connection that returns frames as fast as they are read, and the REST calls of the same market."""

    def __init__(self, texts: list[str], stop: asyncio.Event) -> None:
        self._texts = texts
        self._stop = stop
        self._answers: list[str] = []
        self._at = 0
        self.transport = SimpleNamespace(is_closing=lambda: True)  # there is no socket to pause

    async def __aenter__(self) -> Played:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Do nothing: there is no resource to close."""

    async def send(self, text: str) -> None:
        request = json.loads(text)
        word = "pong" if request["op"] == "ping" else ""
        self._answers.append(
            json.dumps({"success": True, "ret_msg": word, "req_id": request.get("req_id", ""), "op": request["op"]})
        )

    async def __aiter__(self) -> AsyncIterator[str]:
        for at, text in enumerate(self._texts):
            self._at = at
            while self._answers:
                yield self._answers.pop(0)
            yield text
            if at % _TURN == 0:
                await asyncio.sleep(0)
        self._stop.set()
        await asyncio.Event().wait()

    async def server_time(self) -> int:
        sent_ms: int = json.loads(self._texts[self._at])["ts"]
        return sent_ms * MS_US

    async def recent_trades(self, symbol: str, limit: int) -> None:
        return None

    async def klines(self, symbol: str, start_us: int, limit: int) -> None:
        return None


def ours(brokers: str, texts: list[str]) -> Work:
    """The producer's own worker, feed and topic writer."""
    sys.path.insert(0, str(ROOT / "cloudrun" / "producer"))
    import orjson

    from bitcoin_pipeline.live.feed import LiveFeed
    from bitcoin_pipeline.live.tail import Tail
    from producer import worker
    from producer.gap_events import GapEvents
    from producer.rest import RestClient
    from producer.topic_tail import read_tail
    from producer.topic_writer import TopicWriter

    symbol = json.loads(texts[0])["data"][0]["s"]
    client = {"bootstrap.servers": brokers}
    _, partitions = read_tail(client, ())
    writer = TopicWriter(client, partitions)
    # An empty tail: each run is a first one, or the ids of the run before would be known.
    feed = LiveFeed([symbol], Tail(), token="one", uniform=random.random, decode=orjson.loads)  # noqa: S106  # names it

    async def produce() -> None:
        stop = asyncio.Event()
        played = Played(texts, stop)
        with patch.object(worker, "connect", lambda *_, **__: played):
            rest = cast("RestClient", played)  # it has the methods that are called
            await worker.Worker(feed, writer, rest, GapEvents(""), "ws://played").run(stop)
        unsent = writer.flush(60)
        counts = {**feed.state(worker.read_clock()).counts, "unsent": unsent}
        assert counts["trades"] == len(texts) * FRAME and not unsent, counts

    return lambda: asyncio.run(produce())


# The peer without a library: it checks no trade, skips no repeated one, and sends no proof.


def plain(brokers: str, texts: list[str]) -> Work:
    """The module json and confluent-kafka in a loop, idempotent as the producer."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "enable.idempotence": True})

    def produce(trade: dict[str, Any]) -> None:
        while True:
            try:
                producer.produce(PLAIN_TOPIC, json.dumps(trade), key=trade["s"])
            except BufferError:
                producer.poll(0.02)
            else:
                return

    def work() -> None:
        for text in texts:
            for trade in json.loads(text)["data"]:
                produce(trade)
            producer.poll(0)
        assert producer.flush(60) == 0

    return work


# The socket alone.


def socket(url: str, texts: list[str]) -> Work:
    """The producer's websocket client, which receives a server's frames as fast as it can."""
    from websockets.asyncio.client import connect

    async def receive() -> None:
        async with connect(url, ping_interval=None, compression=None, max_size=16 << 20) as connection:
            for _ in range(len(texts)):
                await connection.recv()

    return lambda: asyncio.run(receive())


def serve(port: str, texts: list[str]) -> Work:
    """The other end of `socket`: sends the frames to each client, until a line of input ends it."""
    from websockets.asyncio.server import ServerConnection, serve

    async def send(connection: ServerConnection) -> None:
        for text in texts:
            await connection.send(text)

    async def run() -> None:
        async with serve(send, "127.0.0.1", int(port), compression=None):
            await asyncio.to_thread(obey, "serving")

    return lambda: asyncio.run(run())


CONTENDERS: Final = {work.__name__: work for work in (ours, plain, socket, serve)}


def main() -> None:
    """Read the frames, work, and wait, as the module describes."""
    name, address, file, count = sys.argv[1:]
    # Threads that are started later inherit the affinity.
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {available[0 if name == "serve" else -1]})
    work = CONTENDERS[name](address, read_frames(Path(file), int(count)))
    obey("ready")
    work()
    obey("done")


if __name__ == "__main__":
    main()
