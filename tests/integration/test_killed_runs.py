"""What a test run leaves running when it is killed: the next run ends it, and nothing of a run that lives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.checkout import ROOT
from local.waiting import wait_for
from tests.support import runs

SLEEPS = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {program!r}], start_new_session=True)"
TEST = f"""
from pathlib import Path
from local.waiting import wait_for

def test_that_leaves_a_process(tmp_path):
    {SLEEPS.format(program="import time; time.sleep(600)")}
    Path({{told!r}}).write_text(str(p.pid))
    wait_for("the word to go on", Path({{go!r}}).exists, 120)
"""


class Run:
    """A test run of its own, whose only test leaves a process running; it ends once it is let go."""

    def __init__(self, folder: Path, name: str) -> None:
        self._told, self._go = folder / f"{name}.pid", folder / f"{name}.go"
        file = folder / f"test_{name}.py"
        file.write_text(TEST.format(told=str(self._told), go=str(self._go)))
        self.process = pytest_of(file)

    def left(self) -> psutil.Process:
        """The process that it has started."""
        wait_for("a process to be left", lambda: self._told.exists() and self._told.read_text(), 60)
        return psutil.Process(int(self._told.read_text()))

    def let_go(self) -> str:
        """Let the run end; returns its output."""
        self._go.touch()
        return self.process.communicate(timeout=60)[0]


def pytest_of(file: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", os.devnull, f"--rootdir={file.parent}"]
    command += ["-q", "-p", "no:dash", "-p", "no:cacheprovider", f"--basetemp={file.with_suffix('')}", str(file)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def is_there(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    file = tmp_path / "test_nothing.py"
    file.write_text("def test_nothing():\n    pass\n")
    return file


# killed   ---[leaves a process]-----x
# living   ---[leaves a process]----------------------[ends it: an error]
# next                                  [ends killed's, spares living's]
def test_the_next_run_ends_what_a_killed_one_left_and_spares_a_living_ones(tmp_path: Path, nothing: Path) -> None:
    killed, living = Run(tmp_path, "killed"), Run(tmp_path, "living")
    left, kept = killed.left(), living.left()
    killed.process.kill()
    killed.process.communicate()
    assert is_there(left)

    following = pytest_of(nothing)
    told = following.communicate(timeout=60)[0]
    assert f"ended processes that a killed test run had left (1):\n  {left.pid} " in told
    assert following.returncode == 0
    assert not is_there(left)
    assert is_there(kept)

    told = living.let_go()
    assert f"ERROR: ended processes that this test run had left (1):\n  {kept.pid} " in told
    assert "1 passed" in told
    assert living.process.returncode == 1
    assert not is_there(kept)


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[str]]:
    """A process that SIGTERM does not end, of a run that is over."""
    pytest_process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = runs.name_of(pytest_process.pid)
    assert run is not None
    assert not runs.is_over(run)
    pytest_process.communicate(b"\n")
    assert runs.is_over(run)
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{program}; time.sleep(600)"],
        env={**os.environ, runs.RUN_VARIABLE: run},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_what_does_not_end_by_itself_is_killed(stubborn: subprocess.Popen[str]) -> None:
    [found] = [process for process in runs.processes_of() if process.pid == stubborn.pid]
    [described] = runs.end([found], seconds=0.2)
    assert described.startswith(f"{stubborn.pid} ")
    assert not is_there(found)


def test_names_that_tell_nothing_are_spared() -> None:
    mine = runs.name_of(os.getpid())
    assert mine is not None
    namespace, pid, start = mine.split(":")
    assert not runs.is_over(mine)
    assert runs.is_over(f"{namespace}:{pid}:{int(start) + 1}")  # its number was given again
    # Of a container that shows its processes under other numbers, and nothing that a run is called.
    assert not any(map(runs.is_over, (f"{int(namespace) + 1}:{pid}:{start}", "", "yes", f"{namespace}:x:1")))


def test_folders_of_killed_runs_are_unlocked_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name, lock in (("pytest-1", str(ended.pid)), ("pytest-2", str(os.getpid())), ("pytest-3", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".lock").write_text(lock)
    assert runs.unlock_folders(tmp_path) == [tmp_path / "pytest-1"]
    assert [path.parent.name for path in sorted(tmp_path.glob("*/.lock"))] == ["pytest-2", "pytest-3"]
