"""The pace of requests to the exchange."""

from __future__ import annotations

from bitcoin_pipeline.pace import Pace


def test_requests_have_equal_distances() -> None:
    pace = Pace(4)
    assert [pace.reserve(10) for _ in range(4)] == [10, 10.25, 10.5, 10.75]
    assert pace.reserve(20) == 20
    assert [pace.reserve(20, requests) for requests in (2, 0, 0, 1)] == [20.25, 20.75, 20.75, 20.75]


def test_a_pause_moves_reserved_requests_too() -> None:
    pace = Pace(4)
    first, second = pace.reserve(10), pace.reserve(10)
    pace.pause(10.2)
    assert not pace.holds(first)
    assert pace.holds(second)
    pace.pause(70)
    pace.pause(30)  # a shorter one ends no longer one
    assert not pace.holds(second)
    assert [pace.reserve(11), pace.reserve(11)] == [70, 70.25]
    assert pace.holds(70)
