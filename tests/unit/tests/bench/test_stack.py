"""What the soak of ups and downs makes of what the command prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.stack import Round, RoundError, goals, timed
from tests.support.command import Pipeline


class Printing(Pipeline):
    """A command that prints its words to stderr, but the last one, with which it ends."""

    def start(self, *words: str) -> subprocess.Popen[str]:
        lines, code = "\n".join(words[0].split("|")[:-1]), words[0].split("|")[-1]
        program = f"import sys; sys.stderr.write({lines!r}); sys.exit({code})"
        return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)


def test_the_lines_of_an_up_tell_when_each_service_was_there(tmp_path: Path) -> None:
    seconds, at = timed(Printing(tmp_path), "up: kafka (1.2 s)|down: gcs (0.1 s)|The stack is up after 2.0 s.|0")
    assert list(at) == ["kafka", "gcs"]
    assert all(0 < value <= seconds for value in at.values())


def test_a_command_that_fails_is_a_fault_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match=r"ended with 1 after \d+ s: \['error: kafka has ended 3 times'\]"):
        timed(Printing(tmp_path), "up: gcs (0.1 s)|error: kafka has ended 3 times|1")


def round_of(seconds: float, *, is_busy: bool) -> Round:
    return Round(True, is_busy, seconds, seconds / 10, {}, {}, {})


def test_goals_are_of_the_rounds_that_had_the_machine_to_themselves() -> None:
    rounds = [round_of(seconds, is_busy=seconds > 50) for seconds in (20, 24, 29, 90, 100)]
    assert [(goal.measured, goal.is_met) for goal in goals(rounds)] == [("24.0 s", True), ("2.4 s", True)]
    assert [goal.is_met for goal in goals([round_of(60, is_busy=False)])] == [False, False]
