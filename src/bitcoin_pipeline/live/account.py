"""Which times of one symbol are accounted for by its connections and by REST's recent trades; no I/O.

Part of the core; imported by `symbol_feed` and `closing`.

A hole is a time from which trades may be missing: from the last trade before a connection ended to the trades of the
next one. REST's recent trades end it: if they contain a trade that was sent before the hole, and one that the new
connection delivered, nothing is missing. Identity alone counts, as times of other sources may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bitcoin_pipeline.bybit.frames import PlainTrade, ReceivedTrade
from bitcoin_pipeline.bybit.rest import RecentTrades
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.times import Instant, floor_us


@dataclass(slots=True)
class Hole:
    """Trades from `from_us` to `to_us` may be missing; `to_us` is None until page and connection overlap.

    `key`: the hash of the id of the last trade before it, None where it is unknown.
    """

    from_us: int
    to_us: int | None
    key: int | None = None

    def overlaps(self, from_us: int, to_us: int) -> bool:
        """Whether a trade from `from_us` to before `to_us` may be missing."""
        return self.from_us < to_us and (self.to_us is None or self.to_us >= from_us)


class Page:
    """An answer of REST to a request for the recent trades, which left at `asked_at`.

    `start_us`: every trade later than this, up to `newest_us`, is in the page; None for an empty page. Both are the
    second ones from the page's ends, so that a single odd time proves nothing. `time_us`: the exchange's time of the
    answer, 0 if unknown.
    """

    def __init__(self, recent: RecentTrades, asked_at: Instant) -> None:
        self.asked_at: Final = asked_at
        self.trades: Final[list[ReceivedTrade]] = recent.trades
        times = sorted(trade.time_us for trade in recent.trades if trade.time_us is not None)
        self.start_us: Final = times[min(1, len(times) - 1)] if times else None
        self.newest_us: Final = times[max(-2, -len(times))] if times else 0
        self.time_us: Final = recent.time_us or 0
        self.keys: Final = {hash(trade.trade_id) for trade in recent.trades if isinstance(trade, PlainTrade)}

    def covers(self, from_us: int) -> bool:
        """Whether the page reaches back to before `from_us`."""
        return self.start_us is not None and self.start_us < from_us


class Account:
    """The holes of one symbol, and where it stands on its connection.

    `begins_us`: nothing before it is sent from REST's answers; None while the symbol was never received. `own_us`,
    `own_key`: time, and hash of the id, of the last trade that a connection delivered.
    """

    def __init__(self, times: FeedTimes) -> None:
        self.begins_us: int | None = None
        self.holes: list[Hole] = []
        self.own_us = 0
        self.own_key: int | None = None
        self._times: Final = times
        self._subscribed_us: int | None = None
        self._subscribed_at = Instant(0)
        self._fresh: set[int] = set()

    @property
    def open_hole(self) -> Hole | None:
        """The hole that waits for the overlap of page and connection."""
        return next((hole for hole in self.holes if hole.to_us is None), None)

    def resume(self, begins_us: int) -> None:
        """Go on after a restart: from `begins_us` on, nothing is accounted for."""
        self.begins_us = self.own_us = begins_us
        self.holes = [Hole(begins_us, None)]

    def rebase(self, clock_us: int, forgotten_us: int) -> None:
        """The exchange's time was wrong and is `clock_us`. `forgotten_us`: earlier minutes were forgotten."""
        if self.begins_us is None:
            return
        if max(self.begins_us, forgotten_us) > clock_us:
            self.begins_us = floor_us(clock_us)
            self.holes = [Hole(self.begins_us, clock_us + self._times.pad_us)]
        if self.own_us > clock_us:
            self.own_us, self.own_key = floor_us(clock_us), None

    def broken(self) -> None:
        """The connection, or part of what it carries, is lost."""
        if self.begins_us is not None and self.open_hole is None:
            self.holes.append(Hole(self.own_us, None, self.own_key))
        self._subscribed_us = None
        self._fresh = set()

    def subscribed(self, clock_us: int, now: Instant) -> None:
        """The subscription was answered. `clock_us`: the exchange's time."""
        self._subscribed_us, self._subscribed_at = clock_us + self._times.pad_us, now
        self._fresh = set()

    def begin(self, open_us: int) -> None:
        """Account for a symbol that was never received, from the minute of its subscription on."""
        assert self._subscribed_us is not None
        self.begins_us = open_us
        self.own_us = self._subscribed_us
        self.holes = [Hole(open_us, self._subscribed_us)]

    def came(self, trade: PlainTrade, clock_us: int) -> None:
        """The connection has delivered a trade. `clock_us`: the exchange's time, which no trade is taken to pass."""
        key = hash(trade.trade_id)
        time_us = min(trade.time_us, clock_us)
        if time_us >= self.own_us:
            self.own_us, self.own_key = time_us, key
        if self._subscribed_us is not None and self.open_hole is not None:
            self._fresh.add(key)

    def join(self, page: Page) -> int | None:
        """Take REST's answer; the end of the hole that waited for it, or None where it still waits.

        A hole is removed if the page reaches back to its start.
        """
        hole = self.open_hole
        if hole is None or self._subscribed_us is None or page.asked_at < self._subscribed_at:
            return None
        start_us = page.start_us
        is_met = (
            bool(self._fresh & page.keys)
            or (not self._fresh and self._is_up_to_date(page))
            or (start_us is not None and start_us > self._subscribed_us)
        )
        if not is_met:
            return None
        is_reached = hole.key in page.keys if hole.key is not None else page.covers(hole.from_us)
        end_us = self._subscribed_us if start_us is None or is_reached else min(start_us, self._subscribed_us)
        self._end(hole, end_us)
        if is_reached:
            self.holes.remove(hole)
        return hole.to_us

    def give_up(self, now: Instant) -> int | None:
        """End the open hole at the subscription, if no sufficient page has come for too long; returns that end."""
        hole = self.open_hole
        if hole is None or self._subscribed_us is None or now - self._subscribed_at < self._times.give_up_us:
            return None
        self._end(hole, self._subscribed_us)
        return hole.to_us

    def confirm(self, from_us: int, to_us: int) -> int | None:
        """Remove the open hole if it lies within a confirmed minute, as does the subscription; returns its end."""
        hole, subscribed_us = self.open_hole, self._subscribed_us
        if hole is None or subscribed_us is None or hole.from_us < from_us or subscribed_us >= to_us:
            return None
        self._end(hole, subscribed_us)
        self.holes.remove(hole)
        return hole.to_us

    def _is_up_to_date(self, page: Page) -> bool:
        """Whether the page has all that precedes the subscription, even if REST's data lag behind its time."""
        assert self._subscribed_us is not None
        waited_us = page.asked_at - self._subscribed_at
        return waited_us >= self._times.rest_lag_us and page.time_us >= self._subscribed_us

    def _end(self, hole: Hole, to_us: int) -> None:
        hole.to_us = max(hole.from_us, to_us)
        self._fresh = set()

    def overlapping(self, from_us: int, to_us: int) -> list[Hole]:
        """The holes within a time."""
        return [hole for hole in self.holes if hole.overlaps(from_us, to_us)]

    def forget(self, before_us: int) -> None:
        """Drop the holes that end before a time whose minutes are closed."""
        self.holes = [hole for hole in self.holes if hole.to_us is None or hole.to_us >= before_us]
