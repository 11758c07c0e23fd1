"""What several test files share because it is expensive to start: stacks, and which files use which."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final, TypeVar, cast

_T = TypeVar("_T")

SHARED: Final = {
    "kills": ("tests/e2e/test_live_kill.py", "tests/e2e/test_kill.py"),
    "played": ("tests/e2e/test_live.py", "tests/e2e/test_archive_to_candles.py", "tests/e2e/test_restart.py"),
    "live path": (
        "tests/conformance/test_flink.py",
        "tests/integration/test_live_faults.py",
        "tests/integration/test_flink_candles.py",
    ),
}
"""Files that share a stack, by its name, in the order in which they run: the later ones do more to it."""


def unit_of(test: str) -> str:
    """What one worker must run as a whole: the tests of a shared stack, else those of a file.

    `test`: pytest's name of it.
    """
    file = test.partition("::")[0]
    return next((name for name, files in SHARED.items() if file in files), file)


_LONG: Final = (
    "kills",
    # These two mostly wait, so they run beside what computes.
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
"""Beginnings of units that take long, the longest first: whatever is short fills up the end."""


def rank_of(unit: str) -> int:
    """The place of a unit among those that take long; all others have the last one."""
    return next((place for place, start in enumerate(_LONG) if unit.startswith(start)), len(_LONG))


def place_of(test: str) -> int:
    """The place of a test's file among those that share its stack."""
    files = SHARED.get(unit_of(test), ())
    return files.index(test.partition("::")[0]) if files else 0


class Kept:
    """Keeps one shared thing at a time: the next test that asks for another one ends it."""

    def __init__(self) -> None:
        self._name = ""
        self._thing: Any = None
        self._end = ExitStack()

    def get(self, name: str, make: Callable[[], AbstractContextManager[_T]]) -> _T:
        """The thing of that name, made now unless it is kept already."""
        if name != self._name:
            self.close()
            self._thing = self._end.enter_context(make())
            self._name = name
        return cast("_T", self._thing)

    def close(self) -> None:
        """End what is kept."""
        self._name, self._thing = "", None
        self._end.close()
