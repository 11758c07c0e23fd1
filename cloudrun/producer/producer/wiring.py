"""The producer's start and end: its parts are made from the settings, run, and closed in order.

Part of the producer; `main.py` calls it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

import orjson

from bitcoin_pipeline.adapters.kafka import SilentBrokerError
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.live.feed import LiveFeed
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.tail import Tail
from bitcoin_pipeline.times import MS_US
from producer.connections import Connections
from producer.gap_events import GapEvents
from producer.health import serve_health
from producer.rest import RestClient
from producer.settings import Settings
from producer.topic_tail import StoppedError, read_tail
from producer.topic_writer import TopicWriter
from producer.worker import Worker

CLIENT_ID: Final = "bitcoin-pipeline-producer"
"""The name of this client in the broker's logs and quotas."""
FLUSH_SECONDS: Final = 8.0
"""Time limit of the last flush; Cloud Run kills the process ten seconds after SIGTERM."""


async def run(settings: Settings) -> None:
    """Produce until SIGTERM or SIGINT. Raises BrokerError when the broker refuses records for good."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connections: Connections | None = None
    async with AsyncExitStack() as at_exit:
        await at_exit.enter_async_context(serve_health(lambda: connections, settings.host, settings.port))
        client = {**settings.client_config(), "client.id": CLIENT_ID}
        found = await _topic(client, settings.symbols, stop)
        if found is None:
            return
        tail, partitions = found
        writer = TopicWriter(client, partitions)
        rest = await at_exit.enter_async_context(RestClient(settings.rest_url.rstrip("/")))
        gap_events = at_exit.enter_context(GapEvents(settings.events_topic))
        url = settings.ws_url.rstrip("/")
        workers = [Worker(feed, writer, rest, gap_events, url) for feed in feeds_of(settings, tail)]
        connections = Connections(workers, writer, rest)
        log("INFO", "producer started", symbols=settings.symbols, partitions=partitions, port=settings.port)
        try:
            await connections.run(stop)
        finally:
            unsent = await asyncio.to_thread(writer.flush, FLUSH_SECONDS)
            log("ERROR" if unsent else "INFO", "producer stopped", unsent=unsent)


async def _topic(client: Mapping[str, str], symbols: Sequence[str], stop: asyncio.Event) -> tuple[Tail, int] | None:
    """The topic's tail and number of partitions, once the broker answers; None if `stop` is set before."""
    is_away = False
    while not stop.is_set():
        try:
            return await asyncio.to_thread(read_tail, client, symbols, stop.is_set)
        except StoppedError:
            return None
        except SilentBrokerError as error:
            if not is_away:
                log("ERROR", "the broker does not answer", reason=str(error))
            is_away = True
    return None


def feeds_of(settings: Settings, tail: Tail) -> list[LiveFeed]:
    """A feed for each connection, among which the symbols are divided."""
    count = min(settings.connections, len(settings.symbols))
    token, defaults = secrets.token_hex(4), FeedTimes()
    times = replace(
        defaults,
        requests_per_s=max(1, defaults.requests_per_s // count),
        requests_at_once=max(1, defaults.requests_at_once // count),
    )
    dropped = tail.symbols.keys() - set(settings.symbols)
    return [
        LiveFeed(
            settings.symbols[number::count],
            tail,
            token=token,
            uniform=random.random,
            dropped=() if number else dropped,
            times=times,
            session_times=SessionTimes(margin_us=settings.margin_ms * MS_US),
            decode=orjson.loads,
        )
        for number in range(count)
    ]
