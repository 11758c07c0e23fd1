"""The pace of requests to the exchange, which all instances of a function together must keep.

Part of the core; any module may import it.
"""

from __future__ import annotations

from typing import Final

BYBIT_REQUESTS_PER_SECOND: Final = 20
"""Default rate of requests to the archive's host; 30 a second are safe, and 40 to 50 lead to a ban of the address."""

MOST_REQUESTS_PER_SECOND: Final = 30
"""Upper bound on a configured rate."""


class Pace:
    """Gives every request a time, at most `per_second` in a second; a pause moves all of them.

    Times are seconds of one monotonic clock, which the caller reads.
    """

    def __init__(self, per_second: float) -> None:
        self._interval_s = 1 / per_second
        self._next = 0.0
        self._paused_until = 0.0

    def reserve(self, now: float, requests: int = 1) -> float:
        """The time of a call that sends that number of requests, `now` or later."""
        time = max(now, self._next, self._paused_until)
        self._next = time + requests * self._interval_s
        return time

    def pause(self, until: float) -> None:
        """Let no request leave before `until`, reserved ones included: their callers reserve anew."""
        self._paused_until = max(self._paused_until, until)

    def holds(self, time: float) -> bool:
        """True when a request may leave at the reserved `time`; False when a pause has begun since."""
        return time >= self._paused_until
