"""When a heartbeat is sent, and what it states; no I/O.

Part of the core; imported by `feed`. A heartbeat closes nothing: it shows the health and the lag of the live symbols.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from bitcoin_pipeline.bybit.exchange_clock import ExchangeClock
from bitcoin_pipeline.live.actions import Action, Broadcast
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.records import Heartbeat, heartbeat_record
from bitcoin_pipeline.live.symbol_feed import Stage, SymbolFeed
from bitcoin_pipeline.times import MS_US, Instant


class Heartbeats:
    """The heartbeats of one connection.

    `sent_at`: when the last one was sent, None before the first. `time_us`: what it proved.
    """

    def __init__(self, symbols: Collection[SymbolFeed], clock: ExchangeClock, times: FeedTimes) -> None:
        self.sent_at: Instant | None = None
        self.time_us = 0
        self._symbols: Final = symbols
        self._clock: Final = clock
        self._times: Final = times

    def due(self, now: Instant, reconnects: int) -> list[Action]:
        """The heartbeat that is due, if a live symbol is proven any further."""
        if self.sent_at is not None and now - self.sent_at < self._times.heartbeat_us:
            return []
        live = [symbol for symbol in self._symbols if symbol.stage is Stage.LIVE]
        time_us = min((symbol.proof.proven_us for symbol in live), default=0)
        time_us -= time_us % MS_US
        if time_us <= self.time_us:
            return []
        self.sent_at, self.time_us = now, time_us
        names = tuple(symbol.symbol for symbol in live)
        return [Broadcast(heartbeat_record(Heartbeat(time_us, names, self.lag_ms(now) or 0, reconnects)))]

    def rebase(self, clock_us: int) -> None:
        """The exchange's time is `clock_us`: nothing later is proven."""
        self.time_us = min(self.time_us, clock_us)

    def lag_ms(self, now: Instant) -> int | None:
        """The exchange's time less the last heartbeat's; None while either is unknown."""
        clock_us = self._clock.time_us(now)
        if clock_us is None or not self.time_us:
            return None
        return max(0, clock_us - self.time_us) // MS_US
