"""One stack with Airflow for all tests of this folder, and the runs that go on in it at the same time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from tests.support import daily
from tests.support.airflow import EMULATOR, AirflowStack
from tests.support.subscription import Subscription

FIRST = dt.date(2024, 7, 1)
"""The first day of a backfill, of which two days are loaded."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    variables = {"PIPELINE_ARCHIVE_POLL_SECONDS": "3", "PIPELINE_TASK_RETRY_SECONDS": "3"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with AirflowStack(tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("archive")) as started:
            yield started


@pytest.fixture(scope="session")
def events(stack: AirflowStack) -> Subscription | None:
    """What is published from the first run on; None without an emulator of Pub/Sub."""
    return Subscription(stack.running.stack, "all") if EMULATOR else None


@pytest.fixture(scope="session")
def runs(stack: AirflowStack, events: Subscription | None) -> dict[str, str]:
    """Every run by its name, all of them begun."""
    for case in (daily.PUBLISHED, daily.BAD):
        case.publish(stack.archive)
    for offset in range(2):
        day = FIRST + dt.timedelta(days=offset)
        daily.publish(stack.archive, "BTCUSDT", day, daily.traded("BTCUSDT", day))
    return {
        "later": stack.daily(daily.LATER.day),
        "two days": stack.backfill(FIRST, FIRST + dt.timedelta(days=1), "BTCUSDT"),
        "published": stack.daily(daily.PUBLISHED.day),
        "empty": stack.daily(daily.EMPTY.day),
        "bad": stack.daily(daily.BAD.day),
        "never": stack.daily(daily.NEVER.day),
    }
