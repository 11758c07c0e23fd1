"""The log on standard output: a line is there when the call is over."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.adapters.stdout import log


def test_events_are_lines_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    log("INFO", "started", port=8080)
    log("ERROR", "failed")
    assert capsys.readouterr().out == (
        '{"severity": "INFO", "message": "started", "port": 8080}\n{"severity": "ERROR", "message": "failed"}\n'
    )
