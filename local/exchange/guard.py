"""Who may ask a host of the exchange: too many requests get an address banned.

Part of the exchange simulator; no I/O.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Guard:
    """Counts requests per address over a sliding window and bans the address that goes beyond.

    `requests` are allowed in `window_seconds`; one more bans for `ban_seconds`, during which everything is refused
    and nothing is counted. `monotonic`: seconds of a clock that is never set.
    """

    requests: int
    ban_seconds: float
    monotonic: Callable[[], float]
    window_seconds: float = 1.0
    _asked: dict[str, deque[float]] = field(default_factory=dict)
    _banned_until: dict[str, float] = field(default_factory=dict)
    _all_banned_until: float = -math.inf

    def admit(self, address: str) -> bool:
        """Count a request of `address`; False when it is banned or has just got itself banned."""
        now = self.monotonic()
        if self.seconds_left(address) > 0:
            return False
        asked = self._asked.setdefault(address, deque())
        asked.append(now)
        while asked[0] <= now - self.window_seconds:
            asked.popleft()
        if len(asked) <= self.requests:
            return True
        del self._asked[address]
        self._banned_until[address] = now + self.ban_seconds
        return False

    def seconds_left(self, address: str) -> float:
        """How long `address` is still banned, 0 when it is not."""
        until = max(self._banned_until.get(address, -math.inf), self._all_banned_until)
        return max(0.0, until - self.monotonic())

    def ban_all(self, seconds: float) -> None:
        """Ban every address from now on for `seconds`."""
        self._all_banned_until = self.monotonic() + seconds

    def pardon_all(self) -> None:
        """End every ban."""
        self._banned_until.clear()
        self._all_banned_until = -math.inf
