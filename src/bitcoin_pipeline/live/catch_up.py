"""How one symbol finds what was traded while it was not received; no I/O.

Part of the core; imported by `symbol_feed`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bitcoin_pipeline.bybit.frames import ReceivedTrade
from bitcoin_pipeline.live.actions import Action, AskRecentTrades
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.times import Instant


class CatchUp:
    """Buffers the symbol's frames while REST is asked for its recent trades, until page and buffer overlap by id.

    `buffer`: trades that came over the socket. `page`: REST's answers joined, oldest first. `start_us`: an exchange
    time by which the subscription was on; None while unknown.
    """

    def __init__(self, symbol: str, times: FeedTimes) -> None:
        self.buffer: list[ReceivedTrade] = []
        self.page: list[ReceivedTrade] = []
        self.start_us: int | None = None
        self._symbol: Final = symbol
        self._times: Final = times
        self._page_reach_us: int | None = None
        self._buffered_before = 0
        self._answered_at = Instant(0)
        self._asked_at: Instant | None = None
        self._ask_due_at = Instant(0)
        self._give_up_at = Instant(0)

    def begin(self, now: Instant) -> None:
        """The subscription was answered at `now`; frames that came earlier stay in the buffer."""
        self._give_up_at = Instant(now + self._times.give_up_us)
        self.begin_again(now)

    def begin_again(self, now: Instant) -> None:
        """Discard what REST has answered so far, as trades may have been lost at `now`."""
        self._answered_at = self._ask_due_at = now
        self.start_us = self._page_reach_us = self._asked_at = None
        self.page = []
        self._buffered_before = len(self.buffer)

    @property
    def reach_us(self) -> int | None:
        """From this time on, every trade is in the page or in the buffer; None while unknown."""
        return min((time_us for time_us in (self._page_reach_us, self.start_us) if time_us is not None), default=None)

    def saw_frame(self, sent_us: int, accounted_us: int) -> None:
        """A frame that the exchange sent at `sent_us` came after the subscription's answer, so it was sent after it."""
        if self.start_us is None and sent_us > accounted_us:
            self.start_us = sent_us

    def saw_server_time(self, server_us: int, asked_at: Instant) -> None:
        """REST was asked for its time at `asked_at`; asked after the subscription's answer, it is a time after it."""
        if asked_at >= self._answered_at:
            self.start_us = min(self.start_us or server_us, server_us)

    def give_up(self, now: Instant) -> bool:
        """Whether it has waited too long for a page that meets the buffer; pages then count for nothing."""
        if now < self._give_up_at or self.start_us is None:
            return False
        self._page_reach_us = None  # such a page proves nothing about what lies between
        return True

    def ask(self, now: Instant) -> list[Action]:
        """The request for the recent trades, if it is due."""
        if self._asked_at is not None or now < self._ask_due_at:
            return []
        self._asked_at = now
        return [AskRecentTrades(self._symbol, now)]

    def take_page(self, page: list[ReceivedTrade] | None, asked_at: Instant, now: Instant) -> bool:
        """Take REST's answer, oldest first, or None where REST failed; whether nothing lies between page and buffer.

        An answer to a request of an earlier catch-up is ignored.
        """
        if self._asked_at != asked_at:
            return False
        self._asked_at = None
        if page is None:
            self._ask_due_at = Instant(now + self._times.settle_us)
            return False
        self._join(page)
        if self._is_met(page, asked_at):
            return True
        due_at = now + self._times.ask_again_us
        if len(self.buffer) == self._buffered_before:
            due_at = max(due_at, self._answered_at + self._times.settle_us)
        self._ask_due_at = Instant(due_at)
        return False

    def _join(self, page: list[ReceivedTrade]) -> None:
        times = times_of(page)
        if not times:
            return
        earlier, reach_us = times_of(self.page), self._page_reach_us
        is_joined = reach_us is not None and bool(earlier) and max(earlier) >= min(times)
        self._page_reach_us = min(*times, reach_us) if is_joined and reach_us else min(times)
        ids = ids_of(page)
        self.page = [trade for trade in self.page if trade.trade_id not in ids] + page

    def _is_met(self, page: list[ReceivedTrade], asked_at: Instant) -> bool:
        if self._page_reach_us is None and self.start_us is None:
            return False
        buffered = ids_of(self.buffer[self._buffered_before :])
        if buffered & ids_of(page):
            return True
        if self.start_us is not None and self._page_reach_us is not None and self._page_reach_us > self.start_us:
            return True  # in a burst, all of the last trades were made after the subscription was on
        # A buffered trade that REST still lacks after a while does not exist.
        return asked_at - self._answered_at >= (self._times.distrust_us if buffered else self._times.settle_us)


def ids_of(trades: Iterable[ReceivedTrade]) -> set[str]:
    """The ids that can be read."""
    return {trade.trade_id for trade in trades if trade.trade_id is not None}


def times_of(trades: Iterable[ReceivedTrade]) -> list[int]:
    """The times that can be read, in the trades' order."""
    return [trade.time_us for trade in trades if trade.time_us is not None]
