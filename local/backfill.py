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

from bitcoin_pipeline.batches import DAYS_PER_BATCH, candles_batch
from bitcoin_pipeline.ingests import FetchStatus, SymbolDay, in_batches, missing_days
from bitcoin_pipeline.names import batch_id
from local.cloud import Cloud
from local.queries import Ingest, Span, candle_count, ingests

CONCURRENT_FETCHES: Final = 4
"""Well below the 30 requests a second that Bybit tolerates, and enough to fill a line."""

OUTAGE_SECONDS: Final = 120
"""How long a service may be away before the command gives up; the supervisor restarts a dead one in seconds."""

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
    not_published: list[SymbolDay] = field(default_factory=list)
    ingests: list[Ingest] = field(default_factory=list)
    candles: int = 0


def backfill(cloud: Cloud, span: Span, progress: Progress) -> Summary:
    """Load the days of `span` that `ingests` lacks.

    Raises UnknownSymbolError, and BackfillError when a service stays away or a batch fails again and again.
    A day that fails does not raise: its reason is in the summary.
    """
    known = {item: ingest.status for item, ingest in ingests(cloud, span).items()}
    summary = Summary(planned=missing_days(span.symbol, span.start, span.end, known))
    for items in in_batches(summary.planned, DAYS_PER_BATCH):
        fetched = _fetch_all(cloud, items, progress)
        summary.not_published += [item for item in items if fetched[item] is FetchStatus.NOT_PUBLISHED]
        load = [item for item in items if fetched[item].landed]
        no_trades = [item for item in items if fetched[item] is FetchStatus.NO_TRADES]
        if load or no_trades:
            _run_batch(cloud, load, no_trades, progress)
    if summary.planned:
        now = ingests(cloud, span)
        summary.ingests = [now[item] for item in summary.planned if item in now]
        loaded = [ingest.item.day for ingest in summary.ingests]
        summary.candles = candle_count(cloud, span, loaded)
    return summary


class _Pause:
    """A time until which no worker may ask the exchange: one worker's ban is everybody's."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def extend(self, seconds: float) -> None:
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def wait(self) -> None:
        while (seconds := self._until - time.monotonic()) > 0:
            time.sleep(seconds)


def _fetch_all(cloud: Cloud, items: list[SymbolDay], progress: Progress) -> dict[SymbolDay, FetchStatus]:
    progress.step("fetching files", len(items))
    token, pause = cloud.id_token(), _Pause()
    statuses: dict[SymbolDay, FetchStatus] = {}
    with ThreadPoolExecutor(CONCURRENT_FETCHES) as pool:
        futures = {pool.submit(_fetch, cloud, token, item, pause, progress): item for item in items}
        try:
            for future in as_completed(futures):
                statuses[futures[future]] = future.result()
                progress.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return statuses


def _fetch(cloud: Cloud, token: str, item: SymbolDay, pause: _Pause, progress: Progress) -> FetchStatus:
    import requests

    def post() -> requests.Response:
        answer = requests.post(
            cloud.settings.fetch_archive_url,
            json={"symbol": item.symbol, "date": item.day.isoformat()},
            headers={"Authorization": f"Bearer {token}"},
            timeout=(10, 3600),  # the function's own limit
        )
        if answer.status_code >= requests.codes.internal_server_error:
            raise requests.HTTPError(f"{answer.status_code}: {_error_of(answer)}")
        return answer

    while True:
        pause.wait()
        answer = _through_outages(f"fetch_archive for {item}", post, requests.RequestException)
        if answer.status_code != requests.codes.too_many_requests:
            break
        seconds = float(answer.headers.get("Retry-After", 60))
        progress.note(f"the exchange asks to wait; going on in {seconds:.0f} s")
        pause.extend(seconds)
    if not answer.ok:
        raise BackfillError(f"fetch_archive refuses {item}: {answer.status_code}: {_error_of(answer)}")
    status = FetchStatus(answer.json()["status"])
    if status is FetchStatus.UNKNOWN_SYMBOL:
        raise UnknownSymbolError(f"the exchange's archive has no symbol {item.symbol}")
    return status


def _run_batch(cloud: Cloud, load: list[SymbolDay], no_trades: list[SymbolDay], progress: Progress) -> None:
    from google.cloud.dataproc_v1 import Batch

    progress.step(f"computing candles of {len(load)} days", None)
    for attempt in range(1, BATCH_TRIES + 1):
        name = batch_id("candles", uuid.uuid4().hex[:12])
        batch = _finished_batch(cloud, name, candles_batch(cloud.settings.candles_batch_job, name, load, no_trades))
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
    while True:
        batch = _through_outages(
            "Dataproc",
            lambda: client.get_batch(name=f"{parent}/batches/{name}", timeout=30),
            exceptions.ServiceUnavailable,
            exceptions.DeadlineExceeded,
        )
        if batch.state in ended:
            return batch
        time.sleep(_POLL_SECONDS)


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
