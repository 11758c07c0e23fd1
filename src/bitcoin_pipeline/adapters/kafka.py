"""Kafka as deployables use it: reads between two offsets, and a producer that leaves no gap.

Part of the adapters; wraps confluent-kafka.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from bitcoin_pipeline.errors import RetryableError

QUEUE: Final = 200_000
"""Records that may wait for the broker; further ones wait for room."""
_FULL_PAUSE_S: Final = 0.02


class SilentBrokerError(RetryableError):
    """The broker sent none of the records that it has."""


class BrokerError(RuntimeError):
    """The topic cannot be read at the start, or a record is lost to it, so that nothing may be appended any more."""


def partitions(consumer: Consumer, topic: str, timeout_s: float) -> list[int]:
    """The partitions of a topic, in order. Raises KafkaException."""
    found = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def tail(consumer: Consumer, topic: str, records: int, timeout_s: float) -> list[TopicPartition]:
    """Every partition at the offset after which at most `records` follow now. Raises KafkaException."""
    places = [TopicPartition(topic, partition) for partition in partitions(consumer, topic, timeout_s)]
    for place in places:
        low, high = consumer.get_watermark_offsets(place, timeout=timeout_s)
        place.offset = max(low, high - records)
    return places


def read(
    consumer: Consumer, start: TopicPartition, end: int, timeout_s: float, batch: int = 10_000
) -> Iterator[Message]:
    """The records of a partition from the offset of `start` to before `end`, which the topic must hold.

    Assigns the partition to the consumer. Where the start lies within a batch of records, the batch's earlier records
    are left out. At most `batch` records are in memory at once. Raises KafkaException, and SilentBrokerError when
    nothing comes for `timeout_s`.
    """
    consumer.assign([start])
    offset = start.offset
    while offset < end:
        # The call returns when it has as many records as it is asked for, so it is never asked for more than there are.
        messages = consumer.consume(min(batch, end - offset), timeout=timeout_s)
        if not messages:
            place = f"{start.topic}[{start.partition}]"
            raise SilentBrokerError(f"the broker sent nothing of {place} from {offset} to {end} for {timeout_s:g} s")
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            found = message.offset() or 0  # None only where there is an error
            if found < offset:
                continue
            offset = found + 1
            yield message


class GaplessProducer:
    """Appends records in their order, each once; a record waits for its broker as long as that takes.

    `client`: the options of librdkafka that find the broker.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._failure: str | None = None
        self._producer = Producer(
            {
                **client,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": QUEUE,
                "queue.buffering.max.kbytes": 256 << 10,
                # A record that is given up would be a hole under what is appended after it. For the same reason a
                # record that is refused ends the producer's work.
                "message.timeout.ms": 0,
                "enable.gapless.guarantee": True,
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
                "error_cb": self._erred,
            }
        )

    async def append_all(self, topic: str, key: str, records: Iterable[bytes]) -> None:
        """Append records to the key's partition; waits while the queue is full. Raises BrokerError."""
        produce = self._producer.produce
        for record in records:
            try:
                produce(topic, record, key=key)
            except BufferError:
                await self.append(topic, record, key=key)
            except KafkaException as error:
                raise BrokerError(str(error)) from error

    async def append(self, topic: str, record: bytes, **where: Any) -> None:
        """Append a record, `where` being a key or a partition; waits while the queue is full. Raises BrokerError."""
        while True:
            try:
                self._producer.produce(topic, record, **where)
            except BufferError:
                self.serve()
                await asyncio.sleep(_FULL_PAUSE_S)
            except KafkaException as error:
                raise BrokerError(str(error)) from error
            else:
                return

    def queued(self) -> int:
        """Records that wait for the broker, and the client's reports that `serve` has not taken yet."""
        return len(self._producer)

    def serve(self) -> None:
        """Takes the client's reports; to be called often. Raises BrokerError."""
        self._producer.poll(0)
        if self._failure is not None:
            raise BrokerError(self._failure)

    def flush(self, seconds: float) -> int:
        """Waits until the broker has every record, at most `seconds`; returns the number of records that it lacks."""
        return self._producer.flush(seconds)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = f"a record for {message.topic()} was refused: {error}"

    def _erred(self, error: KafkaError) -> None:
        # Others, such as a broker that is away, pass by themselves.
        if error.fatal():
            self._failure = f"the producer cannot go on: {error}"
