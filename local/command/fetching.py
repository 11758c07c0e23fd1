"""The first step of a backfill: the function `fetch_archive` copies the files of days into the lake.

Imported by `local.command.backfill`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bitcoin_pipeline.answers import exchange_ban_s
from bitcoin_pipeline.backoff import backoff_us
from bitcoin_pipeline.ingests import Fetched, FetchStatus, SymbolDay, parse_fetched
from bitcoin_pipeline.times import SECOND_US
from local.command.steps import BackfillError, Progress, through_outages

if TYPE_CHECKING:
    import requests

CONCURRENT_FETCHES: Final = 4
"""Number of concurrent downloads: far below the 30 requests a second that Bybit permits, and enough for any link."""

FAILURES: Final = 2
"""Number of calls for a day that the function, after retries of its own, answers with a retryable failure."""

PLATFORM_FAILURES: Final = 6
"""Number of calls for a day that a server in front of the function answers with an error, within half a minute."""

REFUSALS: Final = 12
"""Number of calls for a day that a server in front of the function refuses with 429, within five minutes."""

_LONGEST_PAUSE_US: Final = 60 * SECOND_US


@dataclass(slots=True)
class FetchedDays:
    """The answers for days; `not_fetched`: the reasons of the days for which there is no answer."""

    answers: dict[SymbolDay, Fetched]
    not_fetched: dict[SymbolDay, str]


class Pause:
    """A time until which no worker may send requests, since the exchange bans the address that all of them share."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def extend(self, seconds: float) -> None:
        """Let no worker send a request in the next `seconds`."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def wait(self, seconds: float = 0) -> None:
        """Return after `seconds` and at the end of the pause. Raises BackfillError after the end of the backfill."""
        self._stopped.wait(seconds)
        while (left := self._until - time.monotonic()) > 0 and not self._stopped.wait(left):
            pass
        if self._stopped.is_set():
            raise BackfillError("the backfill has ended")

    def stop(self) -> None:
        """End the backfill for every worker."""
        self._stopped.set()


class DayError(Exception):
    """One day cannot be fetched; the message contains the reason. The other days are not affected."""


Call = Callable[[SymbolDay], "requests.Response"]
"""Sends the request for one day. Raises requests.RequestException."""


def fetch_all(call: Call, items: Iterable[SymbolDay], progress: Progress) -> FetchedDays:
    """The answer for every day, or the reason why there is none.

    An unknown symbol ends the downloads, and then there are answers for some days only. Raises BackfillError when no
    day can be fetched.
    """
    items = list(items)
    progress.step("fetching files", len(items))
    pause = Pause()
    days = FetchedDays({}, {})
    pool = ThreadPoolExecutor(CONCURRENT_FETCHES)
    futures = {pool.submit(fetch, call, item, pause, progress): item for item in items}
    try:
        for future in as_completed(futures):
            item = futures[future]
            try:
                days.answers[item] = future.result()
            except DayError as error:
                days.not_fetched[item] = str(error)
            progress.advance()
            if item in days.answers and days.answers[item].status is FetchStatus.UNKNOWN_SYMBOL:
                break
    finally:
        # After an interrupt the command must not wait for downloads whose results are not used.
        pause.stop()
        pool.shutdown(wait=False, cancel_futures=True)
    return days


def fetch(call: Call, item: SymbolDay, pause: Pause, progress: Progress) -> Fetched:
    """The answer of the function for one day, after retries with growing pauses.

    Only the function's own answer reports a ban of the exchange, which pauses every worker. Raises DayError, and
    BackfillError when the function is out of reach or refuses this caller.
    """
    import requests

    passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    failures = platform_failures = 0
    seconds = 0.0
    while True:
        pause.wait(seconds)
        response = through_outages("fetch_archive", lambda: call(item), passing)
        status, body = response.status_code, own_answer(response)
        if body is None:
            platform_failures += 1
            message = f"fetch_archive answers {status}: {response.text[:200].strip()}"
            _judge_platform_failure(status, platform_failures, message)
            seconds = _pause_s(platform_failures)
        elif response.ok:
            return _parsed(body)
        elif (ban_s := exchange_ban_s(body)) is not None:
            progress.note(f"the exchange demands a pause; going on in {ban_s} s")
            pause.extend(ban_s)
            seconds = 0
        else:
            failures += 1
            if status != requests.codes.service_unavailable or failures == FAILURES:
                raise DayError(f"fetch_archive answers {status}: {body['error']}")
            seconds = _pause_s(failures)


def own_answer(response: requests.Response) -> dict[str, Any] | None:
    """The JSON object that the function itself sends; None for a response of a server in front of it."""
    try:
        body = response.json()
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    return body if isinstance(body.get("status" if response.ok else "error"), str) else None


def _parsed(body: dict[str, Any]) -> Fetched:
    try:
        return parse_fetched(body)
    except ValueError as error:
        raise DayError(f"fetch_archive is of another version than this command: {error}") from error


def _judge_platform_failure(status: int, count: int, message: str) -> None:
    """Return when the request may be repeated after the failure of that number. Raises BackfillError and DayError."""
    import requests

    codes = requests.codes
    if status in (codes.unauthorized, codes.forbidden):
        raise BackfillError(f"fetch_archive refuses this caller: {message}")
    if status == codes.too_many_requests:
        if count == REFUSALS:
            raise BackfillError(f"no instance of fetch_archive is free: {message}")
    elif codes.bad_request <= status < codes.internal_server_error or count == PLATFORM_FAILURES:
        raise DayError(message)


def _pause_s(failures: int) -> float:
    return backoff_us(failures - 1, 2 * SECOND_US, _LONGEST_PAUSE_US, random.random) / SECOND_US
