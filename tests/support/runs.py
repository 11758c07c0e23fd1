"""Test runs and the processes that they start, which can be found after the run itself was killed.

A run has its name in an environment variable, which every process that it starts inherits. Linux only, as the stack is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from getpass import getuser
from pathlib import Path
from typing import Final

import psutil

RUN_VARIABLE: Final = "PIPELINE_TEST_RUN"
"""The environment variable with the name of the run to which a process belongs."""

BACKING_VARIABLE: Final = "PIPELINE_TEST_BACKING"
"""The environment variable with the way in which the stacks of a run work: `process` or `container`."""

_ROUNDS: Final = 3
"""Number of times that the processes of a run are searched and ended."""


def in_containers() -> bool:
    """True when the stacks of this run work in containers."""
    return os.environ.get(BACKING_VARIABLE) == "container"


def name_of(pid: int) -> str | None:
    """The name of the run whose pytest is process `pid`; None when there is no such process, or it is a zombie.

    The name has the start time beside the process id, as ids are reused, and the namespace of ids, as the processes of
    a container have other ids outside it.
    """
    try:
        # After the name in brackets, which may contain any character: the state, and in the 20th field the start time.
        state, *fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in ("Z", "X") else f"{_namespace()}:{pid}:{fields[18]}"


def is_over(run: str) -> bool:
    """True for a run of this namespace whose pytest has ended; False for a run of another namespace."""
    namespace, _, rest = run.partition(":")
    pid = rest.partition(":")[0]
    return namespace == _namespace() and pid.isdecimal() and name_of(int(pid)) != run


def processes_of(*, run: str | None = None) -> list[psutil.Process]:
    """Running processes that belong to `run`, or by default to any run that is over.

    Only root can read other users' variables, and must, as its Postgres runs as another user. The calling process and
    its ancestors are never included.
    """
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            its = process.environ().get(RUN_VARIABLE)
            if (
                its
                and process.pid not in spared
                and process.status() != psutil.STATUS_ZOMBIE
                and (is_over(its) if run is None else its == run)
            ):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # another user's process, or one that has ended
    return found


def end(processes: Iterable[psutil.Process], seconds: float = 10) -> list[str]:
    """End processes with SIGTERM, and after `seconds` with SIGKILL; returns a short description of each."""
    processes = list(processes)
    described = [_described(process) for process in processes]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=10)
    return described


def end_leftovers(*, run: str | None = None) -> list[str]:
    """End the processes of `run`, or by default of any run that is over; returns a short description of each.

    A supervisor may restart a process before it ends itself, so the search is repeated.
    """
    described: list[str] = []
    for _ in range(_ROUNDS):
        described += end(processes_of(run=run))
    return described


def unlock_folders(parent: Path | None = None) -> list[Path]:
    """Unlock pytest's temporary folders of killed runs, so that pytest removes them later; returns these folders.

    pytest keeps the folders of the last three runs, and a locked one for three days; a lock contains the process id of
    its owner. `parent`: the folder that has this user's folders.
    """
    parent = parent or Path(tempfile.gettempdir()) / f"pytest-of-{getuser()}"
    unlocked = []
    for lock in sorted(parent.glob("pytest-*/.lock")):
        with suppress(OSError, ValueError):
            if not psutil.pid_exists(int(lock.read_text("utf-8"))):
                lock.unlink()
                unlocked.append(lock.parent)
    return unlocked


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _described(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        command = "(has ended by itself)"
    return f"{process.pid} {command if len(command) <= 100 else f'{command[:40]} ... {command[-55:]}'}"
