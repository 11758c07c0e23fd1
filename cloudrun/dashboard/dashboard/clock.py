"""The monotonic clock, and the time that has passed on it.

Part of the dashboard.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bitcoin_pipeline.times import SECOND_US, Instant

Clock = Callable[[], Instant]
"""Returns the present instant."""


def monotonic() -> Instant:
    """The present instant of this process."""
    return Instant(time.monotonic_ns() // 1000)


def elapsed_s(since: Instant, now: Instant) -> float:
    """Seconds from one instant to a later one."""
    return (now - since) / SECOND_US
