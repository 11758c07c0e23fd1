"""The rate limit of a host of the exchange: an address with too many requests is banned.

Part of the exchange simulator; no I/O.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class RateLimit:
    """Counts the requests of each address over a sliding window, and bans an address that exceeds the limit.

    `requests` are allowed in `window_seconds`; one more bans the address for `ban_seconds`, during which every request
    is refused and none is counted. `monotonic` returns the seconds of a clock that is never set.
    """

    requests: int
    ban_seconds: float
    monotonic: Callable[[], float]
    window_seconds: float = 1.0
    _recent: dict[str, deque[float]] = field(default_factory=dict)
    _banned_until: dict[str, float] = field(default_factory=dict)
    _all_banned_until: float = -math.inf

    def admit(self, address: str) -> bool:
        """Count a request of `address`; False when the address is banned, or is banned by this request."""
        now = self.monotonic()
        if self.seconds_left(address) > 0:
            return False
        recent = self._recent.setdefault(address, deque())
        recent.append(now)
        while recent[0] <= now - self.window_seconds:
            recent.popleft()
        if len(recent) <= self.requests:
            return True
        del self._recent[address]
        self._banned_until[address] = now + self.ban_seconds
        return False

    def seconds_left(self, address: str) -> float:
        """Seconds until the ban of `address` ends, 0 when it is not banned."""
        until = max(self._banned_until.get(address, -math.inf), self._all_banned_until)
        return max(0.0, until - self.monotonic())

    def ban_all(self, seconds: float) -> None:
        """Ban every address for `seconds` from now on."""
        self._all_banned_until = self.monotonic() + seconds

    def lift_bans(self) -> None:
        """End every ban."""
        self._banned_until.clear()
        self._all_banned_until = -math.inf
