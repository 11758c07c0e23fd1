"""The delays that `make bench-dashboard` computes from the records of pages."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from tests.bench.dashboard_market import Market, bar_delays, trade_delays
from tests.bench.dashboard_path import candle_delays

#                0 s            60 s                                   120 s            180 s
# trades         |   59_900     |  60_100   60_300       61_000        |  120_500       |
# candle of 60   |              |    count 1 at 60_400, 3 at 61_500    |
EVENTS: list[tuple[str, Any, int]] = [
    ("trades", [[59_900, 1.0, 1.0, 1]], 60_000),
    ("trades", [[60_100, 1.0, 1.0, 1], [60_300, 1.0, 1.0, 1]], 60_350),
    ("bar", [60, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, "live", 60_250], 60_400),
    ("trades", [[61_000, 1.0, 1.0, 1]], 61_050),
    ("bar", [60, 1, 1, 1, 1, 1, 1, 3, 1, 1, 0, "live", 61_350], 61_500),
    ("trades", [[120_500, 1.0, 1.0, 1]], 120_600),
]


def test_a_trade_is_seen_in_the_first_candle_that_counts_it() -> None:
    assert candle_delays(EVENTS) == [300.0, 1200.0, 500.0]


def test_a_candle_that_counts_other_trades_than_the_tape_is_told() -> None:
    with pytest.raises(AssertionError, match="60: candle 3, tape 2 trades"):
        candle_delays([event for event in EVENTS if event[2] != 61_050])


def test_delays_run_from_the_commit_and_from_each_trade() -> None:
    assert bar_delays(EVENTS) == [150, 150]
    assert trade_delays(EVENTS) == [100, 250, 50, 50, 100]


def test_a_market_ends_when_it_is_told() -> None:
    with Market(Mock()) as market:
        pass
    assert not market.is_alive()
