"""A stack that is kept for several files ends with the last test that shares it."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.conftest import _KEPT, pytest_runtest_teardown
from tests.support.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_kept_stack_does_not_idle_beside_the_tests_of_other_files() -> None:
    ended: list[str] = []

    @contextmanager
    def stack() -> Iterator[str]:
        yield "stack"
        ended.append("stack")

    config = SimpleNamespace(stash={_KEPT: Kept()})

    def test(name: str) -> Any:
        return SimpleNamespace(nodeid=name, config=config)

    first, second, other = (
        test(f"{file}::test_x")
        for file in ("tests/e2e/test_live_kill.py", "tests/e2e/test_kill.py", "tests/e2e/test_stack.py")
    )
    config.stash[_KEPT].get("kills", stack)
    pytest_runtest_teardown(first, second)
    assert ended == []
    pytest_runtest_teardown(second, other)
    assert ended == ["stack"]
    config.stash[_KEPT].get("kills", stack)
    pytest_runtest_teardown(second, None)
    assert ended == ["stack", "stack"]
