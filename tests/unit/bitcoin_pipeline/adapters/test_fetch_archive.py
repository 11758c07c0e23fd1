"""The calls of `fetch_archive`: which responses are the function's own, and what the command does after each."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import Any

import pytest
import requests

from bitcoin_pipeline.adapters.fetch_archive import FAILURES, PLATFORM_FAILURES, REFUSALS, Fetcher, FetchError
from bitcoin_pipeline.ingests import Fetched, FetchStatus, SymbolDay
from bitcoin_pipeline.listings import DayRequest, ListedFile, Listing, ListingRequest
from bitcoin_pipeline.planning import BackfillError
from tests.support.virtual_time import run

ITEM = SymbolDay("BTCUSDT", dt.date(2024, 1, 1))
STORED = (200, json.dumps({"status": "stored", "sha256": "s-1", "etag": "e-1", "generation": 7}))
FETCHED = Fetched(FetchStatus.STORED, "s-1", "e-1", "7")
BAN = (429, '{"error": "the exchange bans this address for another 60 s", "exchange_ban_s": 60}')
NO_INSTANCE = (429, "Rate exceeded.")
UNAVAILABLE = (503, "<html>The service you requested is not available yet.</html>")
OWN_FAILURE = (503, '{"error": "the exchange answers 500"}')


def response(status: int, body: str) -> requests.Response:
    found = requests.Response()
    found.status_code = status
    found._content = body.encode()
    return found


class Silent:
    """Progress that only keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def step(self, title: str, total: int | None) -> None: ...

    def advance(self, title: str, count: int = 1) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


class Function:
    """A function that gives these answers, the last one for ever, each after `seconds`; `calls`: times and bodies."""

    def __init__(self, *answers: tuple[int, str], seconds: float = 0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.calls: list[tuple[float, dict[str, Any]]] = []
        self.progress = Silent()
        self.running = self.most_running = 0

    async def __call__(self, body: dict[str, Any]) -> requests.Response:
        self.calls.append((asyncio.get_running_loop().time(), body))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        return response(*(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]))

    @property
    def times(self) -> list[float]:
        return [round(time, 6) for time, _ in self.calls]

    def fetcher(self, per_second: float = 20, concurrent: int = 48) -> Fetcher:
        return Fetcher(self, per_second, concurrent, self.progress.note)

    def fetched(self) -> Fetched:
        """The outcome of a fetch of one day, in virtual time."""
        return run(self.fetcher().day(DayRequest(ITEM)))


def test_only_the_function_s_own_429_is_a_ban_of_the_exchange() -> None:
    banned = Function(BAN, STORED)
    assert banned.fetched() == FETCHED
    assert banned.times == [0, 60]
    assert banned.progress.notes == ["the exchange demands a pause; going on in 60 s"]

    refused = Function(NO_INSTANCE, NO_INSTANCE, NO_INSTANCE, STORED)
    assert refused.fetched() == FETCHED
    first, second, third = (after - before for before, after in zip(refused.times, refused.times[1:], strict=False))
    assert 1 <= first <= 2 <= second <= 4 <= third <= 8
    assert refused.progress.notes == []


def test_a_platform_that_never_has_an_instance_ends_the_backfill() -> None:
    function = Function(NO_INSTANCE)
    with pytest.raises(BackfillError, match=r"no instance of fetch_archive is free: .* 429: Rate exceeded"):
        function.fetched()
    assert len(function.calls) == REFUSALS
    assert 200 < function.times[-1] < 600


@pytest.mark.parametrize(
    "answer", [UNAVAILABLE, (500, ""), (504, "upstream request timeout"), (200, "<html>"), (200, "[]")]
)
def test_an_error_of_the_platform_is_passing(answer: tuple[int, str]) -> None:
    function = Function(answer, answer, STORED)
    assert function.fetched() == FETCHED
    assert 1 <= function.times[1] <= function.times[2] - 1


def test_an_error_of_the_platform_that_lasts_costs_one_day() -> None:
    function = Function(UNAVAILABLE)
    with pytest.raises(FetchError, match="fetch_archive answers 503: <html>The service"):
        function.fetched()
    assert len(function.calls) == PLATFORM_FAILURES


def test_the_function_s_own_failure_that_lasts_costs_one_day() -> None:
    assert Function(OWN_FAILURE, OWN_FAILURE, OWN_FAILURE, STORED).fetched() == FETCHED
    function = Function(OWN_FAILURE)
    with pytest.raises(FetchError, match="fetch_archive answers 503: the exchange answers 500"):
        function.fetched()
    assert len(function.calls) == FAILURES


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((502, '{"error": "the exchange answers 410"}'), "fetch_archive answers 502: the exchange answers 410"),
        ((404, "<html>Page not found"), "fetch_archive answers 404: <html>Page not found"),
        ((200, '{"status": "vanished"}'), "fetch_archive is of another version than this command: 'vanished'"),
    ],
)
def test_an_answer_that_another_call_does_not_change(answer: tuple[int, str], message: str) -> None:
    function = Function(answer)
    with pytest.raises(FetchError, match=message):
        function.fetched()
    assert len(function.calls) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_caller_without_permission_ends_the_backfill(status: int) -> None:
    with pytest.raises(BackfillError, match=f"refuses this caller: fetch_archive answers {status}: <html>"):
        Function((status, "<html>")).fetched()


def days(count: int, file: ListedFile | None = None) -> list[DayRequest]:
    return [DayRequest(SymbolDay("BTCUSDT", ITEM.day + dt.timedelta(days=number)), file) for number in range(count)]


FILE = ListedFile("2a2ed0f1a9d5ab1c0a53b3eeb0b7cd2d", 7)


async def all_days(fetcher: Fetcher, requests: list[DayRequest]) -> list[Fetched]:
    return list(await asyncio.gather(*map(fetcher.day, requests)))


def test_all_calls_together_keep_the_pace() -> None:
    function = Function(STORED, seconds=1)
    run(all_days(function.fetcher(per_second=20), days(100, FILE)))
    assert function.times == [round(number / 20, 6) for number in range(100)]
    assert function.calls[1][1] == {"symbol": "BTCUSDT", "date": "2024-01-02", "etag": FILE.etag, "size": 7}


def test_a_day_without_a_listed_version_counts_as_two_requests() -> None:
    function = Function(STORED)
    run(all_days(function.fetcher(per_second=20), days(4)))
    assert function.times == [0, 0.1, 0.2, 0.3]


def test_no_more_calls_than_allowed_are_sent_at_a_time() -> None:
    function = Function(STORED, seconds=1)
    run(all_days(function.fetcher(per_second=30, concurrent=5), days(20, FILE)))
    assert function.most_running == 5


# call   0    1    2    3    4 ...   every 0.05 s; the first answer, after 0.12 s, is a ban of 60 s
#        |-------------x pause ............ the next calls of all days after 60.12 s, at the same pace
def test_a_ban_pauses_every_call() -> None:
    function = Function(BAN, STORED, seconds=0.12)
    assert run(all_days(function.fetcher(per_second=20), days(6, FILE))) == [FETCHED] * 6
    assert function.times[:3] == [0, 0.05, 0.1]
    assert all(time >= 60.12 for time in function.times[3:])
    assert len(function.calls) == 7
    gaps = [after - before for before, after in zip(function.times[3:], function.times[4:], strict=False)]
    assert min(gaps) >= 0.05 - 1e-6
    assert function.progress.notes == ["the exchange demands a pause; going on in 60 s"]


def test_a_listing() -> None:
    body = {
        "symbol": "BTCUSDT",
        "status": "listed",
        "answers": [{"date": "2024-01-01", "status": "no_trades"}],
        "files": {"2024-01-02": {"etag": FILE.etag, "size": 7}},
    }
    function = Function(OWN_FAILURE, (200, json.dumps(body)))
    request = ListingRequest("BTCUSDT", ITEM.day, dt.date(2024, 1, 2))
    expected = Listing({ITEM: Fetched(FetchStatus.NO_TRADES)}, {SymbolDay("BTCUSDT", request.end): FILE})
    assert run(function.fetcher().listing(request)) == expected
    assert function.calls[0][1] == {"symbol": "BTCUSDT", "start": "2024-01-01", "end": "2024-01-02"}
    unknown = Function((200, '{"symbol": "BTCUSDT", "status": "unknown_symbol"}'))
    assert run(unknown.fetcher().listing(request)) is None
