"""Bounded reads and the producer that leaves no gap, without a broker; `tests/integration` has them with one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from bitcoin_pipeline.adapters.kafka import BrokerError, GaplessProducer, SilentBrokerError, partitions, read, tail
from local.waiting import wait_for

TOPIC = "trades"


class Record:
    def __init__(self, offset: int, error: KafkaError | None = None) -> None:
        self._offset = offset
        self._error = error

    def offset(self) -> int | None:
        return None if self._error else self._offset

    def error(self) -> KafkaError | None:
        return self._error


class Topics:
    """The result of `list_topics`: an unknown topic is listed with an error."""

    def __init__(self, numbers: list[int]) -> None:
        error = None if numbers else KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
        self.topics = {TOPIC: type("Found", (), {"error": error, "partitions": dict.fromkeys(numbers)})}


class Broker:
    """A consumer of partitions that hold the offsets low to high, `at_once` records a call."""

    def __init__(self, held: dict[int, tuple[int, int]], at_once: int = 1000) -> None:
        self.held = held
        self.at_once = at_once
        self.place = TopicPartition(TOPIC, 0)
        self.requested: list[int] = []
        self.broken_at: int | None = None

    def list_topics(self, topic: str, timeout: float) -> Topics:
        return Topics(list(self.held))

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        return self.held[place.partition]

    def assign(self, places: list[TopicPartition]) -> None:
        [self.place] = places

    def consume(self, count: int, timeout: float) -> list[Record]:
        self.requested.append(count)
        offset = self.place.offset
        if offset == self.broken_at:
            return [Record(offset, KafkaError(KafkaError._ALL_BROKERS_DOWN))]
        offsets = range(offset, min(offset + min(count, self.at_once), self.held[self.place.partition][1]))
        self.place = TopicPartition(TOPIC, self.place.partition, offset + len(offsets))
        return [Record(offset) for offset in offsets]


class WholeBatches(Broker):
    """A consumer whose broker sends the stored batch of the requested offset whole, with the records before it."""

    def consume(self, count: int, timeout: float) -> list[Record]:
        records = super().consume(count, timeout)
        return [Record(offset) for offset in range((records[0].offset() or 0) if records else 0)][-5:] + records


def consumer(broker: Broker) -> Any:
    return broker


def test_partitions_are_in_order() -> None:
    assert partitions(consumer(Broker({2: (0, 1), 0: (0, 1), 1: (0, 1)})), TOPIC, 1) == [0, 1, 2]


def test_what_a_batch_holds_before_the_start_is_left_out() -> None:
    broker = WholeBatches({0: (0, 12)}, at_once=4)
    found = [message.offset() for message in read(consumer(broker), TopicPartition(TOPIC, 0, 3), 9, 1)]
    assert found == [3, 4, 5, 6, 7, 8]


def test_a_topic_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KafkaException):
        partitions(consumer(Broker({})), TOPIC, 1)


def test_a_tail_begins_so_many_records_before_the_end() -> None:
    places = tail(consumer(Broker({0: (0, 1000), 1: (995, 1000), 2: (7, 7)})), TOPIC, 10, 1)
    assert [(place.partition, place.offset) for place in places] == [(0, 990), (1, 995), (2, 7)]


@pytest.mark.parametrize(("at_once", "requested"), [(1000, [4, 4, 2]), (3, [4, 4, 4, 1])])
def test_a_read_ends_before_its_end(at_once: int, requested: list[int]) -> None:
    broker = Broker({0: (0, 100)}, at_once)
    records = read(consumer(broker), TopicPartition(TOPIC, 0, 20), 30, 1, batch=4)
    assert [record.offset() for record in records] == list(range(20, 30))
    assert broker.requested == requested  # never more than the topic holds: the call would wait for them


def test_nothing_is_read_between_equal_offsets() -> None:
    assert list(read(consumer(Broker({0: (0, 100)})), TopicPartition(TOPIC, 0, 20), 20, 1)) == []


def test_a_broker_that_sends_nothing_ends_a_read() -> None:
    records = read(consumer(Broker({0: (0, 22)})), TopicPartition(TOPIC, 0, 20), 30, 2.5)
    with pytest.raises(SilentBrokerError, match=r"nothing of trades\[0\] from 22 to 30 for 2\.5 s"):
        list(records)


def test_an_error_in_place_of_a_record_ends_a_read() -> None:
    broker = Broker({0: (0, 100)}, at_once=2)
    broker.broken_at = 22
    records = read(consumer(broker), TopicPartition(TOPIC, 0, 20), 30, 1)
    assert [next(records).offset() for _ in range(2)] == [20, 21]
    with pytest.raises(KafkaException):
        next(records)


def test_a_producer_without_a_broker_keeps_its_records() -> None:
    producer = GaplessProducer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})

    async def work() -> None:
        await producer.append_all(TOPIC, "BTCUSDT", [b"1", b"2"])
        await producer.append(TOPIC, b"3", partition=0)

    def only_records() -> bool:
        producer.serve()  # reports of the unreachable broker are counted until they are processed
        return producer.queued() == 3

    asyncio.run(work())
    wait_for("three records to be all that is queued", only_records, 30)
    wait_for("three records to be left by a flush", lambda: producer.flush(0.1) == 3, 30)


def test_a_refused_record_ends_the_producer_s_work() -> None:
    producer = GaplessProducer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "message.max.bytes": 1000})
    with pytest.raises(BrokerError, match="MSG_SIZE_TOO_LARGE"):
        asyncio.run(producer.append_all(TOPIC, "BTCUSDT", [b"x" * 2000]))
    with pytest.raises(BrokerError, match="MSG_SIZE_TOO_LARGE"):
        asyncio.run(producer.append(TOPIC, b"x" * 2000))
