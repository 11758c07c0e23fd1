"""The exchange's clock, as REST and the frames report it and the monotonic clock carries it on.

Part of the core; every module but the base modules may import it.
"""

from __future__ import annotations

from typing import Final

from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.times import SECOND_US, Instant

_FRAMES_AGREE: Final = 3
"""Successive frames, over a second at least, whose time counts without REST and against the clock."""


class ExchangeClock:
    """The earliest that the exchange's time can be, over all connections, and when REST is to be asked for it.

    A time is taken for that of the moment at which it arrived, so the clock is never fast. No single time moves it: one
    that differs from the clock by more than `agree_us` counts once REST and a frame, or three successive frames over a
    second agree on it. REST alone, over `rest_alone_us`, moves only a clock that no frame has agreed with.
    """

    def __init__(self, times: SessionTimes) -> None:
        self.jumps = 0
        """How often a time that differs by more than `agree_us` has replaced the clock's."""
        self.has_frames = False
        """Whether a frame has agreed with the clock."""
        self._times: Final = times
        # The exchange's time less the monotonic clock's; None before two times have agreed.
        self._offset_us: int | None = None
        self._odd_rest_us: int | None = None
        self._odd_rest_at = Instant(0)
        self._odd_frames: list[int] = []
        self._odd_since_at = Instant(0)
        self._ahead_us: int | None = None
        self._started_at: Instant | None = None
        self._due_at: Instant | None = None
        self._pending = False
        self._last_asked_at: Instant | None = None

    @property
    def is_started(self) -> bool:
        """True once the first subscription was accepted."""
        return self._started_at is not None

    def start(self, now: Instant) -> None:
        """Make a measurement due: a subscription was accepted."""
        if self._started_at is None:
            self._started_at = now
        self._due_at = now

    def time_us(self, now: Instant) -> int | None:
        """The earliest that the exchange's time can be, in microseconds UTC; None while it is unknown."""
        return None if self._offset_us is None else self._offset_us + now

    def ask(self, now: Instant) -> bool:
        """Whether REST is to be asked at `now`; the request then counts as made."""
        if self._due_at is None or self._pending or now < self._due_at:
            return False
        if self._last_asked_at is not None and now < self._last_asked_at + self._times.clock_pause_us:
            return False
        self._pending, self._last_asked_at = True, now
        return True

    def answer(self, server_us: int | None, asked_at: Instant, now: Instant) -> None:
        """Take REST's time, None where REST failed. `asked_at`: when the request left."""
        self._pending = False
        # A market that is played back stands still before the first subscription, so an older time proves nothing.
        if server_us is None or self._started_at is None or asked_at < self._started_at:
            self._due_at = Instant(now + self._times.clock_retry_us)
            return
        self._due_at = Instant(now + self._times.clock_every_us)
        offset_us = server_us - now
        if self._agrees(offset_us, self._offset_us):
            self._set(offset_us, has_frames=self.has_frames)
        elif any(self._agrees(offset_us, frame_us) for frame_us in self._odd_frames[-1:]):
            self._set(min(offset_us, self._odd_frames[-1]), has_frames=True)
        else:
            self._odd_rest(offset_us, now)

    def _odd_rest(self, offset_us: int, now: Instant) -> None:
        if self._odd_rest_us is None or not self._agrees(offset_us, self._odd_rest_us):
            self._odd_rest_us, self._odd_rest_at = offset_us, now
        is_contradicted = self._odd_frames or self.has_frames
        if now - self._odd_rest_at >= self._times.rest_alone_us and not is_contradicted:
            self._set(offset_us, has_frames=False)
        else:
            self._due_at = Instant(now + self._times.clock_retry_us)

    def saw_frame(self, sent_us: int, now: Instant) -> None:
        """Take the time at which the exchange sent a frame that has just arrived."""
        offset_us = sent_us - now
        clock_us = self._offset_us
        if clock_us is not None and abs(offset_us - clock_us) <= self._times.agree_us:
            self.has_frames = True
            if offset_us <= clock_us:
                self._ahead_us = None
            elif self._ahead_us is None:
                self._ahead_us = offset_us
            else:  # the second one in succession
                self._offset_us = max(clock_us, min(self._ahead_us, offset_us))
                self._ahead_us = offset_us
            if self._odd_frames:
                self._odd_frames = []
            return
        self._disagrees(offset_us, now)

    def _disagrees(self, offset_us: int, now: Instant) -> None:
        if self._agrees(offset_us, self._odd_rest_us):
            self._set(offset_us, has_frames=True)
            return
        if self._odd_frames and not self._agrees(offset_us, self._odd_frames[-1]):
            self._odd_frames = []
        if not self._odd_frames:
            self._odd_since_at = now
        self._odd_frames.append(offset_us)
        if len(self._odd_frames) >= _FRAMES_AGREE and now - self._odd_since_at >= SECOND_US:
            self._set(min(self._odd_frames), has_frames=True)
        elif self._started_at is not None:
            self._due_at = now

    def _agrees(self, offset_us: int, other_us: int | None) -> bool:
        return other_us is not None and abs(offset_us - other_us) <= self._times.agree_us

    def _set(self, offset_us: int, *, has_frames: bool) -> None:
        self.jumps += self._offset_us is not None and not self._agrees(offset_us, self._offset_us)
        self._offset_us, self.has_frames = offset_us, has_frames
        self._odd_rest_us = self._ahead_us = None
        self._odd_frames = []
