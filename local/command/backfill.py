"""Loads the days that are missing: the function fetches their files, then one batch computes the candles of many days.

Imported by `local.command.data`. Every step may be killed and repeated: the plan comes from `ingests`, a stored file is
not fetched again, and a batch replaces the days that it loads.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from bitcoin_pipeline.batches import DAYS_PER_BATCH, CandlesJob, candles_batch
from bitcoin_pipeline.ingests import BatchDays, FetchStatus, SymbolDay, batch_days, in_batches, missing_days
from bitcoin_pipeline.names import batch_id
from local.command.cloud import Cloud
from local.command.queries import Ingest, Span, candle_count, ingests

CONCURRENT_FETCHES: Final = 4
"""Number of concurrent downloads: far below the 30 requests a second that Bybit permits, and enough for any link."""

OUTAGE_SECONDS: Final = 120
"""Time without an answer after which the command gives up; a supervisor restarts a service within seconds."""

FETCH_TRIES: Final = 2
"""Number of calls for a day to which the function, after retries of its own, answers with a server error."""

BATCH_TRIES: Final = 3

_POLL_SECONDS = 0.5

_T = TypeVar("_T")


class BackfillError(RuntimeError):
    """The backfill cannot go on; the message contains the reason."""


class Progress(Protocol):
    """Shows how far a long step is."""

    def step(self, title: str, total: int | None) -> None:
        """Begin a step of `total` parts; None for a step without parts."""

    def advance(self) -> None:
        """Count one part as done."""

    def note(self, text: str) -> None:
        """Show a line about an event of the step."""


@dataclass(slots=True)
class Summary:
    """The outcome of one backfill; `candles`: number of candles of the days that it loaded."""

    planned: list[SymbolDay] = field(default_factory=list)
    not_fetched: dict[SymbolDay, str] = field(default_factory=dict)
    not_published: list[SymbolDay] = field(default_factory=list)
    ingests: list[Ingest] = field(default_factory=list)
    candles: int = 0


def backfill(cloud: Cloud, span: Span, progress: Progress, *, again: bool = False) -> Summary:
    """Load the days of `span` that `ingests` lacks or has as failed, or with `again` all of them.

    Raises UnknownSymbolError, and BackfillError when a service does not answer or a batch fails repeatedly. A day that
    fails does not raise and does not keep the others from being loaded; its reason is in the summary.
    """
    known = {} if again else {item: ingest.status for item, ingest in ingests(cloud, span).items()}
    summary = Summary(planned=missing_days(span.symbol, span.start, span.end, known))
    settings = cloud.backfill_settings()
    for items in in_batches(summary.planned, DAYS_PER_BATCH):
        fetched = _fetch_all(cloud, settings.fetch_archive_url, items, summary.not_fetched, progress)
        items_of_batch = batch_days(fetched)
        summary.not_published += items_of_batch.not_published
        if items_of_batch.needs_batch:
            _run_batch(cloud, settings.candles_batch_job(cloud.settings), items_of_batch, progress)
    summary.not_published.sort()
    if summary.planned:
        now = ingests(cloud, span)
        summary.ingests = [now[item] for item in summary.planned if item in now and item not in summary.not_fetched]
        loaded = [ingest.item.day for ingest in summary.ingests]
        summary.candles = candle_count(cloud, span, loaded)
    return summary


class _Pause:
    """A time until which no worker may send requests, since the exchange bans the address that all of them share."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def extend(self, seconds: float) -> None:
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def wait(self) -> None:
        """Return at the end of the pause. Raises BackfillError after the end of the backfill."""
        while (seconds := self._until - time.monotonic()) > 0 and not self._stopped.wait(seconds):
            pass
        if self._stopped.is_set():
            raise BackfillError("the backfill has ended")

    def stop(self) -> None:
        """End the backfill for every worker."""
        self._stopped.set()


class _DayError(Exception):
    """One day cannot be fetched; the message contains the reason. The other days are not affected."""


def _fetch_all(
    cloud: Cloud, url: str, items: list[SymbolDay], not_fetched: dict[SymbolDay, str], progress: Progress
) -> dict[SymbolDay, FetchStatus]:
    """The answer for every day; days without one go to `not_fetched` with their reason.

    An unknown symbol ends the downloads, and then there are answers for some days only.
    """
    progress.step("fetching files", len(items))
    pause = _Pause()
    statuses: dict[SymbolDay, FetchStatus] = {}
    pool = ThreadPoolExecutor(CONCURRENT_FETCHES)
    futures = {pool.submit(_fetch, cloud, url, item, pause, progress): item for item in items}
    try:
        for future in as_completed(futures):
            try:
                statuses[futures[future]] = future.result()
            except _DayError as error:
                not_fetched[futures[future]] = str(error)
            progress.advance()
            if statuses.get(futures[future]) is FetchStatus.UNKNOWN_SYMBOL:
                break
    finally:
        # After an interrupt the command must not wait for downloads whose results are not used.
        pause.stop()
        pool.shutdown(wait=False, cancel_futures=True)
    return statuses


def _fetch(cloud: Cloud, url: str, item: SymbolDay, pause: _Pause, progress: Progress) -> FetchStatus:
    import requests

    def post() -> requests.Response:
        return requests.post(
            url,
            json={"symbol": item.symbol, "date": item.day.isoformat()},
            headers={"Authorization": f"Bearer {cloud.id_token(url)}"},
            timeout=(10, 3600),  # the function's own limit
        )

    tries = 0
    while True:
        pause.wait()
        answer = _through_outages("fetch_archive", post, requests.ConnectionError, requests.Timeout)
        if answer.status_code == requests.codes.too_many_requests:
            seconds = float(answer.headers.get("Retry-After", 60))
            progress.note(f"the exchange demands a pause; going on in {seconds:.0f} s")
            pause.extend(seconds)
        elif answer.status_code < requests.codes.internal_server_error or (tries := tries + 1) == FETCH_TRIES:
            break
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise BackfillError(f"fetch_archive refuses this caller: {answer.status_code}: {_error_of(answer)}")
    if not answer.ok:
        raise _DayError(f"fetch_archive answers {answer.status_code}: {_error_of(answer)}")
    return FetchStatus(answer.json()["status"])


def _run_batch(cloud: Cloud, job: CandlesJob, items: BatchDays, progress: Progress) -> None:
    from google.cloud.dataproc_v1 import Batch

    count = len(items.load)
    progress.step(f"computing candles of {count} {'day' if count == 1 else 'days'}", None)
    for attempt in range(1, BATCH_TRIES + 1):
        name = batch_id("candles", uuid.uuid4().hex[:12])
        batch = _finished_batch(cloud, name, candles_batch(job, name, items.load, items.no_trades))
        if batch.state == Batch.State.SUCCEEDED:
            return
        progress.note(f"batch {name} {batch.state.name.lower()}: {batch.state_message} (try {attempt})")
    raise BackfillError(f"the batch failed {BATCH_TRIES} times; its output: {batch.runtime_info.output_uri}")


def _finished_batch(cloud: Cloud, name: str, description: dict[str, Any]) -> Any:
    """The batch `name` once it has ended; it is created if it does not exist."""
    from google.api_core import exceptions
    from google.cloud.dataproc_v1 import Batch

    parent = f"projects/{cloud.settings.project}/locations/{cloud.settings.region}"
    client = cloud.batches()
    request = {"parent": parent, "batch_id": name, "batch": description, "request_id": str(uuid.uuid4())}

    def create() -> None:
        # The name exists when an earlier try has been accepted in spite of its error; it is used by this call only.
        with suppress(exceptions.AlreadyExists):
            client.create_batch(request=request, timeout=30)

    _through_outages("Dataproc", create, exceptions.ServiceUnavailable, exceptions.DeadlineExceeded)
    ended = (Batch.State.SUCCEEDED, Batch.State.FAILED, Batch.State.CANCELLED)
    batch = None
    try:
        while batch is None or batch.state not in ended:
            if batch is not None:
                time.sleep(_POLL_SECONDS)
            batch = _through_outages(
                "Dataproc",
                lambda: client.get_batch(name=f"{parent}/batches/{name}", timeout=30),
                exceptions.ServiceUnavailable,
                exceptions.DeadlineExceeded,
            )
    except KeyboardInterrupt:
        # The batch would go on without the command, and be paid for.
        if batch is not None:
            with suppress(exceptions.GoogleAPICallError):
                client.transport.operations_client.cancel_operation(batch.operation)
        raise
    return batch


def _through_outages(what: str, call: Callable[[], _T], *passing: type[Exception]) -> _T:
    """The result of `call`, repeated while it raises one of `passing`, for at most OUTAGE_SECONDS."""
    from google.api_core import exceptions, retry

    again = retry.Retry(predicate=retry.if_exception_type(*passing), initial=0.25, maximum=5, timeout=OUTAGE_SECONDS)
    try:
        return again(call)()
    except exceptions.RetryError as error:
        raise BackfillError(f"{what} has not answered for {OUTAGE_SECONDS} s: {error.cause}") from error


def _error_of(answer: Any) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return str(answer.text[:200])
