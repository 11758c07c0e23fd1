"""HTTP answers of functions."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.answers import exchange_ban, exchange_ban_s, failure, refusal
from bitcoin_pipeline.errors import FinalError, RetryableError


def test_only_post_is_allowed() -> None:
    assert refusal("POST") is None
    assert refusal("GET") == ({"error": "the method must be POST, got GET"}, 405, {"Allow": "POST"})


@pytest.mark.parametrize(("error", "status"), [(RetryableError("away"), 503), (FinalError("away"), 502)])
def test_the_status_of_a_failure_says_whether_another_try_can_help(
    error: RetryableError | FinalError, status: int
) -> None:
    assert failure(error) == ({"error": "away"}, status, {})


def test_a_ban_of_the_exchange_is_told_from_other_answers() -> None:
    body, status, headers = exchange_ban("banned", 42)
    assert (body, status, headers) == ({"error": "banned", "exchange_ban_s": 42}, 429, {"Retry-After": "42"})
    assert exchange_ban_s(body) == 42
    assert exchange_ban_s({"error": "Rate exceeded."}) is None
    assert exchange_ban_s({"exchange_ban_s": "soon"}) is None
