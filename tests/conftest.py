"""Settings of the whole test suite, and the fixtures that its files share; pytest imports it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support import runs
from tests.support.kept import Kept, place_of, rank_of, unit_of

if TYPE_CHECKING:
    from tests.support.live import LivePath

# The same examples in every run, and no deadline per example, as a busy machine is no fault of the code.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

# A shell that starts tests in the background makes them ignore SIGINT, and all processes that they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)


_KEPT = pytest.StashKey[Kept]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which the same tests run on a stack of processes or of containers."""
    parser.addoption("--backing", choices=("process", "container"), default="process", help="how stacks run")


def pytest_configure(config: pytest.Config) -> None:
    """Create the store of what test files share, and name the mode of stacks for `tests.support`."""
    config.stash[_KEPT] = Kept()
    os.environ[runs.BACKING_VARIABLE] = config.getoption("--backing")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist starts its workers
def pytest_sessionstart(session: pytest.Session) -> None:
    """Name this run in the environment of its processes, and end the processes that killed runs have left."""
    if _is_worker(session.config):  # a worker belongs to the run that started it
        return
    os.environ[runs.RUN_VARIABLE] = runs.name_of(os.getpid()) or ""
    runs.unlock_folders()
    _report(session.config, "ended processes that a killed test run had left", runs.end_leftovers())
    if session.config.getoption("--backing") == "container":
        from tests.support.containers import remove_leftovers  # noqa: PLC0415  # needs Docker

        _report(session.config, "removed containers that a killed test run had left", remove_leftovers())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End the processes that this run has left, which are an error unless it was interrupted."""
    if _is_worker(session.config):
        return
    left = runs.end_leftovers(run=os.environ[runs.RUN_VARIABLE])
    interrupted = exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
    _report(session.config, f"{'' if interrupted else 'ERROR: '}ended processes that this test run had left", left)
    if left and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")  # an attribute of pytest-xdist


def _report(config: pytest.Config, what: str, processes: list[str]) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if processes and reporter:
        reporter.ensure_newline()
        reporter.write_line(f"{what} ({len(processes)}):")
        for process in processes:
            reporter.write_line(f"  {process}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests: those of a shared stack in sequence and, where there are workers, long units first."""
    first: dict[str, int] = {}
    for place, item in enumerate(items):
        first.setdefault(unit_of(item.nodeid), place)
    ranked = _is_worker(config)

    def order(item: pytest.Item) -> tuple[int, int, int]:
        unit = unit_of(item.nodeid)
        return rank_of(unit) if ranked else 0, first[unit], place_of(item.nodeid)

    items.sort(key=order)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Distribute whole units over the workers of `pytest -n`."""
    from tests.support.workers import Scheduling  # noqa: PLC0415  # imported only where there are workers

    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)  # after the fixtures of the test
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the kept stack with the last test that shares it, so that it does not idle while other files run."""
    if nextitem is None or unit_of(nextitem.nodeid) != unit_of(item.nodeid):
        item.config.stash[_KEPT].close()


@pytest.fixture(scope="session")
def kept(pytestconfig: pytest.Config) -> Iterator[Kept]:
    """The store of what test files share, one stack at a time."""
    kept = pytestconfig.stash[_KEPT]
    yield kept
    kept.close()  # after an interrupt


@pytest.fixture(scope="module")
def live_path(kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> LivePath:
    """Kafka, Flink and Postgres, started once for all files that need only these, as a start takes half a minute."""
    from tests.support.live import LivePath  # noqa: PLC0415  # imported only where it is used

    return kept.get("live path", lambda: LivePath(tmp_path_factory.mktemp("live")))
