"""The broker's topics, from the core's definition. Imported by `main.py` and by tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its list lacks it

from bitcoin_pipeline import schemas

_TIMEOUT_S: Final = 30


def create_topics(client: Mapping[str, str]) -> list[str]:
    """Create the topics that are absent, and return their names; a topic that exists stays as it is.

    `client`: the options of librdkafka that find the broker. Raises KafkaException when the broker refuses or does not
    answer.
    """
    admin = AdminClient({**client, "log_level": 4})
    wanted = [NewTopic(topic.name, topic.partitions, 1, config=topic.config) for topic in schemas.topics()]
    created = []
    for name, outcome in admin.create_topics(wanted, request_timeout=_TIMEOUT_S).items():
        try:
            outcome.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        else:
            created.append(name)
    return created
