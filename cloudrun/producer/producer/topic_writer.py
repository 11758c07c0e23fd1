"""The records of the live feed into the topic `trades`, idempotent and in order.

Part of the producer. Trades and gaps are keyed by symbol and partitioned by `murmur2_random`, which is the default of
Java's clients; heartbeats name their partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.kafka import GaplessProducer


class TopicWriter(GaplessProducer):
    """Appends to the topic and to the dead-letter topic. Every method raises BrokerError.

    `client`: the options of librdkafka that find the broker. `partitions`: of the topic.
    """

    def __init__(self, client: Mapping[str, str], partitions: int) -> None:
        super().__init__(client)
        self._partitions = partitions

    async def publish(self, symbol: str, records: Iterable[bytes]) -> None:
        """Append records to the symbol's partition; waits while the queue is full."""
        await self.append_all(names.TRADES_TOPIC, symbol, records)

    async def broadcast(self, record: bytes) -> None:
        """Append a record to every partition."""
        for partition in range(self._partitions):
            await self.append(names.TRADES_TOPIC, record, partition=partition)

    async def dead_letter(self, record: bytes) -> None:
        """Append a record to the dead-letter topic."""
        await self.append(names.DEAD_LETTER_TOPIC, record)
