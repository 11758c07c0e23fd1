"""The two kinds of failure are apart: code that repeats on one never repeats on the other."""

from __future__ import annotations

from bitcoin_pipeline.errors import FinalError, RetryableError


def test_no_failure_is_both() -> None:
    assert not issubclass(RetryableError, FinalError)
    assert not issubclass(FinalError, RetryableError)
