"""Retries of calls that fail for a while: which errors are repeated, with which pauses, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from google.api_core import exceptions

from bitcoin_pipeline.planning import BackfillError
from local.command.batch_runs import dataproc_call
from local.command.steps import OUTAGE_S, QUOTA_S, rate_text


class Clock:
    """A clock that only sleeps advance. `sleeps`: their seconds."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "sleep", found.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    return found


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


@pytest.mark.parametrize(
    "kind",
    [
        exceptions.InternalServerError,
        exceptions.Unknown,
        exceptions.Aborted,
        exceptions.ServiceUnavailable,
        exceptions.DeadlineExceeded,
    ],
)
def test_an_outage_is_retried_with_growing_pauses(clock: Clock, kind: type[exceptions.GoogleAPICallError]) -> None:
    errors = [kind("away") for _ in range(5)]
    assert dataproc_call(failing(*errors)) == "done"
    assert clock.sleeps == [0.5, 1, 2, 4, 8]


def test_an_exhausted_quota_waits_longer(clock: Clock) -> None:
    errors = [exceptions.ResourceExhausted("quota") for _ in range(5)]
    assert dataproc_call(failing(*errors)) == "done"
    assert clock.sleeps == [20, 40, 80, 160, 300]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(exceptions.ServiceUnavailable("away"), OUTAGE_S), (exceptions.ResourceExhausted("q"), QUOTA_S)],
)
def test_retries_have_an_end(clock: Clock, error: Exception, seconds: int) -> None:
    with pytest.raises(BackfillError, match=f"Dataproc has failed for {seconds} s: "):
        dataproc_call(failing(*[error] * 1000))
    assert seconds / 2 < clock.now - 1000 <= seconds


@pytest.mark.parametrize("kind", [exceptions.PermissionDenied, exceptions.InvalidArgument, exceptions.AlreadyExists])
def test_an_error_that_another_call_does_not_change_is_raised(
    clock: Clock, kind: type[exceptions.GoogleAPICallError]
) -> None:
    with pytest.raises(kind):
        dataproc_call(failing(kind("no")))
    assert clock.sleeps == []


def test_the_rate_and_the_time_left() -> None:
    assert rate_text(1500, 120_000, 120) == "12.5/s, 2:38:00 left"
    assert rate_text(0, 120_000, 120) == ""
    assert rate_text(10, 10, 2) == "5/s, 0:00:00 left"
