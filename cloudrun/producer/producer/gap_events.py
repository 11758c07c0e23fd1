"""Gaps as events on Pub/Sub, where a topic is configured.

Part of the producer. Delivery is best effort: the gap's record in the topic `trades` is what counts.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import orjson

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.live.records import Gap, gap_record


class GapEvents:
    """A context manager over the Pub/Sub publisher; without a topic it publishes nothing.

    The publisher is made in a thread of its own at the first event, as that takes a second in which REST, which serves
    the last trades only, would forget those that are missing at a start.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._client: Any = None
        self._thread = ThreadPoolExecutor(1, "gap-events")

    def __enter__(self) -> GapEvents:
        if not self._topic:
            log("INFO", "events are off", reason="PIPELINE_EVENTS_TOPIC is not set")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown()
        if self._client is not None:
            self._client.stop()

    def publish(self, gap: Gap) -> None:
        """Log and publish that a gap was opened, changed or closed."""
        fields = {"symbol": gap.symbol, "gap_id": gap.gap_id, "from_us": gap.from_us, "to_us": gap.to_us}
        if gap.state == "closed":
            log("INFO", "gap closed", **fields)
        else:
            log("WARNING", "gap opened", **fields)
        if self._topic:
            self._thread.submit(self._publish, gap).add_done_callback(_log_failure)

    def _publish(self, gap: Gap) -> None:
        if self._client is None:
            from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415  # takes a second

            self._client = PublisherClient()
        record = orjson.loads(gap_record(gap))
        data = orjson.dumps({key: value for key, value in record.items() if key not in ("type", "state")})
        self._client.publish(self._topic, data, type=f"gap.{gap.state}").add_done_callback(_log_failure)


def _log_failure(future: Future[Any]) -> None:
    error = future.exception()
    if error is not None:
        log("ERROR", "an event is lost", reason=str(error))
