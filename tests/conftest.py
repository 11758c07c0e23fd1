"""Settings of the whole test suite, and what its tests share; pytest imports it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support import runs

if TYPE_CHECKING:
    from tests.support.live import LivePath

# The same examples on every run, and no deadline per example: a busy machine is no fault of the code.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

# A shell that starts tests in the background has it ignored, and whatever they start would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist starts its workers
def pytest_sessionstart(session: pytest.Session) -> None:
    """Name this run to all that it starts, and end what killed runs have left."""
    if _is_worker(session.config):  # it belongs to the run that started it
        return
    os.environ[runs.RUN_VARIABLE] = runs.name_of(os.getpid()) or ""
    runs.unlock_folders()
    _tell(session.config, "ended, left running by a test run that was killed", runs.end_leftovers())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End what this run has left running, which is an error unless it was interrupted."""
    if _is_worker(session.config):
        return
    left = runs.end_leftovers(run=os.environ[runs.RUN_VARIABLE])
    _tell(session.config, "ERROR: left running by the tests, and ended", left)
    if left and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")  # pytest-xdist's


def _tell(config: pytest.Config, what: str, processes: list[str]) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if processes and reporter:
        reporter.ensure_newline()
        for process in processes:
            reporter.write_line(f"{what}: {process}")


@pytest.fixture(scope="session")
def live_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePath]:
    """Kafka, Flink and Postgres, started once for all tests: it takes half a minute."""
    from tests.support.live import LivePath  # noqa: PLC0415  # only where it is used

    with LivePath(tmp_path_factory.mktemp("live")) as running:
        yield running
