"""Shared stacks: their files run in one worker, and one stack is kept at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.checkout import ROOT
from tests.support.kept import SHARED, Kept, place_of, rank_of, unit_of
from tests.support.runs import BACKING_VARIABLE

FIXTURES = {"synthetic_stack": "kills", "played": "played", "live_path": "live path"}
"""The name of each shared stack, by its fixture."""


def uses(file: Path) -> set[str]:
    """The shared stacks whose fixtures the functions of a file use."""
    functions = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)]
    return {FIXTURES[each.arg] for function in functions for each in function.args.args if each.arg in FIXTURES}


def test_files_that_use_a_shared_stack_are_those_that_share_it() -> None:
    tiers = ("conformance", "containers", "e2e", "integration")
    files = [file for tier in tiers for file in (ROOT / "tests" / tier).glob("test_*.py")]
    found = {str(file.relative_to(ROOT)): using for file in files if (using := uses(file))}
    assert set(FIXTURES.values()) == set(SHARED)
    assert found == {file: {name} for name, sharing in SHARED.items() for file in sharing}


def test_a_unit_is_a_shared_stack_else_a_file() -> None:
    assert unit_of("tests/e2e/test_kill.py::test_x[a::b]") == unit_of("tests/e2e/test_live_kill.py::test_y") == "kills"
    assert unit_of("tests/unit/test_times.py::test_x") == "tests/unit/test_times.py"


def test_long_units_come_first_and_the_files_of_a_stack_in_their_order() -> None:
    ranks = [rank_of(unit_of(f"{file}::test_x")) for file in ("tests/e2e/test_kill.py", "tests/unit/test_times.py")]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 2
    for files in SHARED.values():
        assert [place_of(f"{file}::test_x") for file in files] == list(range(len(files)))
    assert place_of("tests/unit/test_times.py::test_x") == 0


def test_in_containers_the_two_stacks_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BACKING_VARIABLE, "container")
    units = ["kills", "played", "tests/integration/test_events.py", "tests/integration/test_store_setup.py"]
    assert [rank_of(unit) for unit in units] == [0, 1, 2, 2]


def test_one_thing_is_kept_at_a_time() -> None:
    events: list[str] = []

    @contextmanager
    def thing(name: str) -> Iterator[str]:
        events.append(f"start {name}")
        yield name
        events.append(f"end {name}")

    kept = Kept()
    assert [kept.get(name, lambda name=name: thing(name)) for name in "aabb"] == list("aabb")  # type: ignore[misc]
    kept.close()
    kept.close()
    assert events == ["start a", "end a", "start b", "end b"]
    assert kept.get("b", lambda: thing("b")) == "b"  # again
    assert events[4:] == ["start b"]


def test_what_could_not_start_is_not_kept() -> None:
    @contextmanager
    def broken() -> Iterator[str]:
        raise OSError("no port")
        yield

    kept = Kept()
    for _ in range(2):
        with pytest.raises(OSError, match="no port"):
            kept.get("x", broken)
