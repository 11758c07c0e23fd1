"""Instants of the monotonic clock, as a type of their own: they cannot be mixed up with times in UTC.

Part of the dashboard.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NewType

MonotonicS = NewType("MonotonicS", float)
"""An instant of the monotonic clock in seconds; only the difference of two instants has a meaning."""

Clock = Callable[[], MonotonicS]
"""Returns the present instant."""


def monotonic_s() -> MonotonicS:
    """The machine's present instant."""
    return MonotonicS(time.monotonic())
