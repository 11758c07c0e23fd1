"""The wait before a repetition: it doubles, is bounded and jittered."""

from __future__ import annotations

from bitcoin_pipeline.backoff import backoff_us


def test_back_off_doubles_is_capped_and_jittered() -> None:
    waits = [backoff_us(attempt, 1_000_000, 60_000_000, lambda: 1.0) for attempt in (0, 1, 5, 6, 1000)]
    assert waits == [1_000_000, 2_000_000, 32_000_000, 60_000_000, 60_000_000]
    assert backoff_us(2, 1_000_000, 60_000_000, lambda: 0.0) == 2_000_000
    assert backoff_us(2, 1_000_000, 60_000_000, lambda: 0.5) == 3_000_000
