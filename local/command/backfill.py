"""Loads the days that are missing: the function fetches their files, then one batch computes the candles of many days.

Imported by `local.command.data`. Every step may be killed and repeated: the plan comes from `ingests`, a stored file is
not fetched again, a batch that is left running is waited for, and it replaces the days that it loads.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bitcoin_pipeline.batches import (
    DAYS_PER_BATCH,
    candles_batch,
    candles_batch_id,
    manifest_json,
    manifest_object,
    manifest_of,
)
from bitcoin_pipeline.ingests import (
    BatchDays,
    Fetched,
    IngestStatus,
    Recorded,
    SymbolDay,
    batch_days,
    in_batches,
    missing_days,
)
from local.command.batch_runs import run_batch
from local.command.cloud import Cloud
from local.command.fetching import fetch_all
from local.command.queries import Ingest, candle_count, ingests
from local.command.steps import Progress, through_outages

if TYPE_CHECKING:
    import requests


@dataclass(slots=True)
class Summary:
    """The outcome of one backfill.

    `ingests`: the rows that its batches wrote; `candles`: number of candles of the days that they loaded. `unchanged`:
    days that are settled and whose files are the same. `still_failed`: the rows of days that failed before and whose
    files are the same, so that they were not computed again.
    """

    planned: list[SymbolDay] = field(default_factory=list)
    not_fetched: dict[SymbolDay, str] = field(default_factory=dict)
    not_published: list[SymbolDay] = field(default_factory=list)
    unchanged: list[SymbolDay] = field(default_factory=list)
    still_failed: list[Ingest] = field(default_factory=list)
    ingests: list[Ingest] = field(default_factory=list)
    candles: int = 0


class Backfill:
    """The backfill of the days from `start` to `end`, both included, of some symbols."""

    def __init__(self, cloud: Cloud, symbols: Sequence[str], start: dt.date, end: dt.date, progress: Progress) -> None:
        self._cloud = cloud
        self._symbols = symbols
        self._start = start
        self._end = end
        self._progress = progress
        self._settings = cloud.backfill_settings()
        self._ingests: dict[SymbolDay, Ingest] = {}
        self._known: dict[SymbolDay, Recorded] = {}

    def run(self, *, again: bool = False) -> Summary:
        """Load the days that `ingests` lacks or has as failed, and with `again` those whose files have changed.

        A day that failed is computed again when its file has changed, and with `again` in any case. Raises
        UnknownSymbolError, and BackfillError when a service does not answer or a batch fails repeatedly. A day that
        fails does not raise and does not keep the others from being loaded; its reason is in the summary.
        """
        self._ingests = ingests(self._cloud, self._symbols, self._start, self._end)
        self._known = {item: ingest.recorded for item, ingest in self._ingests.items()}
        missing_of = {} if again else self._known
        plan = [item for symbol in self._symbols for item in missing_days(symbol, self._start, self._end, missing_of)]
        summary = Summary(planned=plan)
        for items in in_batches(plan, self._start, DAYS_PER_BATCH, len(self._symbols)):
            fetched = fetch_all(self._call, items, self._progress)
            summary.not_fetched |= fetched.not_fetched
            days = batch_days(fetched.answers, self._known, again=again)
            summary.not_published += days.not_published
            summary.unchanged += days.unchanged
            summary.still_failed += (self._ingests[item] for item in days.still_failed)
            if days.of_batch:
                self._load(days, fetched.answers)
                rows = self._rows_of(days)
                summary.ingests += rows.values()
                loaded = [item for item, ingest in rows.items() if ingest.status is IngestStatus.LOADED]
                summary.candles += candle_count(self._cloud, loaded)
        return summary

    def _load(self, days: BatchDays, fetched: dict[SymbolDay, Fetched]) -> None:
        job = self._settings.candles_batch_job(self._cloud.settings)
        count = len(days.load)
        self._progress.step(f"computing candles of {count} {'day' if count == 1 else 'days'}", None)

        def is_recorded() -> bool:
            rows = self._rows_of(days)
            return all(item in rows and rows[item].recorded != self._known.get(item) for item in days.of_batch)

        def description(name: str) -> dict[str, Any]:
            from bitcoin_pipeline.adapters.arrow import write_object

            manifest = manifest_json(manifest_of(days, fetched))
            path = f"{job.staging}/{manifest_object(name)}"
            through_outages("Cloud Storage", lambda: write_object(self._cloud.lake(), path, manifest), (OSError,))
            return candles_batch(job, name, len(days.load))

        run_batch(
            self._cloud,
            lambda attempt: candles_batch_id(days, fetched, self._known, attempt),
            description,
            is_recorded,
            self._progress,
        )

    def _rows_of(self, days: BatchDays) -> dict[SymbolDay, Ingest]:
        """The present rows of `ingests` of the days of a batch."""
        dates = [item.day for item in days.of_batch]
        rows = ingests(self._cloud, self._symbols, min(dates), max(dates))
        return {item: rows[item] for item in sorted(days.of_batch) if item in rows}

    def _call(self, item: SymbolDay) -> requests.Response:
        """The response of the function to the request for one day."""
        import requests

        url = self._settings.fetch_archive_url
        return requests.post(
            url,
            json={"symbol": item.symbol, "date": item.day.isoformat()},
            headers={"Authorization": f"Bearer {self._cloud.id_token(url)}"},
            timeout=(10, 3600),  # the function's own limit
        )
