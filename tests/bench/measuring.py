"""How benchmarks measure processes from outside, and what they make of many figures."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Goal:
    """What was wanted of a figure, and what it came to."""

    what: str
    wanted: str
    measured: str
    is_met: bool


def goals_table(goals: Sequence[Goal]) -> Table:
    """Goal beside figure."""
    table = Table("", "goal", "measured", "", title="goals")
    for goal in goals:
        table.add_row(goal.what, goal.wanted, goal.measured, "met" if goal.is_met else "MISSED")
    return table


def await_word(process: subprocess.Popen[str], word: str) -> None:
    """Read on until the process says `word`. Raises RuntimeError when it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    raise RuntimeError(f"{process.args!r} ended before it was {word}")


def answer(process: subprocess.Popen[str]) -> None:
    """Let a process that waits for a line go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def obey(word: str) -> None:
    """Say `word`, and wait for a line: the other end of `await_word` and `answer`."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()
    sys.stdin.readline()


def processes(pid: int) -> list[psutil.Process]:
    """A process and all those below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of those below it, and of those that have ended."""
    total = 0.0
    for process in processes(pid):
        with suppress(psutil.NoSuchProcess):  # counted by its parent then
            total += sum(process.cpu_times()[:4])
    return total


def busy_seconds() -> float:
    """CPU that the whole machine has used so far."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def resident_mib(pid: int) -> float:
    """Memory of a process and of those below it; a page that several share is counted once."""
    total = 0
    for process in processes(pid):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / 2**20


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that `share` of them do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle one of repeated measurements."""
    return statistics.median(values)


def cores() -> str:
    """The machine's shape in words."""
    return f"{os.cpu_count()} cores"
