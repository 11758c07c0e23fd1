"""Test runs and the processes they start, which are found again after the run itself was killed.

A run names itself in an environment variable that every process it starts inherits. Linux only, as the stack is.
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
"""Names the test run that a process belongs to."""

_ROUNDS: Final = 3


def name_of(pid: int) -> str | None:
    """The name of the run whose pytest is process `pid`; None when there is no such process, or it is a zombie.

    The name holds the start time beside the number, as numbers are given again, and the namespace of numbers, as a
    container shows its processes to the machine under other ones.
    """
    try:
        # After the name in brackets, which may hold anything: the state, and as the 20th field the start in ticks.
        state, *fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in ("Z", "X") else f"{_namespace()}:{pid}:{fields[18]}"


def is_over(run: str) -> bool:
    """True for a run of this namespace whose pytest has ended; False where that cannot be known."""
    namespace, _, rest = run.partition(":")
    pid = rest.partition(":")[0]
    return namespace == _namespace() and pid.isdecimal() and name_of(int(pid)) != run


def processes_of(*, run: str | None = None) -> list[psutil.Process]:
    """Living processes that belong to `run`, or by default to any run that is over.

    Only root sees another user's variables, and needs to: its Postgres runs as somebody else. The calling process and
    its ancestors are never among the processes.
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
            continue  # another user's, or gone by now
    return found


def end(processes: Iterable[psutil.Process], seconds: float = 10) -> list[str]:
    """End processes with SIGTERM, and with SIGKILL after so many seconds; a short description of each."""
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
    """End what `run`, or by default any run that is over, has left running; a short description of each process.

    A supervisor may start again what ends before it does, so this looks more than once.
    """
    described: list[str] = []
    for _ in range(_ROUNDS):
        described += end(processes_of(run=run))
    return described


def unlock_folders(parent: Path | None = None) -> list[Path]:
    """Temporary folders of pytest that a killed run has left locked, unlocked now; pytest then removes them in turn.

    pytest keeps the folders of the last three runs, but a locked one for three days, and a lock holds its owner's
    number. `parent`: where this user's folders are.
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
        command = "which has ended by itself"
    return f"{process.pid} {command if len(command) <= 100 else f'{command[:40]} ... {command[-55:]}'}"
