"""The topic of trades as pieces, read from the consumer group's committed offsets.

The function's modules and tests import it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from archive_live.piece import Piece
from archive_live.settings import Settings
from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.kafka import partitions, read
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.errors import RetryableError

GROUP: Final = names.ARCHIVE_LIVE_GROUP
"""The consumer group. The broker keeps its offsets as long as the records (7 days); later it starts at the oldest."""

PIECE: Final = 100_000
"""Offsets of one piece, in memory at once, at most some 1.5 KB a trade. Another number changes the objects' names."""

TIMEOUT_S: Final = 10
"""Time limit of every request to the broker."""

_T = TypeVar("_T")
# The coordinator of the group is not found yet: after the group's first use, or while the broker starts.
_NO_COORDINATOR: Final = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)


class PieceReader:
    """Reads the records that the topic of trades holds at the start of a call. Every method raises RetryableError."""

    def __init__(self, settings: Settings) -> None:
        self._period_ms = settings.period_s * 1000
        self._consumer = Consumer(
            {
                **settings.client_config(),
                "group.id": GROUP,
                "client.id": "bitcoin-pipeline-archive-live",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": 16 << 10,
                # All requested records exist; a long fetch at the topic's end would only delay the next piece.
                "fetch.wait.max.ms": 10,
                "check.crcs": True,
            }
        )

    def close(self) -> None:
        """Closes the connection to the broker."""
        self._consumer.close()

    def partitions(self) -> list[int]:
        """The numbers of the topic's partitions."""
        with _retryable_failures():
            return partitions(self._consumer, names.TRADES_TOPIC, TIMEOUT_S)

    def pieces(self, partition: int) -> Iterator[Piece]:
        """The pieces of all finished periods after the committed offset, without their trades."""
        with _retryable_failures():
            start, end = self._bounds(partition)
            while start < end:
                cut = self._next_cut(partition, start)
                if cut is None or cut > end:
                    return
                while start < cut:
                    yield Piece(partition, start, min(start + PIECE, cut))
                    start = min(start + PIECE, cut)

    def read(self, piece: Piece) -> None:
        """Adds the records of `piece` to it."""
        with _retryable_failures():
            for message in self._messages(piece.partition, piece.start, piece.end):
                piece.add(message.value())

    def commit(self, piece: Piece) -> None:
        """Commits the offset after `piece`, at which the next call starts."""
        after = TopicPartition(names.TRADES_TOPIC, piece.partition, piece.end)
        with _retryable_failures():
            _coordinated(lambda: self._consumer.commit(offsets=[after], asynchronous=False))

    def _bounds(self, partition: int) -> tuple[int, int]:
        """The first offset to archive, and the offset after the partition's last record."""
        here = TopicPartition(names.TRADES_TOPIC, partition)
        oldest, end = self._consumer.get_watermark_offsets(here, timeout=TIMEOUT_S)
        [committed] = _coordinated(lambda: self._consumer.committed([here], timeout=TIMEOUT_S))
        start = committed.offset
        fields = {"partition": partition, "oldest": oldest}
        if start == OFFSET_INVALID:
            if oldest:  # the first call, or the first one after the group's offsets expired: the loss is unknown
                log("WARNING", "no committed offset, and the topic's first records are deleted", **fields)
            start = oldest
        elif not oldest <= start <= end:
            log("ERROR", "records were deleted before they were archived", **fields, committed=start, end=end)
            start = oldest
        return start, end

    def _next_cut(self, partition: int, start: int) -> int | None:
        """The first offset of the period after that of the record at `start`, None when it holds no record yet."""
        [first] = self._messages(partition, start, start + 1)
        cut_ms = first.timestamp()[1]
        cut = start
        while cut <= start:  # repeats only if the broker's clock was set back
            cut_ms += self._period_ms - cut_ms % self._period_ms
            [found] = self._consumer.offsets_for_times(
                [TopicPartition(names.TRADES_TOPIC, partition, cut_ms)], timeout=TIMEOUT_S
            )
            if found.offset < 0:
                return None
            cut = found.offset
        return cut

    def _messages(self, partition: int, start: int, end: int) -> Iterator[Message]:
        place = TopicPartition(names.TRADES_TOPIC, partition, start)
        return read(self._consumer, place, end, TIMEOUT_S, batch=1000)


def _coordinated(call: Callable[[], _T]) -> _T:
    """The result of a request to the group's coordinator, repeated until the coordinator is found."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return call()
        except KafkaException as error:
            if error.args[0].code() not in _NO_COORDINATOR or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


@contextmanager
def _retryable_failures() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise RetryableError(f"the broker failed: {error}") from error
