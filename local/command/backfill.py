"""Loads the days that are missing: the function fetches their files, then batches compute the candles of many days.

Imported by `local.command.data`. The plan and its rules are the core's; this module does what the plan holds, and
fetches the days of the next batches while one is computed. Every step may be killed and repeated: the plan comes from
`ingests`, a stored file is not fetched again, a batch that is left running is waited for, and it replaces the days that
it loads.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from bitcoin_pipeline.adapters.fetch_archive import Fetcher, end
from bitcoin_pipeline.ingests import BatchDays, Fetched, Ingest, IngestStatus, Recorded, SymbolDay
from bitcoin_pipeline.planning import Plan
from bitcoin_pipeline.summary import Summary
from local.command.steps import Progress, rate_text

if TYPE_CHECKING:
    import requests

BATCHES_AHEAD: Final = 2
"""Number of batches whose files are fetched while one is computed, so that a failure wastes few downloads."""

FETCHED, DONE = "files fetched", "days done"
"""Titles of the two steps, which go on at the same time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests a second to the exchange, concurrent calls of the function, and symbol-days of a batch."""

    requests_per_second: float
    concurrent_fetches: int
    days_per_batch: int


class Services(Protocol):
    """What a backfill calls. Methods raise BackfillError when a service is out of reach."""

    @property
    def limits(self) -> Limits:
        """The limits of this backfill."""

    async def ingests(self, symbols: Sequence[str], start: dt.date, end: dt.date) -> dict[SymbolDay, Ingest]:
        """The rows of the table `ingests` for these symbols and days, `end` included."""

    async def call(self, body: dict[str, Any]) -> requests.Response:
        """The response of `fetch_archive` to a request."""

    async def ended(self, batch_id: str) -> None:
        """Return when a batch does not run."""

    async def compute(
        self, work: BatchDays, answers: Mapping[SymbolDay, Fetched], known: Mapping[SymbolDay, Recorded]
    ) -> None:
        """Return when a batch has loaded the days; `known`: the rows of `ingests` before it."""

    async def candle_count(self, loaded: Collection[SymbolDay]) -> int:
        """Number of 1-minute archive candles of days."""


class Backfill:
    """The backfill of the days from `start` to `end`, both included, of some symbols."""

    def __init__(
        self, services: Services, symbols: Sequence[str], start: dt.date, end: dt.date, progress: Progress
    ) -> None:
        self._services = services
        self._symbols = symbols
        self._start = start
        self._end = end
        self._progress = progress
        limits = services.limits
        self._size = limits.days_per_batch
        self._fetcher = Fetcher(services.call, limits.requests_per_second, limits.concurrent_fetches, progress.note)
        self._ingests: dict[SymbolDay, Ingest] = {}
        self._known: dict[SymbolDay, Recorded] = {}

    async def run(self, *, again: bool = False, revised: bool = False) -> Summary:
        """Load the days that `ingests` lacks or has as failed, and those that have changed with `again` or `revised`.

        A day that failed is computed again when its file has changed, and with `again` in any case. Raises
        UnknownSymbolError, and BackfillError when a service does not answer or a batch fails repeatedly. A day that
        fails does not raise and does not keep the others from being loaded; its reason is in the summary.
        """
        await self._read_ingests()
        if unfinished := {recorded.batch_id for recorded in self._known.values() if recorded.unfinished}:
            # Their batches, left by another run, may be about to finish the days, which are then not computed again.
            await asyncio.gather(*map(self._services.ended, sorted(unfinished)))
            await self._read_ingests()
        plan = Plan(self._symbols, self._start, self._end, self._known, again=again, revised=revised, size=self._size)
        summary = Summary(planned=plan.days, not_fetched=plan.not_fetched)
        if not plan.days:
            return summary
        await self._fetcher.list_days(plan)
        planned = set(plan.days)
        self._progress.step(FETCHED, len(planned))
        self._progress.advance(FETCHED, len(planned & plan.answers.keys()))
        self._progress.step(DONE, len(planned))
        await self._run_batches(plan, summary)
        return summary

    async def _read_ingests(self) -> None:
        self._ingests = await self._services.ingests(self._symbols, self._start, self._end)
        self._known = {item: ingest.recorded for item, ingest in self._ingests.items()}

    async def _run_batches(self, plan: Plan, summary: Summary) -> None:
        began = asyncio.get_running_loop().time()
        fetches: list[asyncio.Task[None]] = []
        done = 0
        try:
            for number, batch in enumerate(plan.batches):
                for ahead in plan.batches[len(fetches) : number + BATCHES_AHEAD + 1]:
                    fetching = self._fetcher.fetch_days(plan, ahead, partial(self._progress.advance, FETCHED))
                    fetches.append(asyncio.create_task(fetching))
                await fetches[number]
                await self._load(plan, batch, summary)
                done += len(batch)
                self._progress.advance(DONE, len(batch))
                if done < len(plan.days):
                    rate = rate_text(done, len(plan.days), asyncio.get_running_loop().time() - began)
                    self._progress.note(f"{done} of {len(plan.days)} days done, to {batch[-1].day}; {rate}")
        finally:
            await end(fetches)

    async def _load(self, plan: Plan, batch: Sequence[SymbolDay], summary: Summary) -> None:
        """Compute what the fetched days of a batch need, and add the outcome to the summary."""
        work = plan.work_of(batch)
        summary.not_published += work.not_published
        summary.unchanged += work.unchanged
        summary.still_failed += (self._ingests[item] for item in work.still_failed)
        if not work.of_batch:
            return
        count = len(work.load)
        self._progress.note(f"computing candles of {count} {'day' if count == 1 else 'days'}")
        await self._services.compute(work, plan.answers, self._known)
        dates = [item.day for item in work.of_batch]
        found = await self._services.ingests(self._symbols, min(dates), max(dates))
        rows = {item: found[item] for item in sorted(work.of_batch) if item in found}
        summary.ingests += rows.values()
        loaded = [item for item, ingest in rows.items() if ingest.status is IngestStatus.LOADED]
        summary.candles += await self._services.candle_count(loaded)
