"""HTTP answers that all functions share: to a wrong method, and after a failure.

Part of the core; any module may import it.
"""

from __future__ import annotations

from bitcoin_pipeline.errors import FinalError, RetryableError

Answer = tuple[dict[str, str], int, dict[str, str]]
"""Body, to be sent as JSON; status; headers."""


def refusal(method: str) -> Answer | None:
    """The answer to a request whose method is not POST, else None."""
    if method == "POST":
        return None
    return {"error": f"the method must be POST, got {method}"}, 405, {"Allow": "POST"}


def failure(error: RetryableError | FinalError) -> Answer:
    """The answer after a failure: 503 when the same request may succeed later, 502 when it cannot."""
    return {"error": str(error)}, 503 if isinstance(error, RetryableError) else 502, {}
