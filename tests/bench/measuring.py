"""Measurement of processes from outside, statistics of many figures, and the table of goals."""

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
    """The goal of a figure, and its measurement."""

    what: str
    wanted: str
    measured: str
    is_met: bool


def goals_table(goals: Sequence[Goal]) -> Table:
    """A table with each goal and its measurement."""
    table = Table("", "goal", "measured", "", title="goals")
    for goal in goals:
        table.add_row(goal.what, goal.wanted, goal.measured, "met" if goal.is_met else "MISSED")
    return table


def await_word(process: subprocess.Popen[str], word: str) -> None:
    """Read the output of a process until the line `word`. Raises RuntimeError when it ends before that line."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    raise RuntimeError(f"{process.args!r} ended before it wrote {word!r}")


def answer(process: subprocess.Popen[str]) -> None:
    """Write a line to a process that waits for one."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def obey(word: str) -> None:
    """Write the line `word` and wait for a line: the other end of `await_word` and `answer`."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()
    sys.stdin.readline()


def processes(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, including those that have ended."""
    total = 0.0
    for process in processes(pid):
        with suppress(psutil.NoSuchProcess):  # its time is then its parent's
            total += sum(process.cpu_times()[:4])
    return total


def busy_seconds() -> float:
    """CPU seconds that the whole machine has used so far."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def resident_mib(pid: int) -> float:
    """Memory of a process and its descendants in MiB; a page that several share is counted once."""
    total = 0
    for process in processes(pid):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / 2**20


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that a `share` of them do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


def median(values: Sequence[float]) -> float:
    """The median of repeated measurements."""
    return statistics.median(values)


def cores() -> str:
    """The number of the machine's cores in words."""
    return f"{os.cpu_count()} cores"
