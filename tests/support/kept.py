"""Stacks that several test files share because their start is expensive, and which files use which."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final, TypeVar, cast

from tests.support.runs import in_containers

_T = TypeVar("_T")

SHARED: Final = {
    "kills": ("tests/e2e/test_live_kill.py", "tests/e2e/test_kill.py"),
    "played": (
        "tests/e2e/test_live.py",
        "tests/containers/test_running.py",
        "tests/e2e/test_archive_to_candles.py",
        "tests/e2e/test_restart.py",
    ),
    "live path": (
        "tests/conformance/test_flink.py",
        "tests/integration/test_flink_backlog.py",
        "tests/integration/test_live_faults.py",
        "tests/integration/test_flink_candles.py",
    ),
}
"""The files that share each stack, by its name, in the order in which they run: later files change it more."""


def unit_of(test: str) -> str:
    """The unit of a test, which one worker must run as a whole: its shared stack, else its file.

    `test`: the node id of the test.
    """
    file = test.partition("::")[0]
    return next((name for name, files in SHARED.items() if file in files), file)


_LONG: Final = (
    "kills",
    # These two mostly wait, so they run beside units that compute.
    "tests/integration/test_producer.py",
    "tests/integration/test_events.py",
    "live path",
    "played",
    "tests/e2e/test_stack.py",
    "tests/integration/test_flink_restarts.py",
    "tests/integration/test_dataproc_stand_in.py",
    "tests/integration/test_candles_batch.py",
    "tests/integration/",
)
"""Prefixes of units that take long, the longest first; short units run at the end."""

_LONG_IN_CONTAINERS: Final = ("kills", "played")
"""The same of a run in containers, where a third worker runs small units beside these two stacks."""


def rank_of(unit: str) -> int:
    """The rank of a unit among those that take long; every other unit has the last rank."""
    long = _LONG_IN_CONTAINERS if in_containers() else _LONG
    return next((place for place, start in enumerate(long) if unit.startswith(start)), len(long))


def place_of(test: str) -> int:
    """The index of a test's file among those that share its stack, 0 for other files."""
    files = SHARED.get(unit_of(test), ())
    return files.index(test.partition("::")[0]) if files else 0


class Kept:
    """Keeps one shared stack at a time: a request for another one ends it."""

    def __init__(self) -> None:
        self._name = ""
        self._stack: Any = None
        self._end = ExitStack()

    def get(self, name: str, make: Callable[[], AbstractContextManager[_T]]) -> _T:
        """The stack called `name`, started by `make` unless it is kept already."""
        if name != self._name:
            self.close()
            self._stack = self._end.enter_context(make())
            self._name = name
        return cast("_T", self._stack)

    def close(self) -> None:
        """End the kept stack, if any."""
        self._name, self._stack = "", None
        self._end.close()
