"""The playback of a market, which all connections share: it plays each frame when its clock makes it due.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Protocol

from local.exchange.live.clocks import Clock
from local.exchange.live.frames import Frame
from local.exchange.live.history import TradeHistory
from local.exchange.live.sources import Source

_FRAMES_AT_ONCE: Final = 256
"""Number of frames that are played before other tasks run, where all frames are due at once."""

_IDLE_SECONDS: Final = 3600.0
"""Longest wait for the next frame."""

_STALL_CHECK_SECONDS: Final = 1.0
"""Interval at which a playback that waits for a slow connection checks whether it has stalled."""


class Listener(Protocol):
    """A receiver of the frames that are played, such as a connection."""

    def offer(self, frame: Frame) -> None:
        """Receive a frame that is played now."""
        ...

    def is_full(self) -> bool:
        """True while so much waits to be sent that a playback with `waits` pauses."""
        ...

    def drop_if_stalled(self) -> None:
        """Disconnect when the client has read nothing for a long time."""
        ...


class Playback:
    """Plays each frame once, when it is due: into the history and to every current listener.

    `play_due` plays and never waits. Every answer of the exchange is preceded by it, so that no answer is of a time
    whose frames have not been sent. `waits`: a full listener pauses the playback, and the clock with it.
    """

    def __init__(self, source: Source, clock: Clock, history: TradeHistory, first_ms: int, *, waits: bool) -> None:
        self.source: Final = source
        self.topics: Final = source.topics
        self.history: Final = history
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
        """Start the clock, unless it is started already."""
        if not self.is_started:
            self.is_started = True
            self._clock.start()
            self.wake()

    def wake(self) -> None:
        """Let `run` check again what is due, as a listener has room or frames were added."""
        self._wake.set()

    def add(self, frames: Iterable[Frame]) -> None:
        """Play further frames, each at its time, which must be later than those of all frames played or added before.

        Frames of one symbol must not mix with those of the source, so this is for a source that has ended.
        """
        self._added.extend(frames)
        self.wake()

    def free_from_ms(self) -> int:
        """The first time after all frames that were played or added."""
        return max(self.now_ms(), self._added[-1].time_ms if self._added else 0) + 1

    def now_ms(self) -> int:
        """The exchange's time; every frame before it has been played. It never decreases."""
        self.play_due()
        due_ms, head = self._clock.due_ms(), self._head()
        if due_ms != math.inf:
            self._time_ms = max(self._time_ms, int(due_ms if head is None else min(due_ms, head.time_ms)))
        return self._time_ms

    def play_due(self) -> None:
        """Play the frames that are due, as far as listeners have room."""
        if not self.is_started:
            return
        due_ms = self._clock.due_ms()
        remaining: float = _FRAMES_AT_ONCE if due_ms == math.inf else math.inf
        while remaining > 0 and (head := self._head()) and head.time_ms <= due_ms and not self._is_paused():
            self._play(head)
            remaining -= 1

    async def run(self) -> None:
        """Play until cancelled."""
        while True:
            self._wake.clear()
            self.play_due()
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
        if self._is_paused():
            for listener in tuple(self.listeners):
                listener.drop_if_stalled()
            return _STALL_CHECK_SECONDS
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
        self.history.add(frame.trades)
        self.history.add_klines(frame.symbol, frame.klines)
        for listener in tuple(self.listeners):
            listener.offer(frame)
        if self._ahead is None and not self.is_done:
            self.is_done = True
            self._clock.end(self._time_ms)

    def _is_paused(self) -> bool:
        return self._waits and not self.is_done and any(listener.is_full() for listener in self.listeners)
