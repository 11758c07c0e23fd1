"""The workers of all connections: they run together, and their figures are one.

Part of the producer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.live.symbol_feed import Stage
from producer.rest import RestClient
from producer.topic_writer import TopicWriter
from producer.worker import Worker

METRICS_S: Final = 60.0
READY_US: Final = 10_000_000
"""Upper bound on the age of the last heartbeat of a connection that is ready."""


class Connections:
    """The workers of one process, which share the writer and the REST client."""

    def __init__(self, workers: Sequence[Worker], writer: TopicWriter, rest: RestClient) -> None:
        self._workers = workers
        self._writer = writer
        self._rest = rest

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises BrokerError, in a group."""
        metrics = asyncio.create_task(self._metrics())
        try:
            async with asyncio.TaskGroup() as tasks:
                for worker in self._workers:
                    tasks.create_task(worker.run(stop))
        finally:
            metrics.cancel()

    def is_ready(self) -> bool:
        """Whether every connection has a symbol that is proven up to now."""
        ages = [worker.feed_state().heartbeat_age_us for worker in self._workers]
        return all(age_us is not None and age_us < READY_US for age_us in ages)

    def state(self) -> dict[str, Any]:
        """The figures of this moment; `lag_ms` is that of the slowest connection."""
        states = [worker.feed_state() for worker in self._workers]
        lags = [state.lag_ms for state in states if state.lag_ms is not None]
        stages = Counter(stage for state in states for stage in state.stages.values())
        counts: Counter[str] = Counter()
        for state in states:
            counts.update(state.counts)
        return {
            "lag_ms": max(lags, default=None),
            "symbols": {stage.value: stages[stage] for stage in Stage},
            "ended": [name for state in states for name, stage in state.stages.items() if stage is Stage.ENDED],
            "queue": self._writer.queued(),
            "rest_banned_s": self._rest.banned_s,
            "reconnects": sum(state.reconnects for state in states),
            **counts,
        }

    async def _metrics(self) -> None:
        while True:
            await asyncio.sleep(METRICS_S)
            log("INFO", "metrics", **self.state())
