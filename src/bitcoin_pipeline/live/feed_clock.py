"""The times that all symbols of one worker share; no I/O.

Part of the core; imported by the other files of `live`.
"""

from __future__ import annotations

from typing import Final

from bitcoin_pipeline.bybit.session import Session
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.times import MS_US, Instant


class FeedClock:
    """The exchange's time, and that of the last heartbeat.

    `heartbeat_us`: proven by the last heartbeat in the topic, None before the first. `oldest_us`: the earliest trade
    that is still sent. `session`: of the connection that stands, else None.
    """

    def __init__(self, heartbeat_us: int | None, times: FeedTimes) -> None:
        self.session: Session | None = None
        self.heartbeat_us = heartbeat_us
        self.oldest_us = 0
        self._late_us: Final = times.late_us
        if heartbeat_us is not None:
            self.advance(heartbeat_us)

    def advance(self, heartbeat_us: int) -> None:
        """A heartbeat with this time is sent."""
        self.heartbeat_us, self.oldest_us = heartbeat_us, heartbeat_us - self._late_us

    def exchange_us(self, now: Instant) -> int | None:
        """The earliest that the exchange's time can be; None while it is unknown."""
        return self.session.exchange_time_us(now) if self.session else None

    def lag_ms(self, now: Instant) -> int | None:
        """The exchange's time less the last heartbeat's; None while either is unknown."""
        exchange_us = self.exchange_us(now)
        if exchange_us is None or self.heartbeat_us is None:
            return None
        return max(0, exchange_us - self.heartbeat_us) // MS_US
