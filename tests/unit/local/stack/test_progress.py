"""What `up` shows: one line per event in a log, and in a terminal also what is waited for."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from local.stack.progress import reported


def terminal(shown: io.StringIO, kind: str) -> Console:
    return Console(file=shown, force_terminal=True, width=100, _environ={"TERM": kind})


@pytest.mark.parametrize("in_terminal", [False, True])
def test_a_log_and_a_dumb_terminal_get_a_line_an_event_and_no_more(*, in_terminal: bool) -> None:
    shown = io.StringIO()
    console = terminal(shown, "dumb") if in_terminal else Console(file=shown)
    with reported(console, "up") as report:
        report.step("taking down what was started")
        for seconds in (0.1, 0.2, 0.3):
            report.waiting({"kafka": seconds})
        report.done("kafka", 0.34)
    assert shown.getvalue() == "taking down what was started\nup: kafka (0.3 s)\n"


def test_a_terminal_shows_what_is_waited_for_the_longest_first() -> None:
    shown = io.StringIO()
    with reported(terminal(shown, "xterm"), "up") as report:
        report.waiting({"topics": 1.0, "kafka": 4.6})
        report.done("postgres", 2.0)
    assert "waiting for kafka 5 s, topics 1 s" in shown.getvalue()
    assert "up: postgres (2.0 s)" in shown.getvalue()
