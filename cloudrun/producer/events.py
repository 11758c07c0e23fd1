"""Gaps as events on Pub/Sub, where a topic is configured.

Part of the producer. Best effort: the gap's record in the topic `trades` is what counts.
"""

from __future__ import annotations

from concurrent.futures import Future
from types import TracebackType
from typing import Any

import orjson
from log import log

from bitcoin_pipeline.records import Gap, gap_record


class Events:
    """A context manager over the publisher, which is there only when `topic` is given."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._client: Any = None

    def __enter__(self) -> Events:
        if self._topic:
            from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415  # takes a second, and often is not needed

            self._client = PublisherClient()
        else:
            log("INFO", "events are off", reason="PIPELINE_EVENTS_TOPIC is not set")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._client is not None:
            self._client.stop()

    def gap(self, gap: Gap) -> None:
        """Publish that a gap was opened or closed."""
        if self._client is not None:
            record = orjson.loads(gap_record(gap))
            data = orjson.dumps({key: value for key, value in record.items() if key not in ("type", "state")})
            future = self._client.publish(self._topic, data, type=f"gap.{gap.state}")
            future.add_done_callback(_told)


def _told(future: Future[str]) -> None:
    error = future.exception()
    if error is not None:
        log("ERROR", "an event is lost", reason=str(error))
