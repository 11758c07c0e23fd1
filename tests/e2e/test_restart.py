"""A stack that goes down and up again keeps what it has stored."""

from __future__ import annotations

import pytest

from tests.e2e.replayed import Played

pytestmark = pytest.mark.timeout(900)  # it starts the stack once or twice


def test_data_outlives_down_and_up(played: Played) -> None:
    pipeline = played.pipeline
    pipeline.done("backfill", "BTCUSDT", "2020-03-25")
    before = pipeline.done("candles", "BTCUSDT", "2020-03-25", "--format", "csv").out
    assert before.count("\n") == 1 + 442
    pipeline.done("down")
    gone = pipeline.run("candles", "BTCUSDT", "2020-03-25")
    assert (gone.code, "pipeline up" in gone.err) == (1, True)
    assert pipeline.run("status").code == 1
    pipeline.done(*played.up)
    assert pipeline.done("candles", "BTCUSDT", "2020-03-25", "--format", "csv").out == before
