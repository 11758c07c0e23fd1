"""What runs behind the page: who asks upstream, how often, and what becomes of the answers.

Part of the dashboard; lives on the event loop, upstream is asked in threads.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final, Protocol

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.times import MS_US, SECOND_US
from dashboard.cache import PATIENCE_S, Cache
from dashboard.detail import MINUTE
from dashboard.postgres import LONG_OVERLAP, Feed, Postgres, PostgresError, Stored
from dashboard.stream import Hub
from dashboard.tape import Tape
from dashboard.warehouse import DayLoaded, WarehouseError

LIVE_S: Final = 0.1
STATE_S: Final = 1.0
DAYS_FRESH_S: Final = 60.0
RETRY_S: Final = 1.0
SILENT_S: Final = 5.0
"""A proof comes every second; without one for so long the feed is away. So is Postgres without an answer."""
ROWS_AT_ONCE: Final = 500
"""The event loop takes the recent days of many symbols in pieces, between which it serves."""


class Days(Protocol):
    """Where the days are asked for; `warehouse.Warehouse` is one."""

    def days(self) -> dict[str, list[DayLoaded]]:
        """See there. Raises WarehouseError."""


class Service:
    """The cache, the hub, and the loops that feed them. `clock`: monotonic seconds."""

    def __init__(  # noqa: PLR0913, PLR0917  # one of each
        self,
        cache: Cache,
        hub: Hub,
        postgres: Postgres,
        warehouse: Days,
        tape: Tape,
        symbols: tuple[str, ...],
        clock: Callable[[], float],
    ) -> None:
        self.cache = cache
        self.hub = hub
        self._postgres = postgres
        # Of their own: however many look, the next question to Postgres waits for none of them; and none of the event
        # loop's, which waits for its threads when it ends.
        self._postgres_thread = ThreadPoolExecutor(1, "postgres")
        self._days_thread = ThreadPoolExecutor(1, "days")
        self._warehouse = warehouse
        self._tape = tape
        self._symbols = symbols
        self._clock = clock
        self.failed = False
        """By a fault of ours; the server ends."""
        self._started = self._clock()
        self._live_at: float | None = None
        self._live_fault = ""
        self._pushed_at = 0.0
        self._feeds: dict[str, Feed] = {}
        self._feeds_at = -STATE_S
        self._proven_at: dict[str, tuple[int, float]] = {}
        self._days: dict[str, list[DayLoaded]] = {}
        self._days_at: float | None = None
        self._days_fault = ""
        self._days_asked: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask upstream as long as the context lasts."""
        with self._tape:
            loops = [asyncio.create_task(loop()) for loop in (self._live_loop, self._tape_loop, self._state_loop)]
            for loop in loops:
                loop.add_done_callback(self._ended)
            self._renew_days()  # the first question to BigQuery takes longest: before anybody looks
            try:
                yield
            finally:
                self.hub.close()
                for loop in loops:
                    loop.cancel()
                await asyncio.gather(*loops, return_exceptions=True)
                self.cache.close()
                # An upstream that hangs must not hold what ends.
                self._postgres_thread.shutdown(wait=False, cancel_futures=True)
                self._days_thread.shutdown(wait=False, cancel_futures=True)

    def _ended(self, loop: asyncio.Task[None]) -> None:
        """A loop ends by a fault of ours only: better no server than one that shows what is old as if it were new."""
        if not loop.cancelled() and (error := loop.exception()) is not None:
            log("CRITICAL", "dashboard failed", reason=repr(error))
            self.failed = True
            signal.raise_signal(signal.SIGTERM)

    @property
    def is_ready(self) -> bool:
        """True once Postgres was read, or known not to answer: history is of use without it."""
        return self._live_at is not None or self._late_s(self._clock()) > 0

    def health(self) -> dict[str, Any]:
        """How each upstream does."""
        late = self._late_s(self._clock())
        return {
            "live": self._live_fault or (f"no answer for {late} s" if late else "ok"),
            "tape": self._tape.fault or "ok",
            "history": self.cache.fault or "ok",
            "days": self._days_fault or "ok",
            "viewers": self.hub.viewers,
            "history_rows": self.cache.held_rows(),
        }

    def end(self, symbol: str) -> int:
        """Where a look at a symbol ends by default: behind its newest minute if it is or was live, else now."""
        newest = self.cache.newest(symbol)
        if newest is None:
            return int(time.time())
        # A feed may have ended while the archive goes on.
        self._renew_days()
        loaded = [day.last_time.timestamp() for day in self._days.get(symbol, []) if day.last_time is not None]
        return max([newest, *(int(t) - int(t) % MINUTE for t in loaded[-1:])]) + MINUTE

    async def symbols(self) -> list[str]:
        """The symbols of which there is anything, and those that are to come."""
        await self._fresh_days()
        return sorted({*self._symbols, *self.cache.live_symbols(), *self._days})

    async def coverage(self, symbol: str) -> dict[str, Any]:
        """What became of each day of a symbol: loaded, no_trades, failed with its reason, live, or missing."""
        await self._fresh_days()
        known = {day.day: day for day in self._days.get(symbol, [])}
        live = self.cache.live(symbol)
        states: dict[str, dict[str, Any]] = {
            str(day): {"state": str(item.status), "reason": item.reason, "quarantined": item.quarantined}
            for day, item in known.items()
        }
        for day in {dt.date(1970, 1, 1) + dt.timedelta(day) for day in (live.days() if live else ())} - set(known):
            states[str(day)] = {"state": "live"}
        days = [dt.date.fromisoformat(day) for day in states]
        for offset in range((max(days) - min(days)).days) if days else ():
            states.setdefault(str(min(days) + dt.timedelta(offset)), {"state": "missing"})
        age = None if self._days_at is None else round(self._clock() - self._days_at)
        return {"symbol": symbol, "days": dict(sorted(states.items())), "age_s": age, "fault": self._days_fault}

    async def _fresh_days(self) -> None:
        """Ask once for all who look, again when the answer is old; only the first ones wait, and not for ever."""
        self._renew_days()
        if self._days_at is None and self._days_asked is not None:
            await asyncio.wait([self._days_asked], timeout=PATIENCE_S)

    def _renew_days(self) -> None:
        is_due = self._days_at is None or self._clock() - self._days_at > DAYS_FRESH_S
        if is_due and self._days_asked is None:
            self._days_asked = asyncio.create_task(self._ask_days())

    async def _ask_days(self) -> None:
        try:
            days = asyncio.get_running_loop().run_in_executor(self._days_thread, self._warehouse.days)
            self._days = await days
            self._days_at, self._days_fault = self._clock(), ""
        except WarehouseError as error:
            if not self._days_fault:
                log("WARNING", "the days failed", reason=str(error))
            self._days_fault = str(error)
            await asyncio.sleep(RETRY_S)
        finally:
            self._days_asked = None

    async def _live_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = self._clock()
            try:
                asked = loop.run_in_executor(self._postgres_thread, self._asked_postgres, began)
                rows, feeds = await asked
                changed = []
                for start in range(0, len(rows), ROWS_AT_ONCE):
                    changed += self.cache.take(rows[start : start + ROWS_AT_ONCE])
                    await asyncio.sleep(0)
                self.hub.put_candles(changed)
                self._take_feeds(feeds)
                self._push()
                if self._live_fault:
                    log("INFO", "postgres answers again")
                self._live_at, self._live_fault = self._clock(), ""
            except PostgresError as error:
                if not self._live_fault:
                    log("WARNING", "postgres failed", reason=str(error))
                self._live_fault = str(error)
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(max(0.01, LIVE_S - (self._clock() - began)))

    def _asked_postgres(self, now: float) -> tuple[list[Stored], dict[str, Feed]]:
        if now - self._feeds_at < STATE_S:
            return self._postgres.changed(), {}
        rows = self._postgres.changed(LONG_OVERLAP)
        self._feeds_at = now
        return rows, self._postgres.feeds()

    def _take_feeds(self, feeds: dict[str, Feed]) -> None:
        self._feeds |= feeds
        for symbol, feed in feeds.items():
            if self._proven_at.get(symbol, (0, 0.0))[0] != feed.proven_us:
                self._proven_at[symbol] = (feed.proven_us, self._clock())

    async def _tape_loop(self) -> None:
        """The tape goes out with the candles, and by itself while Postgres keeps them waiting."""
        while True:
            if self._clock() - self._pushed_at > 2 * LIVE_S:
                self._push()
            await asyncio.sleep(LIVE_S)

    def _push(self) -> None:
        for symbol, trades in self._tape.taken().items():
            self.hub.put_trades(symbol, trades)
        self.hub.send()
        self._pushed_at = self._clock()

    async def _state_loop(self) -> None:
        while True:
            for symbol in self.hub.watched():
                self.hub.put_state(symbol, self._state(symbol, self._clock()))
                await asyncio.sleep(0)
            await asyncio.sleep(STATE_S)

    def _late_s(self, now: float) -> int:
        """Seconds since Postgres answered, 0 while it does."""
        late = now - (self._live_at or self._started)
        return max(1, round(late)) if self._live_fault or late > SILENT_S else 0

    def _state(self, symbol: str, now: float) -> dict[str, object]:
        feed = self._feeds.get(symbol)
        proven_at = self._proven_at.get(symbol, (0, self._started))[1]
        live = self.cache.live(symbol)
        day = [] if live is None else live.last_day()
        faults = {
            "postgres": self._late_s(now),
            "tape": self._tape.fault,
            "silent": round(now - proven_at) if now - proven_at > SILENT_S else 0,
        }
        # It goes out every second, to everybody: what is well is left out.
        state: dict[str, object] = {name: value for name, value in faults.items() if value}
        if feed is not None:
            state |= {
                "proven": feed.proven_us // MS_US,
                "lag": feed.lag_ms,
                "reconnects": feed.reconnects,
            }
            if feed.gaps_since_us is not None:
                state |= {"gaps": feed.open_gaps, "gaps_since": feed.gaps_since_us // SECOND_US}
        if day:
            bought = [candle.buy_volume for candle in day if candle.buy_volume is not None]
            volume = sum((candle.volume for candle in day), Decimal(0))
            state["day"] = {
                "since": day[0].open_time_us // SECOND_US,
                "open": float(day[0].open),
                "high": float(max(candle.high for candle in day)),
                "low": float(min(candle.low for candle in day)),
                "volume": float(volume),
                "delta": float(2 * sum(bought, Decimal(0)) - volume) if len(bought) == len(day) else None,
            }
        return state
