"""What is stated of a minute that is closed: its record, its gaps, and the counters; no I/O.

Part of the core; imported by `closing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bitcoin_pipeline.live.account import Account
from bitcoin_pipeline.live.actions import Action, Publish, Report
from bitcoin_pipeline.live.gap_ledger import GapLedger
from bitcoin_pipeline.live.records import minute_record
from bitcoin_pipeline.live.sent_minutes import SentMinute, SentMinutes, Verdict
from bitcoin_pipeline.times import MS_US, iso


class Outcomes:
    """The closed minutes of one symbol.

    `counts`: closed minutes by outcome; `kline_differs` are those whose kline has other sums than REST's trades.
    `open`: the minutes that have begun and are not closed. `without_kline`: minutes closed since the last kline came.
    """

    def __init__(self, symbol: str, minutes: SentMinutes, account: Account, ledger: GapLedger) -> None:
        self.counts: Final = dict.fromkeys(("confirmed", "unconfirmed", "lost", "kline_differs"), 0)
        self.open: Final[dict[int, SentMinute]] = {}
        self.without_kline = 0
        self._symbol: Final = symbol
        self._minutes: Final = minutes
        self._account: Final = account
        self._ledger: Final = ledger
        self._is_confirming = True

    def whole(self, minute: SentMinute, verdict: Verdict) -> list[Action]:
        """Close a minute that lacks nothing; the gaps that are filled thereby follow its record."""
        is_new = minute.verdict is not verdict
        minute.verdict = verdict
        self.open.pop(minute.open_us, None)
        actions = self.record(minute)
        if not is_new:
            return actions
        is_confirmed = verdict is Verdict.CONFIRMED
        self.counts["confirmed" if is_confirmed else "unconfirmed"] += 1
        self.without_kline += minute.kline is None
        if is_confirmed:
            to_us = self._account.confirm(minute.open_us, minute.end_us)
            actions += [] if to_us is None else self._ledger.end(to_us)
        actions += self._ledger.close()
        if is_confirmed is not self._is_confirming and (minute.count or is_confirmed):
            self._is_confirming = is_confirmed
            fields = {"symbol": self._symbol, "minute": iso(minute.open_us), "kline": minute.kline is not None}
            actions.append(Report("minutes are confirmed" if is_confirmed else "minute not confirmed", fields))
        return actions

    def lose(self, minute: SentMinute, lost: Sequence[tuple[int, int]]) -> list[Action]:
        """Close a minute that may lack the trades between these times; its gaps precede its record."""
        minute.verdict = Verdict.LOST
        self.open.pop(minute.open_us, None)
        self.counts["lost"] += 1
        self.without_kline += minute.kline is None
        actions: list[Action] = []
        if not self._ledger.touches(minute.open_us):
            for from_us, to_us in lost:
                actions += self._ledger.open(from_us, self._lost_until(minute, to_us))
        return actions + self.record(minute)

    def forget(self, minute: SentMinute, *, is_away: bool) -> list[Action]:
        """Give up a minute that is too old to be filled; one of an absent symbol without a trade needs no record."""
        if minute.count or not is_away:
            return self.lose(minute, [(minute.open_us, minute.end_us - MS_US)])
        del self.open[minute.open_us]
        self.counts["lost"] += 1
        return self._ledger.grow(minute.open_us)

    def record(self, minute: SentMinute) -> list[Action]:
        """The minute record, if it differs from the last one."""
        record = minute.record(self._symbol)
        return [] if record is None else [Publish(self._symbol, [minute_record(record)])]

    def _lost_until(self, minute: SentMinute, to_us: int) -> int:
        """The end of a gap: the next minutes lie in it as well if they are within a hole and short, too."""
        following = self._minutes.get(minute.end_us)
        while following is not None and following.is_short and following.verdict is None:
            if not self._account.overlapping(following.open_us, following.open_us + 1):
                break
            to_us = max(to_us, following.end_us - MS_US)
            following = self._minutes.get(following.end_us)
        return to_us
