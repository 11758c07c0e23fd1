"""The one playback of the market that all connections share: its clock, and the frames that are due.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Protocol

from local.exchange.frames import Frame
from local.exchange.sources import Source
from local.exchange.tape import Tape

_FRAMES_AT_ONCE: Final = 256
"""How many frames are played before others get the processor, where all are due at once."""

_IDLE_SECONDS: Final = 3600.0

_LOOK_SECONDS: Final = 1.0
"""How often a playback that waits for a slow connection looks after it."""


class Clock(Protocol):
    """Where the market should be by now. All times are milliseconds of the exchange's time."""

    def due_ms(self) -> float:
        """Frames up to this time are due."""
        ...

    def seconds_until(self, time_ms: int) -> float:
        """How long until a frame of `time_ms` is due."""
        ...

    def end(self, time_ms: int) -> None:
        """The last frame, of `time_ms`, was played."""
        ...

    def start(self) -> None:
        """Playback begins now."""
        ...


class RecordedClock:
    """Stands at `first_ms` until the start, runs at `speed` (0: as fast as frames are taken), then at real time."""

    def __init__(self, first_ms: int, speed: float, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._speed = 0.0
        self._chosen_speed = speed or math.inf
        self._anchor_ms: float = first_ms
        self._anchored_at = monotonic()

    def start(self) -> None:
        """From now on the clock runs."""
        self._run(self._anchor_ms, self._chosen_speed)

    def end(self, time_ms: int) -> None:
        """From now on it runs at real time, from the last frame's time."""
        self._run(time_ms, 1.0)

    def due_ms(self) -> float:
        """As far as the time since the start, or since the end, has carried the clock."""
        if self._speed == math.inf:
            return math.inf
        # To the microsecond, so that a whole millisecond is one.
        return round(self._anchor_ms + (self._monotonic() - self._anchored_at) * 1000 * self._speed, 3)

    def seconds_until(self, time_ms: int) -> float:
        """How long until the clock shows `time_ms`; without end before the start."""
        if self._speed in (0.0, math.inf):
            return 0.0 if self._speed else math.inf
        return (time_ms - self.due_ms()) / 1000 / self._speed

    def _run(self, from_ms: float, speed: float) -> None:
        self._anchor_ms, self._speed, self._anchored_at = from_ms, speed, self._monotonic()


class WallClock:
    """The invented market's: the time of day that `wall` tells in seconds, and `offset_ms`."""

    def __init__(self, wall: Callable[[], float], offset_ms: int) -> None:
        self._wall = wall
        self._offset_ms = offset_ms

    def start(self) -> None:
        """Nothing: it always runs."""

    def end(self, time_ms: int) -> None:
        """Nothing: the invented market has no end."""

    def due_ms(self) -> float:
        """The time of day."""
        return self._wall() * 1000 + self._offset_ms

    def seconds_until(self, time_ms: int) -> float:
        """How long until that time of day."""
        return (time_ms - self.due_ms()) / 1000


class Listener(Protocol):
    """A connection, as the playback sees it."""

    def offer(self, frame: Frame) -> None:
        """Take a frame that was played just now."""
        ...

    def is_full(self) -> bool:
        """True while it has so much to send that a playback that waits for it should."""
        ...

    def drop_if_stalled(self) -> None:
        """End it when its client has taken nothing for long."""
        ...


class Playback:
    """Plays each frame once, when it is due: onto the tape, and to whoever listens then.

    `pump` does it; it never waits. Whoever asks the exchange something pumps first, so that an answer is never of a
    time whose frames have not been sent. `waits`: a full listener holds it up, and the clock with it.
    """

    def __init__(self, source: Source, clock: Clock, tape: Tape, first_ms: int, *, waits: bool) -> None:
        self.source: Final = source
        self.topics: Final = source.topics
        self.tape: Final = tape
        self.listeners: Final[set[Listener]] = set()
        self.frames_played = 0
        self.is_done = False
        self.is_started = False
        self._clock = clock
        self._waits = waits
        self._frames = source.frames(first_ms)
        self._ahead: Frame | None = next(self._frames, None)
        self._added: deque[Frame] = deque()
        self._time_ms = first_ms
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Begin, unless begun already."""
        if not self.is_started:
            self.is_started = True
            self._clock.start()
            self.wake()

    def wake(self) -> None:
        """Look again at what is due: a listener has room, or frames were added."""
        self._wake.set()

    def add(self, frames: Iterable[Frame]) -> None:
        """Play these as well, each at its time, which comes after that of all that were played or added before.

        Frames of one symbol must not cross those of the source, so this is for a source that has ended.
        """
        self._added.extend(frames)
        self.wake()

    def free_from_ms(self) -> int:
        """The first time that comes after everything that was played or added."""
        return max(self.now_ms(), self._added[-1].time_ms if self._added else 0) + 1

    def now_ms(self) -> int:
        """The exchange's time; every frame before it was played, and it never goes back."""
        self.pump()
        due_ms, head = self._clock.due_ms(), self._head()
        if due_ms != math.inf:
            self._time_ms = max(self._time_ms, int(due_ms if head is None else min(due_ms, head.time_ms)))
        return self._time_ms

    def pump(self) -> None:
        """Play what is due, as far as there is room for it."""
        if not self.is_started:
            return
        due_ms = self._clock.due_ms()
        left: float = _FRAMES_AT_ONCE if due_ms == math.inf else math.inf
        while left > 0 and (head := self._head()) and head.time_ms <= due_ms and not self._is_held_up():
            self._play(head)
            left -= 1

    async def run(self) -> None:
        """Play until cancelled."""
        while True:
            self._wake.clear()
            self.pump()
            seconds = self._seconds_to_wait()
            if seconds <= 0:
                await asyncio.sleep(0)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()

    def _seconds_to_wait(self) -> float:
        head = self._head()
        if head is None or not self.is_started:
            return _IDLE_SECONDS
        if self._is_held_up():
            for listener in tuple(self.listeners):
                listener.drop_if_stalled()
            return _LOOK_SECONDS
        return min(_IDLE_SECONDS, self._clock.seconds_until(head.time_ms))

    def _head(self) -> Frame | None:
        """The next frame to play."""
        return self._ahead or (self._added[0] if self._added else None)

    def _play(self, frame: Frame) -> None:
        if frame is self._ahead:
            self._ahead = next(self._frames, None)
        else:
            self._added.popleft()
        self.frames_played += 1
        self._time_ms = max(self._time_ms, frame.time_ms)
        self.tape.add(frame.trades)
        for listener in tuple(self.listeners):
            listener.offer(frame)
        if self._ahead is None and not self.is_done:
            self.is_done = True
            self._clock.end(self._time_ms)

    def _is_held_up(self) -> bool:
        return self._waits and not self.is_done and any(listener.is_full() for listener in self.listeners)
