"""The live refresh: reads changed candles and the feeds' status from Postgres ten times a second.

Part of the dashboard; lives on the event loop, Postgres is read in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.times import SECOND_US, Instant
from dashboard.cache import Cache
from dashboard.clock import Clock, elapsed_s
from dashboard.feed_state import FeedStates
from dashboard.postgres import LONG_OVERLAP, FeedStatus, Postgres, PostgresError, StoredCandle
from dashboard.stream import Hub

REFRESH_S: Final = 0.1
"""Time from the start of one refresh to the start of the next."""
STATUS_S: Final = 1.0
"""Time between two reads of the feeds' status."""
RETRY_S: Final = 1.0
"""Pause after a failed refresh."""
LATE_S: Final = 5.0
"""Time without an answer from which Postgres counts as away."""
ROWS_AT_ONCE: Final = 500
"""Upper bound on the rows that the event loop takes before it serves requests again."""


class LiveRefresh:
    """The refresh of `cache`, `hub` and `feeds`; `push` sends what the hub was given."""

    def __init__(  # noqa: PLR0913, PLR0917  # one of each
        self,
        postgres: Postgres,
        cache: Cache,
        hub: Hub,
        feeds: FeedStates,
        push: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._postgres = postgres
        self._cache = cache
        self._hub = hub
        self._feeds = feeds
        self._push = push
        self._clock = clock
        # A thread of its own, for which nothing else waits: requests may keep all of the event loop's threads busy, and
        # the loop waits for those when it ends.
        self._thread = ThreadPoolExecutor(1, "postgres")
        self._started_at = clock()
        self._status_read_at: Instant | None = None
        self._answered_at: Instant | None = None
        self.fault = ""
        """Why the last refresh failed; empty when it did not."""

    def close(self) -> None:
        """Start no further query, and do not wait for one that hangs."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def is_ready(self) -> bool:
        """True once Postgres has answered, or counts as away: history is of use without it."""
        return self._answered_at is not None or self.late_s() > 0

    def late_s(self) -> int:
        """Seconds since Postgres answered; 0 while it does."""
        since = self._started_at if self._answered_at is None else self._answered_at
        late_s = elapsed_s(since, self._clock())
        return max(1, round(late_s)) if self.fault or late_s > LATE_S else 0

    async def run(self) -> None:
        """Refresh for ever. A fault that is not Postgres' is raised."""
        loop = asyncio.get_running_loop()
        while True:
            began_at = self._clock()
            try:
                rows, feeds = await loop.run_in_executor(self._thread, self._read, began_at)
                self._feeds.take(feeds)
                proven_s = {symbol: feed.proven_us // SECOND_US for symbol, feed in feeds.items()}
                self._hub.put_candles(self._cache.prove(proven_s))
                await self._take(rows)
                self._push()
                if self.fault:
                    log("INFO", "postgres answers again")
                self._answered_at, self.fault = self._clock(), ""
            except PostgresError as error:
                if not self.fault:
                    log("WARNING", "postgres failed", reason=str(error))
                self.fault = str(error)
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(max(0.01, REFRESH_S - elapsed_s(began_at, self._clock())))

    def _read(self, now: Instant) -> tuple[list[StoredCandle], dict[str, FeedStatus]]:
        """The changed rows, and once a second the feeds' status; runs in the thread."""
        if self._status_read_at is not None and elapsed_s(self._status_read_at, now) < STATUS_S:
            return self._postgres.changed(), {}
        rows = self._postgres.changed(LONG_OVERLAP)
        self._status_read_at = now
        return rows, self._postgres.feeds()

    async def _take(self, rows: list[StoredCandle]) -> None:
        changed = []
        for start in range(0, len(rows), ROWS_AT_ONCE):
            changed += self._cache.take(rows[start : start + ROWS_AT_ONCE])
            await asyncio.sleep(0)
        self._hub.put_candles(changed)
