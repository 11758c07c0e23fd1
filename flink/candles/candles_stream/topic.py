"""Where the job begins in the topic when it has no checkpoint.

Imported by `candles_stream.keeper`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.kafka import partitions, read
from bitcoin_pipeline.times import MINUTE_US, SECOND_US, floor_us

_TIMEOUT_S: Final = 30


def first_whole_minute(client: Mapping[str, str], topic: str) -> int:
    """The first minute (us, UTC) of which every partition still holds every trade; 0 while the topic holds all records.

    `client`: the options of librdkafka that find the broker. Raises KafkaException or SilentBrokerError.
    """
    consumer = Consumer({**client, "group.id": names.CANDLES_START_GROUP, "enable.auto.commit": False})
    try:
        oldest_us = 0
        for number in partitions(consumer, topic, _TIMEOUT_S):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_TIMEOUT_S)
            if low == 0:
                continue
            if low == high:
                return floor_us(time.time_ns() // 1000) + MINUTE_US
            [record] = read(consumer, TopicPartition(topic, number, low), low + 1, _TIMEOUT_S)
            oldest_us = max(oldest_us, record.timestamp()[1] * 1000)
        # A trade may be appended a little before its time, as clocks differ.
        return floor_us(oldest_us + SECOND_US) + 2 * MINUTE_US if oldest_us else 0
    finally:
        consumer.close()
