"""HTTP answers of functions: to a wrong method, after a failure, and while the exchange bans the function's address.

Part of the core; any module may import it.
"""

from __future__ import annotations

from typing import Any

from bitcoin_pipeline.errors import FinalError, RetryableError

Answer = tuple[dict[str, Any], int, dict[str, str]]
"""Body, to be sent as JSON; status; headers."""


def refusal(method: str) -> Answer | None:
    """The answer to a request whose method is not POST, else None."""
    if method == "POST":
        return None
    return {"error": f"the method must be POST, got {method}"}, 405, {"Allow": "POST"}


def failure(error: RetryableError | FinalError) -> Answer:
    """The answer after a failure: 503 when the same request may succeed later, 502 when it cannot."""
    return {"error": str(error)}, 503 if isinstance(error, RetryableError) else 502, {}


def exchange_ban(message: str, seconds: int) -> Answer:
    """The answer while the exchange refuses requests from the function's address for `seconds`.

    Its body differs from the 429 with which Cloud Run itself answers when no instance is free.
    """
    return {"error": message, "exchange_ban_s": seconds}, 429, {"Retry-After": str(seconds)}


def exchange_ban_s(body: dict[str, Any]) -> int | None:
    """The seconds in the body of an answer of `exchange_ban`; None for any other body."""
    seconds = body.get("exchange_ban_s")
    return seconds if isinstance(seconds, int) else None
