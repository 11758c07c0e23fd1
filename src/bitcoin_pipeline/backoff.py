"""How long to wait before a failed operation is tried again.

Part of the core; any module may import it.
"""

from __future__ import annotations

from collections.abc import Callable


def backoff_us(attempt: int, first_us: int, most_us: int, uniform: Callable[[], float]) -> int:
    """Microseconds to wait before repetition `attempt`, counted from 0: doubling from `first_us` up to `most_us`.

    Half of the wait is jitter, which keeps many workers from returning at the same moment. `uniform` returns a random
    number from 0 to 1.
    """
    whole = min(first_us << min(attempt, 32), most_us)
    return whole // 2 + int(uniform() * whole / 2)
