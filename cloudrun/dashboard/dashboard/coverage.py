"""Coverage: which symbols there are, and what became of each of their days.

Part of the dashboard; lives on the event loop. The warehouse is read once for all viewers, and again when the answer is
old.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.ingests import IngestStatus
from bitcoin_pipeline.times import Instant
from dashboard.cache import Cache
from dashboard.clock import Clock, elapsed_s
from dashboard.history import PATIENCE_S
from dashboard.warehouse import DayLoaded, WarehouseError

FRESH_S: Final = 60.0
"""Age from which the days are read again."""
RETRY_S: Final = 1.0
"""Pause after a failed read."""

LIVE: Final = "live"
MISSING: Final = "missing"
DAY_STATES: Final = (
    str(IngestStatus.LOADED),
    LIVE,
    str(IngestStatus.NO_TRADES),
    str(IngestStatus.FAILED),
    MISSING,
)
"""What may become of a day: what the batch has recorded, only live minutes, or neither."""

_EPOCH: Final = dt.date(1970, 1, 1)


class DaySource(Protocol):
    """A source of the batch's days; `warehouse.Warehouse` is one."""

    def days(self) -> dict[str, list[DayLoaded]]:
        """The loaded days of the symbol, as `Warehouse.days` returns them. Raises WarehouseError."""


class Coverage:
    """The days of all symbols. `symbols`: those that are `configured`."""

    def __init__(self, source: DaySource, cache: Cache, symbols: tuple[str, ...], clock: Clock) -> None:
        self._source = source
        self._cache = cache
        self.configured = symbols
        """The symbols that are listed even before they have data."""
        self._clock = clock
        # Not one of the event loop's threads: the loop waits for those when it ends.
        self._thread = ThreadPoolExecutor(1, "days")
        self._days: dict[str, list[DayLoaded]] = {}
        self._read_at: Instant | None = None
        self._reading: asyncio.Task[None] | None = None
        self.fault = ""
        """Why the last read failed; empty when it did not."""

    def close(self) -> None:
        """Start no further query, and do not wait for one that hangs."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def renew(self) -> None:
        """Start to read the days, unless they are fresh or being read."""
        is_due = self._read_at is None or elapsed_s(self._read_at, self._clock()) > FRESH_S
        if is_due and self._reading is None:
            self._reading = asyncio.create_task(self._read())

    async def symbols(self) -> list[str]:
        """The symbols that are configured, live or loaded, in order."""
        await self._fresh()
        return sorted({*self.configured, *self._cache.live_symbols(), *self._days})

    async def days(self, symbol: str) -> dict[str, Any]:
        """`{symbol, days: {day: {state, reason, quarantined}}, age_s, fault}` from the symbol's first day to its last.

        `state` is one of DAY_STATES; only days that the batch has recorded have a reason and a number of quarantined
        rows. `age_s`: of what the warehouse answered, None before it did.
        """
        await self._fresh()
        recorded = {day.day: day for day in self._days.get(symbol, [])}
        live = self._cache.live(symbol)
        states: dict[str, dict[str, Any]] = {
            str(day): {"state": str(item.status), "reason": item.reason, "quarantined": item.quarantined}
            for day, item in recorded.items()
        }
        for day in {_EPOCH + dt.timedelta(day) for day in (live.days() if live else ())} - set(recorded):
            states[str(day)] = {"state": LIVE}
        days = [dt.date.fromisoformat(day) for day in states]
        for offset in range((max(days) - min(days)).days) if days else ():
            states.setdefault(str(min(days) + dt.timedelta(offset)), {"state": MISSING})
        age_s = None if self._read_at is None else round(elapsed_s(self._read_at, self._clock()))
        return {"symbol": symbol, "days": dict(sorted(states.items())), "age_s": age_s, "fault": self.fault}

    def last_trade_s(self, symbol: str) -> float | None:
        """UTC seconds of the last trade of the symbol's last day that was loaded; None without any."""
        times = [day.last_time for day in self._days.get(symbol, []) if day.last_time is not None]
        return times[-1].timestamp() if times else None

    async def _fresh(self) -> None:
        """Renew the days. Only requests that come before the first answer wait, and no longer than the patience."""
        self.renew()
        if self._read_at is None and self._reading is not None:
            await asyncio.wait([self._reading], timeout=PATIENCE_S)

    async def _read(self) -> None:
        try:
            self._days = await asyncio.get_running_loop().run_in_executor(self._thread, self._source.days)
            self._read_at, self.fault = self._clock(), ""
        except WarehouseError as error:
            if not self.fault:
                log("WARNING", "days failed", reason=str(error))
            self.fault = str(error)
            await asyncio.sleep(RETRY_S)
        finally:
            self._reading = None
