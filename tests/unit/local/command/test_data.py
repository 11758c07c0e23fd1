"""The data commands work without the stack: nothing that they import, anywhere, belongs to it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.checkout import ROOT

OF_THE_STACK = ("stack", "backing", "java", "exchange", "dataproc", "setup")
"""The subpackages of `local` that an installation of the data commands lacks."""


def file_of(module: str) -> Path | None:
    """The file of a module of `local`; None for a name that is no module, such as a function."""
    path = ROOT / Path(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imported_by(file: Path) -> Iterator[str]:
    """Every module of `local` that a file may import, also inside a function, with the packages above it."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "local":
                yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def reached_from(module: str) -> set[str]:
    """The modules of `local` that importing and calling `module` may import, itself included."""
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = file_of(name)
        if name not in reached and file is not None:
            reached.add(name)
            waiting += imported_by(file)
    return reached


def test_the_data_commands_reach_nothing_of_the_stack() -> None:
    reached = reached_from("local.command.data")
    assert {"local", "local.checkout", "local.environment", "local.command.tail", "local.command.replay"} <= reached
    outside = {name for name in reached if not name.startswith("local.command")}
    assert outside == {"local", "local.checkout", "local.environment"}
    assert "local.command.stack" not in reached


def test_the_walk_sees_what_the_stack_commands_import_in_their_functions() -> None:
    assert {"local.stack.lifecycle", "local.backing.pubsub", "local.java.jvm"} <= reached_from("local.command.stack")


WITHOUT_THE_STACK = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith({tuple(f"local.{name}" for name in OF_THE_STACK)!r}):
            raise ModuleNotFoundError(f"{{name}} is not installed", name=name)

sys.meta_path.insert(0, Absent())
from local.command.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("words", "code", "printed"),
    [
        (("candles", "--help"), 0, "Print candles."),
        (("--help",), 0, "tail"),
        (("candles", "BTCUSDT", "2020-03-25"), 1, "GOOGLE_CLOUD_PROJECT is not set"),
        (("fault", "drop"), 1, "GOOGLE_CLOUD_PROJECT is not set"),
    ],
)
def test_a_data_command_runs_where_the_packages_of_the_stack_are_absent(
    tmp_path: Path, words: tuple[str, ...], code: int, printed: str
) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "GOOGLE_CLOUD_PROJECT"}
    outcome = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_THE_STACK, *words],
        env={**environ, "PIPELINE_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.returncode, printed in outcome.stdout + outcome.stderr) == (code, True), outcome


def test_the_extra_of_the_wheel_is_the_group_of_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["optional-dependencies"]["command"] == project["dependency-groups"]["command"]
    assert project["project"]["dependencies"] == []
