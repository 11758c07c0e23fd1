"""What runs behind the page: the caches, and the loops that fill them and push to the viewers.

Part of the dashboard; lives on the event loop.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.times import SECOND_US
from dashboard.cache import Cache
from dashboard.clock import Clock, elapsed_s
from dashboard.coverage import Coverage
from dashboard.feed_state import FeedStates
from dashboard.level_of_detail import DAY_S, MINUTE_S
from dashboard.live_refresh import LiveRefresh
from dashboard.postgres import Postgres
from dashboard.recent_trades import RecentTrades
from dashboard.settings import opening_symbol
from dashboard.stream import Hub

PUSH_S: Final = 0.1
"""Time between two pushes of trades while no refresh of the candles pushes them along."""
FIRST_SPANS_S: Final = (DAY_S, 365 * DAY_S)
"""The spans that are read at the start, before the first request for them: a page's own, and a year."""
FIRST_PATIENCE_S: Final = 3.0
"""How long the server counts as starting while these spans are read."""
STATE_S: Final = 1.0
"""Time between two pushes of the feeds' states."""


class Backend:
    """The parts behind the page. `running` keeps them at work."""

    def __init__(  # noqa: PLR0913, PLR0917  # one of each
        self, cache: Cache, hub: Hub, postgres: Postgres, coverage: Coverage, trades: RecentTrades, clock: Clock
    ) -> None:
        self.cache = cache
        self.hub = hub
        self.coverage = coverage
        self.has_failed = False
        """True after a fault of the program itself; the server ends then."""
        self._trades = trades
        self._clock = clock
        self._feeds = FeedStates(clock)
        self._live = LiveRefresh(postgres, cache, hub, self._feeds, self._push, clock)
        self._pushed_at = clock()
        self._has_read_first = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read and push for as long as the context lasts."""
        with self._trades:
            loops = [asyncio.create_task(loop()) for loop in (self._live.run, self._push_trades, self._push_states)]
            for loop in loops:
                loop.add_done_callback(self._end_server)
            self.coverage.renew()  # the first query to BigQuery takes longest: it starts before the first request
            loops.append(asyncio.create_task(self.read_first()))
            try:
                yield
            finally:
                self.hub.close()
                for loop in loops:
                    loop.cancel()
                await asyncio.gather(*loops, return_exceptions=True)
                self.cache.close()
                self.coverage.close()
                self._live.close()

    @property
    def is_ready(self) -> bool:
        """True once Postgres was read, or counts as away, and a page would show its history at once."""
        return self._live.is_ready and self._has_read_first

    def health(self) -> dict[str, Any]:
        """The state of each upstream: `ok` or its fault; the number of viewers and of rows of history."""
        late_s = self._live.late_s()
        return {
            "live": self._live.fault or (f"no answer for {late_s} s" if late_s else "ok"),
            "trades": self._trades.fault or "ok",
            "history": self.cache.history.fault or "ok",
            "days": self.coverage.fault or "ok",
            "viewers": self.hub.viewers,
            "history_rows": self.cache.history.held_rows(),
        }

    def end_s(self, symbol: str) -> int:
        """UTC seconds where a view ends by default: after a live symbol's newest minute, live or loaded, else now."""
        newest_s = self.cache.newest_s(symbol)
        if newest_s is None:
            return int(time.time())
        # A feed may have ended while the archive goes on.
        self.coverage.renew()
        loaded_s = self.coverage.last_trade_s(symbol)
        if loaded_s is not None:
            newest_s = max(newest_s, int(loaded_s) - int(loaded_s) % MINUTE_S)
        return newest_s + MINUTE_S

    async def read_first(self) -> None:
        """Read what a page shows first, once the newest minutes are there."""
        while not self._live.is_ready:
            await asyncio.sleep(PUSH_S / 2)
        # Of no further symbol: its reads would compete with those of the first page.
        symbol = opening_symbol(self.coverage.configured)
        end_s = self.end_s(symbol)
        reads = [self.cache.view(symbol, end_s - span_s, end_s, read_ahead=False) for span_s in FIRST_SPANS_S]
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_PATIENCE_S):
                await asyncio.gather(*reads)
        self._has_read_first = True

    def _end_server(self, loop: asyncio.Task[None]) -> None:
        """End the server when a loop failed: it would go on to show old values as if they were new."""
        if not loop.cancelled() and (error := loop.exception()) is not None:
            log("CRITICAL", "dashboard failed", reason=repr(error))
            self.has_failed = True
            signal.raise_signal(signal.SIGTERM)

    async def _push_trades(self) -> None:
        """Push trades with the candles, and without them while Postgres delays these."""
        while True:
            if elapsed_s(self._pushed_at, self._clock()) > 2 * PUSH_S:
                self._push()
            await asyncio.sleep(PUSH_S)

    def _push(self) -> None:
        for symbol, trades in self._trades.taken().items():
            if shown := [trade for trade in trades if self.cache.is_proven(symbol, trade.time_us // SECOND_US)]:
                self.hub.put_trades(symbol, shown)
        self.hub.send()
        self._pushed_at = self._clock()

    async def _push_states(self) -> None:
        while True:
            for symbol in self.hub.watched():
                live = self.cache.live(symbol)
                day = [] if live is None else live.last_day()
                self.hub.put_state(symbol, self._feeds.state(symbol, self._live.late_s(), self._trades.fault, day))
                await asyncio.sleep(0)
            await asyncio.sleep(STATE_S)
