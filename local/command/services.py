"""The calls of a backfill to Google's services, each of which runs in a thread while others go on.

Imported by `local.command.data`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from bitcoin_pipeline import schemas
from bitcoin_pipeline.batches import candles_batch, candles_batch_id, manifest_json, manifest_object, manifest_of
from bitcoin_pipeline.ingests import BatchDays, Fetched, Ingest, Recorded, SymbolDay
from local.command.backfill import Limits
from local.command.batch_runs import run_batch, wait_until_ended
from local.command.cloud import Cloud
from local.command.queries import candle_count, ingests
from local.command.steps import Progress, through_outages

if TYPE_CHECKING:
    import requests

_T = TypeVar("_T")

_CALL_TIMEOUTS_S = (10, schemas.function_timeout_s("fetch_archive") + 30)
"""Time limits to connect to the function and to wait for its answer, which comes within the function's own limit."""

_OTHER_THREADS = 4
"""Threads beside those of concurrent fetches: for queries and for the batch."""


class CloudServices:
    """The `local.command.backfill.Services` of Google Cloud or of a stack; a context manager.

    At its end it does not wait for calls whose results are not used.
    """

    def __init__(self, cloud: Cloud, progress: Progress) -> None:
        self._cloud = cloud
        self._progress = progress
        self._settings = cloud.backfill_settings()
        self._threads = ThreadPoolExecutor(self._settings.concurrent_fetches + _OTHER_THREADS)

    def __enter__(self) -> CloudServices:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def limits(self) -> Limits:
        """See local.command.backfill.Services."""
        settings = self._settings
        return Limits(settings.requests_per_second, settings.concurrent_fetches, settings.days_per_batch)

    async def ingests(self, symbols: Sequence[str], start: dt.date, end: dt.date) -> dict[SymbolDay, Ingest]:
        """See local.command.backfill.Services."""
        return await self._in_thread(lambda: ingests(self._cloud, symbols, start, end))

    async def candle_count(self, loaded: Collection[SymbolDay]) -> int:
        """See local.command.backfill.Services."""
        return await self._in_thread(lambda: candle_count(self._cloud, loaded))

    async def call(self, body: dict[str, Any]) -> requests.Response:
        """See local.command.backfill.Services."""
        import requests

        passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
        url = self._settings.fetch_archive_url

        def post() -> requests.Response:
            headers = {"Authorization": f"Bearer {self._cloud.id_token(url)}"}
            return requests.post(url, json=body, headers=headers, timeout=_CALL_TIMEOUTS_S)

        return await self._in_thread(lambda: through_outages("fetch_archive", post, passing))

    async def ended(self, batch_id: str) -> None:
        """See local.command.backfill.Services."""
        await self._in_thread(lambda: wait_until_ended(self._cloud, batch_id, self._progress))

    async def compute(
        self, work: BatchDays, answers: Mapping[SymbolDay, Fetched], known: Mapping[SymbolDay, Recorded]
    ) -> None:
        """See local.command.backfill.Services."""
        job = self._settings.batch_job()
        symbols = sorted({item.symbol for item in work.of_batch})
        dates = [item.day for item in work.of_batch]

        def is_recorded() -> bool:
            rows = ingests(self._cloud, symbols, min(dates), max(dates))
            return all(item in rows and rows[item].recorded != known.get(item) for item in work.of_batch)

        def description(name: str) -> dict[str, Any]:
            from bitcoin_pipeline.adapters.arrow import write_object

            manifest = manifest_json(manifest_of(work, answers))
            path = f"{job.staging}/{manifest_object(name)}"
            through_outages("Cloud Storage", lambda: write_object(self._cloud.lake(), path, manifest), (OSError,))
            return candles_batch(job, name, len(work.load))

        def batch_id(attempt: int) -> str:
            return candles_batch_id(work, answers, known, attempt)

        await self._in_thread(lambda: run_batch(self._cloud, batch_id, description, is_recorded, self._progress))

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
