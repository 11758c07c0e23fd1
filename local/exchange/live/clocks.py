"""The clocks of a played market: one of a recording, which can be faster than real time, and the time of day.

Part of the exchange simulator; no I/O. All times are milliseconds of the exchange's time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """The time up to which frames are due."""

    def due_ms(self) -> float:
        """The time up to which frames are due now; infinite where all are."""
        ...

    def seconds_until(self, time_ms: int) -> float:
        """Seconds until a frame of `time_ms` is due."""
        ...

    def end(self, time_ms: int) -> None:
        """Note that the last frame, of `time_ms`, was played."""
        ...

    def start(self) -> None:
        """Note that playback begins."""
        ...


class RecordedClock:
    """The clock of a recording: it stands at `first_ms` until the start, and runs at real time after the last frame.

    `speed`: how many times faster than real time it runs in between; 0: every frame is due at once. `monotonic` returns
    the seconds of a clock that is never set.
    """

    def __init__(self, first_ms: int, speed: float, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._speed = 0.0
        self._chosen_speed = speed or math.inf
        self._anchor_ms: float = first_ms
        self._anchored_at = monotonic()

    def start(self) -> None:
        """Let the clock run."""
        self._run(self._anchor_ms, self._chosen_speed)

    def end(self, time_ms: int) -> None:
        """Let the clock run on at real time, from the time of the last frame."""
        self._run(time_ms, 1.0)

    def due_ms(self) -> float:
        """The time of the clock; infinite between start and end at speed 0."""
        if self._speed == math.inf:
            return math.inf
        # Rounded to the microsecond, so that floating point does not fall short of a whole millisecond.
        return round(self._anchor_ms + (self._monotonic() - self._anchored_at) * 1000 * self._speed, 3)

    def seconds_until(self, time_ms: int) -> float:
        """Seconds until the clock shows `time_ms`; infinite before the start."""
        if self._speed in (0.0, math.inf):
            return 0.0 if self._speed else math.inf
        return (time_ms - self.due_ms()) / 1000 / self._speed

    def _run(self, from_ms: float, speed: float) -> None:
        self._anchor_ms, self._speed, self._anchored_at = from_ms, speed, self._monotonic()


class WallClock:
    """The clock of the synthetic market: the time of day in seconds that `wall` returns, plus `offset_ms`."""

    def __init__(self, wall: Callable[[], float], offset_ms: int) -> None:
        self._wall = wall
        self._offset_ms = offset_ms

    def start(self) -> None:
        """Do nothing: the clock always runs."""

    def end(self, time_ms: int) -> None:
        """Do nothing: the synthetic market has no end."""

    def due_ms(self) -> float:
        """The time of day with the offset."""
        return self._wall() * 1000 + self._offset_ms

    def seconds_until(self, time_ms: int) -> float:
        """Seconds until `time_ms`."""
        return (time_ms - self.due_ms()) / 1000
