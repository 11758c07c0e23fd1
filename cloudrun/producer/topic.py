"""The topic `trades`: records into it, idempotent and in order, and its tail out of it.

Part of the producer. Trades and gaps are keyed by symbol and partitioned by `murmur2_random`, which is what Java's
clients do by default; heartbeats name their partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from bitcoin_pipeline import names
from bitcoin_pipeline.feed import Tail

QUEUE: Final = 200_000
"""Records that may wait for the broker; then the socket is not read any more."""
_FULL_PAUSE_S: Final = 0.02
_TIMEOUT_S: Final = 30.0
_FETCH_WAIT_MS: Final = 10
_WINDOWS: Final = (2_000, 20_000, 200_000)
"""Records per partition to read back, more where the fewer did not hold the last proof of every symbol."""


class BrokerError(RuntimeError):
    """The broker cannot be reached at the start, or a record cannot be had in the topic, so no later proof may be."""


class Topic:
    """The broker, as its one producer sees it. `client`: the options of librdkafka that find it."""

    def __init__(self, client: Mapping[str, str]) -> None:
        self._client: dict[str, Any] = {**client, "client.id": "bitcoin-pipeline-producer"}
        self._failure: str | None = None
        self._producer = Producer(
            {
                **self._client,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": QUEUE,
                "queue.buffering.max.kbytes": 256 << 10,
                # A record waits for its broker as long as it takes: one that is given up would be a hole under the
                # next heartbeat. For the same reason a record that is refused ends this process.
                "message.timeout.ms": 0,
                "enable.gapless.guarantee": True,
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
                "error_cb": self._erred,
            }
        )
        self.partitions = 0

    def read_tail(self, symbols: Sequence[str]) -> Tail:
        """What the end of the topic says of the symbols. Raises BrokerError."""
        consumer = Consumer(
            {
                **self._client,
                "group.id": "bitcoin-pipeline-tail",
                "enable.auto.commit": False,
                "check.crcs": True,
                # At a partition's end the broker would hold the question for more, and what is asked after it, for half
                # a second; meanwhile REST forgets the trades that a start has to make good.
                "fetch.wait.max.ms": _FETCH_WAIT_MS,
            }
        )
        try:
            found = consumer.list_topics(names.TRADES_TOPIC, timeout=_TIMEOUT_S).topics[names.TRADES_TOPIC]
            if found.error is not None or not found.partitions:
                raise BrokerError(f"the topic {names.TRADES_TOPIC} cannot be used: {found.error}")
            self.partitions = len(found.partitions)
            for window in _WINDOWS:
                tail, is_whole = self._read_back(consumer, sorted(found.partitions), window)
                if is_whole or tail.names_all(symbols):
                    break
        except KafkaException as error:
            raise BrokerError(f"the topic {names.TRADES_TOPIC} cannot be read: {error}") from error
        finally:
            consumer.close()
        return tail

    async def publish(self, symbol: str, records: Iterable[bytes]) -> None:
        """Append records to the symbol's partition; waits while the queue is full."""
        produce = self._producer.produce
        for record in records:
            try:
                produce(names.TRADES_TOPIC, record, key=symbol)
            except BufferError:
                await self._append(names.TRADES_TOPIC, record, key=symbol)
            except KafkaException as error:
                raise BrokerError(str(error)) from error

    async def broadcast(self, record: bytes) -> None:
        """Append a record to every partition."""
        for partition in range(self.partitions):
            await self._append(names.TRADES_TOPIC, record, partition=partition)

    async def bury(self, record: bytes) -> None:
        """Append a record to the dead-letter topic."""
        await self._append(names.DEAD_LETTER_TOPIC, record)

    def queued(self) -> int:
        """Records that wait for the broker."""
        return len(self._producer)

    def serve(self) -> None:
        """Let the client tell what has failed. Raises BrokerError when a record is lost to the topic."""
        self._producer.poll(0)
        if self._failure is not None:
            raise BrokerError(self._failure)

    def flush(self, seconds: float) -> int:
        """Wait until the broker has everything; the number of records that it has not."""
        return self._producer.flush(seconds)

    async def _append(self, topic: str, record: bytes, **where: Any) -> None:
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

    def _read_back(self, consumer: Consumer, partitions: Sequence[int], window: int) -> tuple[Tail, bool]:
        tail, is_whole = Tail(), True
        for partition in partitions:
            place = TopicPartition(names.TRADES_TOPIC, partition)
            low, high = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
            start = max(low, high - window)
            is_whole &= start == low
            if start == high:
                continue
            tail.begin(partition)
            place.offset = start
            consumer.assign([place])
            self._read(consumer, tail, place, high)
        return tail, is_whole

    @staticmethod
    def _read(consumer: Consumer, tail: Tail, place: TopicPartition, high: int) -> None:
        offset = place.offset
        while offset < high:
            # It waits until it has so many, so never for more than there are.
            messages = consumer.consume(min(10_000, high - offset), timeout=_TIMEOUT_S)
            if not messages:
                raise BrokerError(f"partition {place.partition} gives nothing from offset {offset} to {high}")
            for message in messages:
                if (error := message.error()) is not None:
                    raise BrokerError(f"partition {place.partition} cannot be read: {error}")
                tail.add(place.partition, message.value() or b"")
                offset = (message.offset() or 0) + 1

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = f"a record for {message.topic()} was refused: {error}"

    def _erred(self, error: KafkaError) -> None:
        # Others, such as a broker that is away, pass by themselves.
        if error.fatal():
            self._failure = f"the producer cannot go on: {error}"
