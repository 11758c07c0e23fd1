"""The end of the topic `trades`, read once at the start of a producer.

Part of the producer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.kafka import BrokerError, SilentBrokerError, partitions, read
from bitcoin_pipeline.live.tail import Tail

_TIMEOUT_S: Final = 5.0
"""Time limit of each answer of the broker; the end of the process waits for it."""
_AWAY: Final = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)
_FETCH_WAIT_MS: Final = 10
_WINDOWS: Final = (2_000, 10_000, 50_000, 200_000)
"""Records per partition to read back; the next number is tried where a symbol's open minute begins further back."""


class StoppedError(Exception):
    """The process is to end before the topic was read."""


def read_tail(
    client: Mapping[str, str], symbols: Sequence[str], is_stopped: Callable[[], bool] = lambda: False
) -> tuple[Tail, int]:
    """The state at the topic's end, as far back as every symbol's open minute, and the number of partitions.

    `client`: the options of librdkafka that find the broker. Raises StoppedError as soon as `is_stopped`,
    SilentBrokerError if the broker is away, and BrokerError.
    """
    consumer = Consumer(
        {
            **client,
            "group.id": names.PRODUCER_GROUP,
            "enable.auto.commit": False,
            "check.crcs": True,
            # At a partition's end the broker would hold the request for half a second, and those after it; meanwhile
            # REST forgets the trades that are missing at a start.
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
        }
    )
    try:
        found = partitions(consumer, names.TRADES_TOPIC, _TIMEOUT_S)
        for window in _WINDOWS:
            tail, is_whole = _read_back(consumer, found, window, is_stopped)
            if is_whole or tail.is_read_back(symbols):
                break
    except KafkaException as error:
        if error.args[0].code() in _AWAY:
            raise SilentBrokerError(str(error)) from error
        raise BrokerError(f"the topic {names.TRADES_TOPIC} cannot be read: {error}") from error
    finally:
        consumer.close()
    return tail, len(found)


def _read_back(
    consumer: Consumer, numbers: Sequence[int], window: int, is_stopped: Callable[[], bool]
) -> tuple[Tail, bool]:
    """The last `window` records of each partition, and whether those are all of its records."""
    tail, is_whole = Tail(), True
    for partition in numbers:
        place = TopicPartition(names.TRADES_TOPIC, partition)
        low, high = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
        place.offset = max(low, high - window)
        is_whole &= place.offset == low
        if place.offset == high:
            continue
        for message in read(consumer, place, high, _TIMEOUT_S):
            if is_stopped():
                raise StoppedError
            tail.add(message.value() or b"")
    return tail, is_whole
