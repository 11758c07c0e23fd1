"""Loads the days that are missing: fetch by the function, then one batch of many days, as the DAG does.

Used by the `pipeline` command. Every step may be killed and repeated: the plan comes from `ingests`, a stored
file is not fetched again, and a batch replaces what it lands.
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
from bitcoin_pipeline.ingests import FetchStatus, SymbolDay, in_batches, missing_days
from bitcoin_pipeline.names import batch_id
from local.command.cloud import Cloud
from local.command.queries import Ingest, Span, candle_count, ingests

CONCURRENT_FETCHES: Final = 4
"""Well below the 30 requests a second that Bybit tolerates, and enough to fill a line."""

OUTAGE_SECONDS: Final = 120
"""How long a service may be away before the command gives up; the supervisor restarts a dead one in seconds."""

FETCH_TRIES: Final = 2
"""Of a day to which the function answers with an error; it has tried several times itself."""

BATCH_TRIES: Final = 3

_POLL_SECONDS = 0.5

_T = TypeVar("_T")


class BackfillError(RuntimeError):
    """The backfill cannot go on; the message says why and what to do."""


class UnknownSymbolError(BackfillError):
    """The exchange's archive has no such symbol."""


class Progress(Protocol):
    """How a long step is shown."""

    def step(self, title: str, total: int | None) -> None:
        """A step of `total` parts begins; None: it has no parts."""

    def advance(self) -> None:
        """One part is done."""

    def note(self, text: str) -> None:
        """Something the user may wonder about."""


@dataclass(slots=True)
class Summary:
    """What one backfill found and did."""

    planned: list[SymbolDay] = field(default_factory=list)
    not_fetched: dict[SymbolDay, str] = field(default_factory=dict)
    not_published: list[SymbolDay] = field(default_factory=list)
    ingests: list[Ingest] = field(default_factory=list)
    candles: int = 0


def backfill(cloud: Cloud, span: Span, progress: Progress, *, again: bool = False) -> Summary:
    """Load the days of `span` that `ingests` lacks, or with `again` all of them.

    Raises UnknownSymbolError, and BackfillError when a service stays away or a batch fails again and again.
    A day that fails does not raise, nor keep the others from being loaded: its reason is in the summary.
    """
    known = {} if again else {item: ingest.status for item, ingest in ingests(cloud, span).items()}
    summary = Summary(planned=missing_days(span.symbol, span.start, span.end, known))
    settings = cloud.backfill_settings()
    for items in in_batches(summary.planned, DAYS_PER_BATCH):
        fetched = _fetch_all(cloud, settings.fetch_archive_url, items, summary.not_fetched, progress)
        summary.not_published += [item for item, status in fetched.items() if status is FetchStatus.NOT_PUBLISHED]
        load = sorted(item for item, status in fetched.items() if status.landed)
        no_trades = sorted(item for item, status in fetched.items() if status is FetchStatus.NO_TRADES)
        if load or no_trades:
            _run_batch(cloud, settings.candles_batch_job(cloud.settings), load, no_trades, progress)
    summary.not_published.sort()
    if summary.planned:
        now = ingests(cloud, span)
        summary.ingests = [now[item] for item in summary.planned if item in now and item not in summary.not_fetched]
        loaded = [ingest.item.day for ingest in summary.ingests]
        summary.candles = candle_count(cloud, span, loaded)
    return summary


class _Pause:
    """A time until which no worker may ask the exchange: one worker's ban is everybody's."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def extend(self, seconds: float) -> None:
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def wait(self) -> None:
        """Return when the pause is over. Raises BackfillError when the whole backfill is."""
        while (seconds := self._until - time.monotonic()) > 0 and not self._stopped.wait(seconds):
            pass
        if self._stopped.is_set():
            raise BackfillError("the backfill has ended")

    def stop(self) -> None:
        """Let nobody go on."""
        self._stopped.set()


class _DayError(Exception):
    """One day cannot be fetched now; the others can."""


def _fetch_all(
    cloud: Cloud, url: str, items: list[SymbolDay], not_fetched: dict[SymbolDay, str], progress: Progress
) -> dict[SymbolDay, FetchStatus]:
    """What became of every day that could be asked for; the others go to `not_fetched` with their reason."""
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
    finally:
        # Whoever interrupts must not wait for downloads that nobody wants any more.
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
            progress.note(f"the exchange asks to wait; going on in {seconds:.0f} s")
            pause.extend(seconds)
        elif answer.status_code < requests.codes.internal_server_error or (tries := tries + 1) == FETCH_TRIES:
            break
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise BackfillError(f"fetch_archive refuses this caller: {answer.status_code}: {_error_of(answer)}")
    if not answer.ok:
        raise _DayError(f"fetch_archive answers {answer.status_code}: {_error_of(answer)}")
    status = FetchStatus(answer.json()["status"])
    if status is FetchStatus.UNKNOWN_SYMBOL:
        raise UnknownSymbolError(f"the exchange's archive has no symbol {item.symbol}")
    return status


def _run_batch(
    cloud: Cloud, job: CandlesJob, load: list[SymbolDay], no_trades: list[SymbolDay], progress: Progress
) -> None:
    from google.cloud.dataproc_v1 import Batch

    progress.step(f"computing candles of {len(load)} {'day' if len(load) == 1 else 'days'}", None)
    for attempt in range(1, BATCH_TRIES + 1):
        name = batch_id("candles", uuid.uuid4().hex[:12])
        batch = _finished_batch(cloud, name, candles_batch(job, name, load, no_trades))
        if batch.state == Batch.State.SUCCEEDED:
            return
        progress.note(f"batch {name} {batch.state.name.lower()}: {batch.state_message} (try {attempt})")
    raise BackfillError(f"the batch failed {BATCH_TRIES} times; its output: {batch.runtime_info.output_uri}")


def _finished_batch(cloud: Cloud, name: str, description: dict[str, Any]) -> Any:
    """The batch `name`, created if it is not there yet, once it has ended."""
    from google.api_core import exceptions
    from google.cloud.dataproc_v1 import Batch

    parent = f"projects/{cloud.settings.project}/locations/{cloud.settings.region}"
    client = cloud.batches()
    request = {"parent": parent, "batch_id": name, "batch": description, "request_id": str(uuid.uuid4())}

    def create() -> None:
        # When an earlier try has arrived after all, the name exists: it is ours alone.
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
        # It would go on alone, and be paid for.
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
        raise BackfillError(f"{what} does not answer well for {OUTAGE_SECONDS} s: {error.cause}") from error


def _error_of(answer: Any) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return str(answer.text[:200])
