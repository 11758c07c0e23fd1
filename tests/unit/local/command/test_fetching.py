"""The calls of `fetch_archive`: which responses are the function's own, and what the command does after each."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator

import pytest
import requests

from bitcoin_pipeline.ingests import Fetched, FetchStatus, SymbolDay
from local.command.fetching import PLATFORM_FAILURES, REFUSALS, DayError, Pause, fetch, fetch_all
from local.command.steps import BackfillError

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


class Recorded(Pause):
    """A pause that passes at once. `waits`: the seconds of each wait; `bans`: those of each ban."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.bans: list[float] = []

    def extend(self, seconds: float) -> None:
        self.bans.append(seconds)

    def wait(self, seconds: float = 0) -> None:
        self.waits.append(seconds)


class Silent:
    """Progress without output."""

    def step(self, title: str, total: int | None) -> None: ...

    def advance(self) -> None: ...

    def note(self, text: str) -> None: ...


def fetched(pause: Pause, *answers: tuple[int, str]) -> Fetched:
    """The outcome of a fetch to which the function gives these answers, the last one for ever."""

    def each() -> Iterator[tuple[int, str]]:
        yield from answers
        while True:
            yield answers[-1]

    source = each()
    return fetch(lambda _: response(*next(source)), ITEM, pause, Silent())


def test_only_the_function_s_own_429_is_a_ban_of_the_exchange() -> None:
    pause = Recorded()
    assert fetched(pause, BAN, STORED) == FETCHED
    assert (pause.bans, pause.waits) == ([60], [0, 0])

    pause = Recorded()
    assert fetched(pause, NO_INSTANCE, NO_INSTANCE, NO_INSTANCE, STORED) == FETCHED
    assert pause.bans == []
    first, second, third = pause.waits[1:]
    assert 1 <= first <= 2 <= second <= 4 <= third <= 8


def test_a_platform_that_never_has_an_instance_ends_the_backfill() -> None:
    pause = Recorded()
    with pytest.raises(BackfillError, match=r"no instance of fetch_archive is free: .* 429: Rate exceeded"):
        fetched(pause, NO_INSTANCE)
    assert len(pause.waits) == REFUSALS
    assert 200 < sum(pause.waits) < 600


@pytest.mark.parametrize(
    "answer", [UNAVAILABLE, (500, ""), (504, "upstream request timeout"), (200, "<html>"), (200, "[]")]
)
def test_an_error_of_the_platform_is_passing(answer: tuple[int, str]) -> None:
    pause = Recorded()
    assert fetched(pause, answer, answer, STORED) == FETCHED
    assert all(seconds >= 1 for seconds in pause.waits[1:])


def test_an_error_of_the_platform_that_lasts_costs_one_day() -> None:
    pause = Recorded()
    with pytest.raises(DayError, match="fetch_archive answers 503: <html>The service"):
        fetched(pause, UNAVAILABLE)
    assert len(pause.waits) == PLATFORM_FAILURES


def test_the_function_s_own_failure_costs_one_day_after_a_second_call() -> None:
    pause = Recorded()
    assert fetched(pause, OWN_FAILURE, STORED) == FETCHED
    with pytest.raises(DayError, match="fetch_archive answers 503: the exchange answers 500"):
        fetched(pause, OWN_FAILURE)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((502, '{"error": "the exchange answers 410"}'), "fetch_archive answers 502: the exchange answers 410"),
        ((404, "<html>Page not found"), "fetch_archive answers 404: <html>Page not found"),
        ((200, '{"status": "vanished"}'), "fetch_archive is of another version than this command: 'vanished'"),
    ],
)
def test_an_answer_that_another_call_does_not_change(answer: tuple[int, str], message: str) -> None:
    pause = Recorded()
    with pytest.raises(DayError, match=message):
        fetched(pause, answer)
    assert len(pause.waits) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_caller_without_permission_ends_the_backfill(status: int) -> None:
    with pytest.raises(BackfillError, match=f"refuses this caller: fetch_archive answers {status}: <html>"):
        fetched(Recorded(), (status, "<html>"))


def test_a_day_that_fails_does_not_keep_others_from_being_fetched() -> None:
    items = [SymbolDay("BTCUSDT", dt.date(2024, 1, number)) for number in range(1, 10)]
    days = fetch_all(lambda item: response(*(STORED if item != items[3] else (410, "gone"))), items, Silent())
    assert days.answers == dict.fromkeys([*items[:3], *items[4:]], FETCHED)
    assert days.not_fetched == {items[3]: "fetch_archive answers 410: gone"}


def test_an_unknown_symbol_ends_the_downloads() -> None:
    unknown = (200, '{"status": "unknown_symbol"}')
    items = [SymbolDay("NOSUCHUSDT", dt.date(2024, 1, number)) for number in range(1, 31)]
    days = fetch_all(lambda _: response(*unknown), items, Silent())
    assert {answer.status for answer in days.answers.values()} == {FetchStatus.UNKNOWN_SYMBOL}
