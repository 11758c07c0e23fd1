"""Settings of the whole test suite, and what its tests share; pytest imports it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.live import LivePath

# The same examples on every run, and no deadline per example: a busy machine is no fault of the code.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

# A shell that starts tests in the background has it ignored, and whatever they start would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def live_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePath]:
    """Kafka, Flink and Postgres, started once for all tests: it takes half a minute."""
    from tests.support.live import LivePath  # noqa: PLC0415  # only where it is used

    with LivePath(tmp_path_factory.mktemp("live")) as running:
        yield running
