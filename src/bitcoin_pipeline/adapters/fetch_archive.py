"""Paced calls of the function `fetch_archive`, which lists the files of symbols and copies those of days.

Part of the adapters; wraps requests, whose responses it reads.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import requests

from bitcoin_pipeline.answers import exchange_ban_s
from bitcoin_pipeline.backoff import backoff_us
from bitcoin_pipeline.ingests import Fetched, SymbolDay, parse_fetched
from bitcoin_pipeline.listings import DayRequest, Listing, ListingRequest, parse_listing
from bitcoin_pipeline.pace import Pace
from bitcoin_pipeline.planning import BackfillError, Plan
from bitcoin_pipeline.times import SECOND_US

FAILURES: Final = 4
"""Number of calls for a day, or for a listing, that the function answers with a retryable failure."""

PLATFORM_FAILURES: Final = 6
"""Number of calls that a server in front of the function answers with an error, within half a minute."""

REFUSALS: Final = 12
"""Number of calls that a server in front of the function refuses with 429, within five minutes."""

REQUESTS_WITHOUT_VERSION: Final = 2
"""Requests to the archive's host for a day whose listed version is not known: for the file and for its folder."""

_LONGEST_PAUSE_US: Final = 60 * SECOND_US

_T = TypeVar("_T")

Call = Callable[[dict[str, Any]], Awaitable[requests.Response]]
"""The response of the function to a body. Raises BackfillError when the function is out of reach."""


class FetchError(Exception):
    """One day or one listing cannot be had; the message contains the reason. The others are not affected."""


class Fetcher:
    """Calls of the function, at most `concurrent` at a time and at the pace that the exchange bears.

    The pace holds for all instances of the function together: a call with a listed version sends one request to the
    archive's host. A ban of the exchange pauses every call. `note`: takes a line about an event. Methods raise
    FetchError, and BackfillError when the function is out of reach or refuses this caller.
    """

    def __init__(self, call: Call, per_second: float, concurrent: int, note: Callable[[str], None]) -> None:
        self._call = call
        self._pace = Pace(per_second)
        self._slots = asyncio.Semaphore(concurrent)
        self._note = note

    async def listing(self, request: ListingRequest) -> Listing | None:
        """The listing of a symbol's days; None for an unknown symbol."""
        return _parsed(parse_listing, await self._answer(request.as_json(), 0))

    async def day(self, request: DayRequest) -> Fetched:
        """The answer for one day."""
        requests = 1 if request.file else REQUESTS_WITHOUT_VERSION
        return _parsed(parse_fetched, await self._answer(request.as_json(), requests))

    async def list_days(self, plan: Plan) -> None:
        """Request the listings of a plan. A symbol without one is noted: each of its days is requested alone.

        Raises UnknownSymbolError.
        """
        await together(*(self._list(plan, request) for request in plan.listings()))

    async def fetch_days(
        self, plan: Plan, batch: Sequence[SymbolDay], advance: Callable[[], None] = lambda: None
    ) -> None:
        """Fetch the days of a batch that have no answer yet; the plan takes the answers, and reasons of days without.

        `advance`: called after each day.
        """
        await together(*(self._fetch(plan, request, advance) for request in plan.to_fetch(batch)))

    async def _list(self, plan: Plan, request: ListingRequest) -> None:
        try:
            plan.take_listing(request, await self.listing(request))
        except FetchError as error:
            # The function can fetch a day without the listing, if the file is there.
            self._note(f"no listing of {request.symbol}, each day is requested alone: {error}")

    async def _fetch(self, plan: Plan, request: DayRequest, advance: Callable[[], None]) -> None:
        try:
            plan.answers[request.item] = await self.day(request)
        except FetchError as error:
            plan.not_fetched[request.item] = str(error)
        advance()

    async def _answer(self, request: dict[str, Any], requests_of_call: int) -> dict[str, Any]:
        """The body of the function's answer, after retries with growing pauses.

        Only the function's own answer reports a ban of the exchange.
        """
        failures = platform_failures = 0
        async with self._slots:
            while True:
                await self._turn(requests_of_call)
                response = await self._call(request)
                status, body = response.status_code, own_answer(response)
                seconds = 0.0
                if body is None:
                    platform_failures += 1
                    message = f"fetch_archive answers {status}: {response.text[:200].strip()}"
                    _judge_platform_failure(status, platform_failures, message)
                    seconds = _pause_s(platform_failures)
                elif response.ok:
                    return body
                elif (ban_s := exchange_ban_s(body)) is not None:
                    self._ban(ban_s)
                else:
                    failures += 1
                    if status != requests.codes.service_unavailable or failures == FAILURES:
                        raise FetchError(f"fetch_archive answers {status}: {body['error']}")
                    seconds = _pause_s(failures)
                await asyncio.sleep(seconds)

    async def _turn(self, requests: int) -> None:
        """Return when the call may be sent."""
        loop = asyncio.get_running_loop()
        at = -1.0
        while at < 0 or not self._pace.holds(at):
            at = self._pace.reserve(loop.time(), requests)
            await asyncio.sleep(at - loop.time())

    def _ban(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._pace.holds(now):
            self._note(f"the exchange demands a pause; going on in {seconds} s")
        self._pace.pause(now + seconds)


def own_answer(response: requests.Response) -> dict[str, Any] | None:
    """The JSON object that the function itself sends; None for a response of a server in front of it."""
    try:
        body = response.json()
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    return body if isinstance(body.get("status" if response.ok else "error"), str) else None


def _parsed(parse: Callable[[dict[str, Any]], _T], body: dict[str, Any]) -> _T:
    try:
        return parse(body)
    except ValueError as error:
        raise FetchError(f"fetch_archive is of another version than this command: {error}") from error


def _judge_platform_failure(status: int, count: int, message: str) -> None:
    """Return when the request may be repeated after the failure of that number. Raises BackfillError and FetchError."""
    codes = requests.codes
    if status in (codes.unauthorized, codes.forbidden):
        raise BackfillError(f"fetch_archive refuses this caller: {message}")
    if status == codes.too_many_requests:
        if count == REFUSALS:
            raise BackfillError(f"no instance of fetch_archive is free: {message}")
    elif codes.bad_request <= status < codes.internal_server_error or count == PLATFORM_FAILURES:
        raise FetchError(message)


def _pause_s(failures: int) -> float:
    return backoff_us(failures - 1, 2 * SECOND_US, _LONGEST_PAUSE_US, random.random) / SECOND_US


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines at the same time; an error of one, or a cancellation, ends all."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        await end(tasks)


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
