"""The topic `trades`: records into it, idempotent and in order, and its tail out of it.

Part of the producer. Trades and gaps are keyed by symbol and partitioned by `murmur2_random`, which is what Java's
clients do by default; heartbeats name their partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.kafka import BrokerError, GaplessProducer, SilentBrokerError, partitions, read
from bitcoin_pipeline.live.feed import Tail

_TIMEOUT_S: Final = 30.0
_FETCH_WAIT_MS: Final = 10
_WINDOWS: Final = (2_000, 20_000, 200_000)
"""Records per partition to read back, more where the fewer did not hold the last proof of every symbol."""


class Topic(GaplessProducer):
    """The broker, as its one producer sees it. `client`: the options of librdkafka that find it."""

    def __init__(self, client: Mapping[str, str]) -> None:
        self._client: dict[str, Any] = {**client, "client.id": "bitcoin-pipeline-producer"}
        super().__init__(self._client)
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
            found = partitions(consumer, names.TRADES_TOPIC, _TIMEOUT_S)
            self.partitions = len(found)
            for window in _WINDOWS:
                tail, is_whole = self._read_back(consumer, found, window)
                if is_whole or tail.names_all(symbols):
                    break
        except (KafkaException, SilentBrokerError) as error:
            raise BrokerError(f"the topic {names.TRADES_TOPIC} cannot be read: {error}") from error
        finally:
            consumer.close()
        return tail

    async def publish(self, symbol: str, records: Iterable[bytes]) -> None:
        """Append records to the symbol's partition; waits while the queue is full."""
        await self.append_all(names.TRADES_TOPIC, symbol, records)

    async def broadcast(self, record: bytes) -> None:
        """Append a record to every partition."""
        for partition in range(self.partitions):
            await self.append(names.TRADES_TOPIC, record, partition=partition)

    async def bury(self, record: bytes) -> None:
        """Append a record to the dead-letter topic."""
        await self.append(names.DEAD_LETTER_TOPIC, record)

    def _read_back(self, consumer: Consumer, numbers: Sequence[int], window: int) -> tuple[Tail, bool]:
        tail, is_whole = Tail(), True
        for partition in numbers:
            place = TopicPartition(names.TRADES_TOPIC, partition)
            low, high = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
            place.offset = max(low, high - window)
            is_whole &= place.offset == low
            if place.offset == high:
                continue
            tail.begin(partition)
            for message in read(consumer, place, high, _TIMEOUT_S):
                tail.add(partition, message.value() or b"")
        return tail, is_whole
