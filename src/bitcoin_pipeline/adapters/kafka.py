"""Kafka calls of several deployables: reads between two offsets, and a producer that leaves no gap.

Part of the adapters; wraps confluent-kafka.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from bitcoin_pipeline.errors import RetryableError

QUEUE: Final = 200_000
"""Upper bound on the records queued for the broker; calls with further records wait."""
LINGER_MS: Final = 50
"""Longest wait of a record for others to the same partition; each request costs the broker and both clients as much as
dozens of records."""
_FULL_PAUSE_S: Final = 0.02


class SilentBrokerError(RetryableError):
    """The broker does not answer, or sent none of the records that the topic holds."""


class BrokerError(RuntimeError):
    """The topic cannot be read at the start, or a record was refused; no further record may be appended."""


def partitions(consumer: Consumer, topic: str, timeout_s: float) -> list[int]:
    """The numbers of a topic's partitions, ascending. Raises KafkaException."""
    found = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def tail(consumer: Consumer, topic: str, records: int, timeout_s: float) -> list[TopicPartition]:
    """Every partition with the offset of its last `records` records, or of its first one. Raises KafkaException."""
    places = [TopicPartition(topic, partition) for partition in partitions(consumer, topic, timeout_s)]
    for place in places:
        low, high = consumer.get_watermark_offsets(place, timeout=timeout_s)
        place.offset = max(low, high - records)
    return places


def read(
    consumer: Consumer, start: TopicPartition, end: int, timeout_s: float, batch: int = 10_000
) -> Iterator[Message]:
    """The records of a partition from the offset of `start` to before `end`; the topic must hold them.

    The partition is assigned to the consumer. A broker may send a stored batch of records whole; those before the start
    are skipped. At most `batch` records are in memory at once. Raises KafkaException, and SilentBrokerError when the
    broker sends nothing for `timeout_s`.
    """
    consumer.assign([start])
    offset = start.offset
    while offset < end:
        # The call waits until it has as many records as it requests, so it never requests more than the topic holds.
        messages = consumer.consume(min(batch, end - offset), timeout=timeout_s)
        if not messages:
            place = f"{start.topic}[{start.partition}]"
            raise SilentBrokerError(f"the broker sent nothing of {place} from {offset} to {end} for {timeout_s:g} s")
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            found = message.offset() or 0  # None only with an error
            if found < offset:
                continue
            offset = found + 1
            yield message


class GaplessProducer:
    """Appends records in their order, each once, and waits for the broker without a time limit.

    `client`: librdkafka's options of the connection.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._failure: str | None = None
        self._producer = Producer(
            {
                **client,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": LINGER_MS,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": QUEUE,
                "queue.buffering.max.kbytes": 256 << 10,
                # A record that times out would leave a gap before the records after it, so no record does. For the same
                # reason a refused record ends the producer's work.
                "message.timeout.ms": 0,
                "enable.gapless.guarantee": True,
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
                "error_cb": self._erred,
            }
        )

    async def append_all(self, topic: str, key: str, records: Iterable[bytes]) -> None:
        """Appends records to the key's partition; waits while the queue is full. Raises BrokerError."""
        produce = self._producer.produce
        for record in records:
            try:
                produce(topic, record, key=key)
            except BufferError:
                await self.append(topic, record, key=key)
            except KafkaException as error:
                raise BrokerError(str(error)) from error

    async def append(self, topic: str, record: bytes, **where: Any) -> None:
        """Appends a record to `key=` or `partition=`; waits while the queue is full. Raises BrokerError."""
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
        """The number of queued records, plus the client's reports that `serve` has not processed yet."""
        return len(self._producer)

    def serve(self) -> None:
        """Processes the client's reports; must be called often. Raises BrokerError."""
        self._producer.poll(0)
        if self._failure is not None:
            raise BrokerError(self._failure)

    def flush(self, seconds: float) -> int:
        """Waits at most `seconds` until the broker has every record; returns the number of records still queued."""
        return self._producer.flush(seconds)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = f"a record for {message.topic()} was refused: {error}"

    def _erred(self, error: KafkaError) -> None:
        # The client recovers from other errors by itself, such as from a broker that is unreachable.
        if error.fatal():
            self._failure = f"the producer cannot go on: {error}"
