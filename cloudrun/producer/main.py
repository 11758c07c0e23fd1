"""The producer: Bybit's public trades from the websocket into the topic `trades`, with what proves them whole.

An entry point; nobody imports it. What is sent and when is the core's `feed`; this is the socket, the clock, REST and
Kafka around it. SIGTERM: it takes nothing more in, flushes, leaves. Exit code 1: the broker refuses it for good, and
the next start reads from the topic where to go on.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

import orjson

from bitcoin_pipeline.adapters.kafka import BrokerError
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.broker import BrokerSettings
from bitcoin_pipeline.bybit.session import SessionTimes
from bitcoin_pipeline.live.feed import Feed
from bitcoin_pipeline.settings import SettingsError, parse_port, read_settings, setting, url_of, whole
from bitcoin_pipeline.symbols import parse_symbols
from bitcoin_pipeline.times import MS_US
from producer.events import Events
from producer.health import serve_health
from producer.rest import Rest
from producer.topic import Topic
from producer.worker import Worker

FLUSH_SECONDS = 8.0
"""Cloud Run kills ten seconds after SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BrokerSettings):
    """What the environment decides."""

    symbols: tuple[str, ...] = setting("PIPELINE_SYMBOLS", "linear symbols, with commas between", parse_symbols)
    ws_url: str = setting(
        "BYBIT_WS_URL", "the public websocket", url_of("wss", "ws"), "wss://stream.bybit.com/v5/public/linear"
    )
    rest_url: str = setting("BYBIT_REST_URL", "the REST calls' host", url_of("https", "http"), "https://api.bybit.com")
    margin_ms: int = setting(
        "PRODUCER_MARGIN_MS", "how far the exchange's own ways may differ in time", whole("milliseconds", 99_999), 250
    )
    events_topic: str = setting("PIPELINE_EVENTS_TOPIC", "Pub/Sub topic of events, projects/P/topics/T", str, "")
    host: str = setting("HOST", "where the health port listens", str, "127.0.0.1")
    port: int = setting("PORT", "the health port", parse_port, 8080)


async def run(settings: Settings) -> None:
    """Produce until SIGTERM or SIGINT. Raises BrokerError when the broker refuses records for good."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as at_exit:
        topic = Topic(settings.client_config())
        tail = await asyncio.to_thread(topic.read_tail, settings.symbols)
        feed = Feed(
            settings.symbols,
            tail,
            token=secrets.token_hex(4),
            uniform=random.random,
            session_times=SessionTimes(margin_us=settings.margin_ms * MS_US),
            decode=orjson.loads,
        )
        rest = await at_exit.enter_async_context(Rest(settings.rest_url.rstrip("/")))
        events = at_exit.enter_context(Events(settings.events_topic))
        worker = Worker(feed, topic, rest, events, settings.ws_url.rstrip("/"))
        await at_exit.enter_async_context(serve_health(worker, settings.host, settings.port))
        log("INFO", "producer started", symbols=settings.symbols, partitions=topic.partitions, port=settings.port)
        try:
            await worker.run(stop)
        finally:
            left = await asyncio.to_thread(topic.flush, FLUSH_SECONDS)
            log("ERROR" if left else "INFO", "producer stopped", unsent=left)


def main() -> None:
    """Read the settings and run; the exit code tells a wrong setting (2) from a broker that refuses (1)."""
    try:
        settings = read_settings(Settings, os.environ)
    except SettingsError as error:
        log("CRITICAL", "settings are wrong", reason=str(error))
        sys.exit(2)
    failed: list[str] = []
    try:
        asyncio.run(run(settings))
    except* BrokerError as group:
        failed = [str(error) for error in group.exceptions]
    if failed:
        log("CRITICAL", "the broker refuses", reason="; ".join(failed))
        sys.exit(1)


if __name__ == "__main__":
    main()
