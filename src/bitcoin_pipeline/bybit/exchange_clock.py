"""The exchange's clock, as REST reports it and the monotonic clock carries it on.

Part of the core; imported by `session`.
"""

from __future__ import annotations

from typing import Final

from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.times import Instant


class ExchangeClock:
    """The exchange's time on one connection, and when REST is to be asked for it again.

    REST's time is taken for that of the moment at which the answer arrived, so the clock is never fast and a slow
    answer proves less, not more.
    """

    def __init__(self, times: SessionTimes, now: Instant) -> None:
        self._times: Final = times
        self._measured: tuple[int, Instant] | None = None
        self._started_at: Instant | None = None
        self._due_at: Instant | None = None
        self._pending_since_at: Instant | None = None
        self._last_asked_at = Instant(now - times.clock_pause_us)

    @property
    def is_started(self) -> bool:
        """True once the first subscription of the connection was accepted."""
        return self._started_at is not None

    def start(self, now: Instant) -> None:
        """Begin to measure; a second call does nothing."""
        if self._started_at is None:
            self._started_at = self._due_at = now

    def measure_soon(self, now: Instant) -> None:
        """Make a measurement due now, if the clock is started."""
        if self._started_at is not None:
            self._due_at = now

    def time_us(self, now: Instant) -> int | None:
        """The earliest that the exchange's time can be, in microseconds UTC; None before the first measurement."""
        return self._measured and self._measured[0] + now - self._measured[1]

    def ask(self, now: Instant) -> bool:
        """Whether REST is to be asked at `now`; the request then counts as made."""
        if self._due_at is None or self._pending_since_at is not None:
            return False
        if now < max(self._due_at, self._last_asked_at + self._times.clock_pause_us):
            return False
        self._pending_since_at = self._last_asked_at = now
        return True

    def answer(self, server_us: int | None, asked_at: Instant, now: Instant) -> int | None:
        """Take REST's time, None where REST failed; returns it if it counts. `asked_at`: when the request left."""
        self._pending_since_at = None
        if server_us is None or self._started_at is None or asked_at < self._started_at:
            # A market that is played back stands still before the first subscription, so an older time proves nothing.
            self._due_at = Instant(now + self._times.clock_retry_us)
            return None
        self._measured = (server_us, now)
        self._due_at = Instant(now + self._times.clock_every_us)
        return server_us
