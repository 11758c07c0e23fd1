"""The requests to REST about one symbol: which is due, and which answer is awaited; no I/O.

Part of the core; imported by `symbol_feed` and `requests`.
"""

from __future__ import annotations

from typing import Final

from bitcoin_pipeline.bybit.exchange_clock import ExchangeClock
from bitcoin_pipeline.live.actions import Action, AskKlines, AskRecentTrades
from bitcoin_pipeline.live.closing import Closing
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.sent_minutes import SentMinutes
from bitcoin_pipeline.times import MINUTE_US, Instant


class Questions:
    """At most one request for the recent trades and one for klines are awaited at a time.

    `is_joining`: the recent trades are to be asked for, so that a new connection's trades join those before it.
    """

    def __init__(
        self, symbol: str, closing: Closing, minutes: SentMinutes, clock: ExchangeClock, times: FeedTimes
    ) -> None:
        self.is_joining = False
        self._symbol: Final = symbol
        self._closing: Final = closing
        self._minutes: Final = minutes
        self._clock: Final = clock
        self._times: Final = times
        self._recent_at: Instant | None = None
        self._klines_at: Instant | None = None
        self._join_at = Instant(0)
        self._joins = 0

    def begin(self, now: Instant) -> None:
        """The symbol was subscribed: its trades are to be joined."""
        self.is_joining, self._join_at, self._joins = True, now, 0
        self._recent_at = None

    def cancel(self) -> None:
        """Ignore the answers that are awaited."""
        self.is_joining = False
        self._recent_at = self._klines_at = None

    def urgency(self, now: Instant) -> int | None:
        """How soon a request is to be sent, as the number of recent trades; None if none is due."""
        if not (self._is_recent_due(now) or self._is_kline_due()):
            return None
        return sum(minute.count for minute in list(self._minutes.values())[-2:])

    def ask(self, now: Instant) -> list[Action]:
        """The request that is due."""
        if self._is_recent_due(now):
            self._recent_at = now
            return [AskRecentTrades(self._symbol, now)]
        start_us, clock_us = self._closing.klines_due_us, self._clock.time_us(now)
        if not self._is_kline_due() or start_us is None or clock_us is None:
            return []
        self._klines_at = now
        return [AskKlines(self._symbol, now, start_us, max(2, (clock_us - start_us) // MINUTE_US + 1))]

    def takes_recent(self, asked_at: Instant, now: Instant) -> bool:
        """Whether the answer to the request of that instant is awaited; it is no longer."""
        if self._recent_at != asked_at:
            return False
        pause_us = self._times.ask_again_us << min(self._joins, 2)
        self._recent_at, self._join_at, self._joins = None, Instant(now + pause_us), self._joins + 1
        return True

    def takes_klines(self, asked_at: Instant) -> bool:
        """Whether the answer to the request of that instant is awaited; it is no longer."""
        is_awaited = self._klines_at == asked_at
        self._klines_at = None if is_awaited else self._klines_at
        return is_awaited

    def _is_recent_due(self, now: Instant) -> bool:
        is_joining = self.is_joining and now >= self._join_at
        return self._recent_at is None and (is_joining or self._closing.recent_due)

    def _is_kline_due(self) -> bool:
        return self._klines_at is None and self._closing.klines_due_us is not None
