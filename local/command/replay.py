"""Sends days of the lake as the topic's records, minutes and heartbeats included, at any multiple of real time.

Imported by `local.command.data`. A program that reads live trades can thus be run on history.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.live.records import Heartbeat, Minute, heartbeat_record, minute_record, trade_record
from bitcoin_pipeline.times import MINUTE_US, SECOND_US, floor_us
from bitcoin_pipeline.trade import Trade

HEARTBEAT_US: Final = SECOND_US


@dataclass(frozen=True, slots=True)
class Due:
    """A record and the time in the market at which it is due. `key`: None sends it to every partition."""

    time_us: int
    key: str | None
    record: bytes
    is_trade: bool = False


class ReplayError(RuntimeError):
    """The replay cannot go on; the message contains the reason."""


def due_records(trades: Iterable[Trade]) -> Iterator[Due]:
    """The records of distinct `trades`, which are of one symbol and in matching order, and what the producer adds.

    There is a heartbeat for every second of the market, and before the one at the end of a minute with trades the
    minute's record, which nothing confirms.
    """
    beat_us = 0
    minute: Minute | None = None
    for trade in trades:
        open_us = floor_us(trade.time_us)
        beat_us = beat_us or floor_us(trade.time_us, HEARTBEAT_US)
        if minute is not None and minute.open_time_us < open_us:
            yield from _end(minute, beat_us)
            beat_us, minute = minute.open_time_us + MINUTE_US + HEARTBEAT_US, None
        while beat_us <= trade.time_us:
            yield _heartbeat(trade.symbol, beat_us)
            beat_us += HEARTBEAT_US
        minute = minute or Minute(trade.symbol, open_us, 0, Decimal(0), Decimal(0), confirmed=False)
        minute = dataclasses.replace(
            minute,
            trade_count=minute.trade_count + 1,
            volume=minute.volume + trade.size,
            turnover=minute.turnover + trade.turnover,
        )
        assert isinstance(trade.order, int)  # the place in the day's matching order, as in the lake
        yield Due(trade.time_us, trade.symbol, trade_record(trade, trade.order), is_trade=True)
    if minute is not None:
        yield from _end(minute, beat_us)


def _end(minute: Minute, beat_us: int) -> Iterator[Due]:
    """The heartbeats from `beat_us` to the end of a minute, and its record before the last of them."""
    end_us = minute.open_time_us + MINUTE_US
    for due_us in range(beat_us, end_us, HEARTBEAT_US):
        yield _heartbeat(minute.symbol, due_us)
    yield Due(end_us, minute.symbol, minute_record(minute))
    yield _heartbeat(minute.symbol, end_us)


def _heartbeat(symbol: str, due_us: int) -> Due:
    # A trade that is due at exactly this time follows the heartbeat, so the proof ends a microsecond earlier.
    heartbeat = Heartbeat(time_us=due_us - 1, symbols=(symbol,), lag_ms=0, reconnects=0)
    return Due(due_us, None, heartbeat_record(heartbeat))


def replay(
    records: Iterable[Due],
    topic: str,
    bootstrap_servers: str,
    speed: float,
    advance: Callable[[], None],
) -> int:
    """Send `records` to `topic` at `speed` times real time (0: as fast as possible); returns the number of trades.

    Creates an absent topic with the definition of names.REPLAY_TOPIC. Raises ReplayError when the broker refuses.
    """
    from confluent_kafka import KafkaException, Producer

    if topic == names.TRADES_TOPIC:
        raise ReplayError(f"{topic} belongs to the live feed; choose another --topic")
    refused: list[str] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            refused.append(str(error))

    try:
        partitions = _partitions(topic, bootstrap_servers)
        producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 5})
        began, first_us, sent = time.monotonic(), 0, 0
        for due in records:
            first_us = first_us or due.time_us
            if speed:
                _wait_until(began + (due.time_us - first_us) / SECOND_US / speed, producer)
            for partition in range(partitions) if due.key is None else (-1,):
                _produce(producer, topic, due, partition, delivered)
            if refused:
                raise ReplayError(f"the broker refuses {topic}: {refused[0]}")
            if due.is_trade:
                sent += 1
                advance()
        if producer.flush(60) or refused:
            raise ReplayError(f"the broker has not taken all of {topic} in 60 s: {refused[:1]}")
    except KafkaException as error:
        raise ReplayError(f"the broker at {bootstrap_servers}: {error}") from error
    return sent


def _partitions(topic: str, bootstrap_servers: str) -> int:
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its list lacks it

    client = AdminClient({"bootstrap.servers": bootstrap_servers})
    existing = client.list_topics(timeout=30).topics
    if topic in existing:
        return len(existing[topic].partitions)
    like = next(item for item in schemas.topics() if item.name == names.REPLAY_TOPIC)
    client.create_topics([NewTopic(topic, like.partitions, config=like.config)])[topic].result(timeout=30)
    return like.partitions


def _wait_until(due: float, producer: Any) -> None:
    while (left := due - time.monotonic()) > 0:
        producer.poll(min(left, 0.1))


def _produce(producer: Any, topic: str, due: Due, partition: int, delivered: Callable[[Any, Any], None]) -> None:
    while True:
        try:
            producer.produce(topic, due.record, key=due.key, partition=partition, on_delivery=delivered)
        except BufferError:  # the queue is full: let the broker catch up
            producer.poll(0.5)
        else:
            producer.poll(0)
            return
