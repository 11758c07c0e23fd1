"""HTTP answers that all functions share."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.answers import failure, refusal
from bitcoin_pipeline.errors import FinalError, RetryableError


def test_only_post_is_allowed() -> None:
    assert refusal("POST") is None
    assert refusal("GET") == ({"error": "the method must be POST, got GET"}, 405, {"Allow": "POST"})


@pytest.mark.parametrize(("error", "status"), [(RetryableError("away"), 503), (FinalError("away"), 502)])
def test_the_status_of_a_failure_says_whether_another_try_can_help(
    error: RetryableError | FinalError, status: int
) -> None:
    assert failure(error) == ({"error": "away"}, status, {})
