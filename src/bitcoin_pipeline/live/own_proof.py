"""What the connection itself proves of a minute, where no closed kline decides; no I/O.

Part of the core; imported by `closing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bitcoin_pipeline.live.account import Account, Hole, Page
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.sent_minutes import SentMinute
from bitcoin_pipeline.times import MS_US, Instant


@dataclass(slots=True)
class Proof:
    """What the connection proves of one symbol: up to which time every trade has arrived.

    `own_us`: by the symbol's own frames. `shared_us`: by pings and the other symbols' frames. `is_subscribed`: its
    frames arrive. `has_klines`: its klines were accepted. `has_clock`: frames have shown the exchange's time, by which
    pings prove.
    """

    own_us: int = 0
    shared_us: Callable[[], int] = lambda: 0
    is_subscribed: bool = False
    has_klines: bool = False
    has_clock: Callable[[], bool] = lambda: True

    @property
    def proven_us(self) -> int:
        """Every trade up to here has arrived."""
        return max(self.own_us, self.shared_us())


class OwnProof:
    """The rules by which a minute of one symbol is closed without a kline.

    `recent_due`: REST is to be asked for the recent trades.
    """

    def __init__(self, proof: Proof, account: Account, times: FeedTimes) -> None:
        self.recent_due = False
        self._proof: Final = proof
        self._account: Final = account
        self._times: Final = times
        self._rest_failed_at: Instant | None = None

    def rest_answered(self, now: Instant, *, has_failed: bool) -> None:
        """REST was asked for the recent trades."""
        self._rest_failed_at = now if has_failed else None

    def lost(self, minute: SentMinute, now: Instant) -> list[tuple[int, int]] | None:
        """The times of the minute that may lack trades; none if it is whole, None while that is unknown."""
        proof, last_us = self._proof, minute.end_us - MS_US
        if not proof.is_subscribed or self._account.open_hole is not None or proof.proven_us < last_us:
            return None
        if not proof.has_clock():
            return None  # REST alone has shown the time: the minute may not be over
        lost = [
            (max(hole.from_us, minute.open_us), hole.to_us)
            for hole in self._account.overlapping(minute.open_us, minute.end_us)
            if hole.to_us is not None
        ]
        lost += minute.rejected
        if lost or proof.own_us >= last_us or minute.is_checked or self._has_waited(minute, now):
            return lost
        self.recent_due = True
        return None

    def check(self, minute: SentMinute, page: Page) -> None:
        """See whether REST's recent trades, which were sent already, show all that a silent symbol has kept back."""
        if minute.silent_at is None or page.asked_at < minute.silent_at:
            return
        if max(page.time_us, page.newest_us) < minute.end_us:
            return
        minute.is_checked = True
        if not (page.covers(minute.open_us) or self._account.own_key in page.keys or page.start_us is None):
            self._account.holes.append(Hole(minute.open_us, min(page.start_us, minute.end_us - MS_US)))

    def _has_waited(self, minute: SentMinute, now: Instant) -> bool:
        """Whether REST has not shown for long enough that a silent symbol has no trades.

        The exchange may answer pings and keep the symbol's trades back.
        """
        if minute.silent_at is None:
            minute.silent_at = now
        has_failed = self._rest_failed_at is not None and self._rest_failed_at >= minute.silent_at
        return now - minute.silent_at >= (self._times.check_us if has_failed else self._times.silence_us)
