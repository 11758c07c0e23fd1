"""When a minute of one symbol is closed, and what is stated of it; no I/O.

Part of the core; imported by `symbol_feed`.

A minute whose sums equal the exchange's closed kline is whole, whatever happened within it. If ours are less, late
frames and REST's recent trades are waited for, then the minute lacks something. If ours are more, or no kline comes,
the connection's own proof decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bitcoin_pipeline.bybit.klines import Kline
from bitcoin_pipeline.live.account import Account, Page
from bitcoin_pipeline.live.actions import Action, Publish, Report
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.gap_ledger import GapLedger
from bitcoin_pipeline.live.records import minute_record
from bitcoin_pipeline.live.sent_minutes import SentMinute, SentMinutes, Verdict
from bitcoin_pipeline.times import MINUTE_US, MS_US, Instant, floor_us, iso

KLINE_ASKS: Final = 3
"""How often REST is asked for the closed kline of one minute."""
_KLINES_MISSED: Final = 2
"""Minutes without any kline after which none is waited for."""


@dataclass(slots=True)
class Proof:
    """What the connection proves of one symbol: up to which time every trade has arrived.

    `own_us`: by the symbol's own frames. `shared_us`: by pings and the other symbols' frames. `is_subscribed`: its
    frames arrive. `has_klines`: its klines were accepted.
    """

    own_us: int = 0
    shared_us: Callable[[], int] = lambda: 0
    is_subscribed: bool = False
    has_klines: bool = False


class Closing:
    """Closes the minutes of one symbol.

    `recent_due`, `klines_due_us`: what REST is to be asked for: the recent trades, and the klines from a time on.
    `counts`: closed minutes by outcome; `kline_differs` are those whose kline has other sums than REST's trades.
    """

    def __init__(  # noqa: PLR0913  # one of each
        self, symbol: str, minutes: SentMinutes, account: Account, ledger: GapLedger, *, proof: Proof, times: FeedTimes
    ) -> None:
        self.counts: Final = dict.fromkeys(("confirmed", "unconfirmed", "lost", "kline_differs"), 0)
        self.recent_due = False
        self.klines_due_us: int | None = None
        self._symbol: Final = symbol
        self._minutes: Final = minutes
        self._account: Final = account
        self._ledger: Final = ledger
        self._proof: Final = proof
        self._times: Final = times
        self._open: dict[int, SentMinute] = {}
        self._next_us = 0
        self._rest_failed_at: Instant | None = None
        self._minutes_without_kline = 0
        self._is_confirming = True

    @property
    def first_open_us(self) -> int | None:
        """The start of the earliest minute that is not closed."""
        return min(self._open, default=None)

    def tick(self, clock_us: int, now: Instant) -> list[Action]:
        """Close what can be closed by `clock_us`, the exchange's time."""
        self.recent_due, self.klines_due_us = False, None
        actions: list[Action] = []
        if self._next_us <= clock_us:
            actions += self._advance(clock_us)
        for minute in list(self._open.values()):
            if minute.end_us <= clock_us:
                actions += self._judge(minute, now)
        return actions

    def rebase(self, clock_us: int) -> None:
        """The exchange's time was wrong and is `clock_us`: later minutes have not begun."""
        self._next_us = min(self._next_us, floor_us(clock_us))
        for open_us in [open_us for open_us in self._minutes if open_us > clock_us]:
            del self._minutes[open_us]
            self._open.pop(open_us, None)

    def amend(self, amended: set[int], now: Instant) -> list[Action]:
        """Judge the minutes anew to which trades were added, if they were over before."""
        actions: list[Action] = []
        for open_us in amended:
            minute = self._minutes[open_us]
            if minute.verdict is None and open_us not in self._open and open_us < self._next_us:
                self._open[open_us] = minute
            if minute.kline is not None or minute.verdict is not None:
                actions += self._judge(minute, now)
        return actions

    def klines(self, klines: Iterable[Kline], now: Instant, *, is_answer: bool = False) -> list[Action]:
        """Take closed klines, from the websocket or from REST's answer."""
        actions: list[Action] = []
        for kline in klines:
            minute = self._minutes.get(kline.open_us)
            if minute is None and self._account.begins_us is not None and kline.open_us == self._next_us:
                # The exchange's clock may be slower in our account than it is.
                minute = self._minutes.of(kline.open_us)
            if minute is None or kline.open_us < (self._account.begins_us or 0) or not kline.is_closed:
                continue
            self._minutes_without_kline = 0
            minute.kline = kline
            if minute.verdict is Verdict.PROVEN and minute.is_short and not minute.is_checked:
                minute.verdict = None
                self._open[minute.open_us] = minute
            actions += self._judge(minute, now)
        if is_answer:
            for minute in self._open.values():
                minute.kline_asks += minute.kline is None
        return actions

    def page(self, page: Page, now: Instant) -> list[Action]:
        """Draw the conclusions from REST's recent trades, which were sent already."""
        self._rest_failed_at = None
        actions: list[Action] = []
        for minute in list(self._open.values()):
            if minute.is_short:
                actions += self._judge_short(minute, page, now)
            elif minute.silent_at is not None and page.asked_at >= minute.silent_at:
                self._check_silence(minute, page)
                actions += self._judge(minute, now)
        return actions

    def rest_failed(self, now: Instant) -> None:
        """REST did not answer a request for the recent trades."""
        self._rest_failed_at = now
        for minute in self._open.values():
            self._ask_later(minute, now)

    def _advance(self, clock_us: int) -> list[Action]:
        begins_us = self._account.begins_us
        assert begins_us is not None
        first_us = max(self._next_us or begins_us, floor_us(clock_us - self._times.late_us) + MINUTE_US)
        self._next_us = floor_us(clock_us) + MINUTE_US
        for open_us in range(first_us, self._next_us, MINUTE_US):
            minute = self._minutes.of(open_us)
            if minute.verdict is None:
                self._open[open_us] = minute
        return self._forget(clock_us)

    def _forget(self, clock_us: int) -> list[Action]:
        actions: list[Action] = []
        oldest_us = clock_us - self._times.late_us
        for minute in list(self._minutes.values()):
            age_us = clock_us - minute.end_us
            if minute.open_us < oldest_us:
                if minute.verdict is None and minute.open_us in self._open:
                    actions += self._lose(minute, [(minute.open_us, minute.end_us - MS_US)])
                del self._minutes[minute.open_us]
            elif (minute.verdict is Verdict.CONFIRMED and age_us > self._times.remember_us) or (
                minute.verdict is Verdict.PROVEN and age_us > self._times.remember_unconfirmed_us
            ):
                minute.contents = None
        self._ledger.forget(oldest_us)
        self._account.forget(min(self._open, default=oldest_us))
        return actions

    def _judge(self, minute: SentMinute, now: Instant) -> list[Action]:
        if minute.agrees:
            return self._whole(minute, Verdict.CONFIRMED)
        if minute.verdict is not None:
            return self._amended(minute)
        if minute.is_short and not minute.is_checked:
            return self._fill(minute, now)
        if minute.kline is None and self._awaits_kline(minute, now):
            return []
        return self._prove(minute, now)

    def _amended(self, minute: SentMinute) -> list[Action]:
        if minute.rejected_us is not None and minute.verdict is Verdict.PROVEN:
            return self._lose(minute, [(minute.rejected_us, minute.rejected_us)])
        return self._record(minute)

    def _fill(self, minute: SentMinute, now: Instant) -> list[Action]:
        """Wait for late frames, then for REST's recent trades, then give up."""
        if minute.short_at is None:
            minute.short_at, minute.ask_at = now, Instant(now + self._times.late_frames_us)
        if now - minute.short_at >= self._times.fill_us:
            return self._lose(minute, [(minute.open_us, minute.end_us - MS_US)])
        if minute.ask_at is not None and now >= minute.ask_at:
            self.recent_due = True
        return []

    def _judge_short(self, minute: SentMinute, page: Page, now: Instant) -> list[Action]:
        if minute.short_at is None or page.asked_at < minute.short_at or page.newest_us < minute.end_us:
            self._ask_later(minute, now)
            return []
        if not page.covers(minute.open_us):
            to_us = minute.end_us - MS_US if page.start_us is None else min(page.start_us, minute.end_us - MS_US)
            return self._lose(minute, [(minute.open_us, max(minute.open_us, to_us))])
        if minute.rejected_us is not None:
            return self._lose(minute, [(minute.rejected_us, minute.rejected_us)])
        # REST's trades and ours are the same, so the kline counts something that is no public trade.
        minute.is_checked = True
        self.counts["kline_differs"] += 1
        return self._whole(minute, Verdict.PROVEN)

    def _ask_later(self, minute: SentMinute, now: Instant) -> None:
        pause_us = self._times.ask_again_us << min(minute.asks, 3)
        minute.asks += 1
        minute.ask_at = Instant(now + pause_us)

    def _awaits_kline(self, minute: SentMinute, now: Instant) -> bool:
        proof = self._proof
        if minute.over_at is None or not proof.is_subscribed:
            minute.over_at = now
        age_us = now - minute.over_at
        is_expected = proof.has_klines and self._minutes_without_kline < _KLINES_MISSED
        if not proof.is_subscribed:
            return True
        if not is_expected and not self._account.overlapping(minute.open_us, minute.end_us):
            return False
        if is_expected and age_us < self._times.kline_us:
            return True
        if age_us >= self._times.prove_us or minute.kline_asks >= KLINE_ASKS:
            return False
        self.klines_due_us = min(self.klines_due_us or minute.open_us, minute.open_us)
        return True

    def _prove(self, minute: SentMinute, now: Instant) -> list[Action]:
        """Close the minute by the connection's own proof, once it reaches the minute's end."""
        proof, last_us = self._proof, minute.end_us - MS_US
        if not proof.is_subscribed or self._account.open_hole is not None:
            return []
        if max(proof.own_us, proof.shared_us()) < last_us:
            return []
        lost = [
            (max(hole.from_us, minute.open_us), hole.to_us)
            for hole in self._account.overlapping(minute.open_us, minute.end_us)
            if hole.to_us is not None
        ]
        if minute.rejected_us is not None:
            lost.append((minute.rejected_us, minute.rejected_us))
        if lost:
            return self._lose(minute, lost)
        if proof.own_us >= last_us or minute.is_checked:
            return self._whole(minute, Verdict.PROVEN)
        # The exchange may answer pings and keep the symbol's trades back.
        if minute.silent_at is None:
            minute.silent_at = now
        waited_us = now - minute.silent_at
        has_failed = self._rest_failed_at is not None and self._rest_failed_at >= minute.silent_at
        if waited_us >= (self._times.check_us if has_failed else self._times.silence_us):
            return self._whole(minute, Verdict.PROVEN)
        self.recent_due = True
        return []

    def _check_silence(self, minute: SentMinute, page: Page) -> None:
        if max(page.time_us, page.newest_us) < minute.end_us:
            return
        minute.is_checked = True
        if not (page.covers(minute.open_us) or self._account.own_key in page.keys or page.start_us is None):
            self._account.doubt(minute.open_us, min(page.start_us, minute.end_us - MS_US))

    def _whole(self, minute: SentMinute, verdict: Verdict) -> list[Action]:
        is_new = minute.verdict is not verdict
        minute.verdict = verdict
        self._open.pop(minute.open_us, None)
        actions = self._record(minute)
        if not is_new:
            return actions
        is_confirmed = verdict is Verdict.CONFIRMED
        self.counts["confirmed" if is_confirmed else "unconfirmed"] += 1
        self._minutes_without_kline += minute.kline is None
        if is_confirmed:
            to_us = self._account.confirm(minute.open_us, minute.end_us)
            actions += [] if to_us is None else self._ledger.end(to_us)
        actions += self._ledger.close()
        if is_confirmed is not self._is_confirming and (minute.count or is_confirmed):
            self._is_confirming = is_confirmed
            fields = {"symbol": self._symbol, "minute": iso(minute.open_us), "kline": minute.kline is not None}
            actions.append(Report("minutes are confirmed" if is_confirmed else "minute not confirmed", fields))
        return actions

    def _lose(self, minute: SentMinute, lost: list[tuple[int, int]]) -> list[Action]:
        minute.verdict = Verdict.LOST
        self._open.pop(minute.open_us, None)
        self.counts["lost"] += 1
        self._minutes_without_kline += minute.kline is None
        actions: list[Action] = []
        if not self._ledger.touches(minute.open_us):
            for from_us, to_us in lost:
                actions += self._ledger.open(from_us, self._lost_until(minute, to_us))
        return actions + self._record(minute)

    def _lost_until(self, minute: SentMinute, to_us: int) -> int:
        """The end of a gap: the next minutes lie in it as well if they are within a hole and short, too."""
        following = self._minutes.get(minute.end_us)
        while following is not None and following.is_short and following.verdict is None:
            if not self._account.overlapping(following.open_us, following.open_us + 1):
                break
            to_us = max(to_us, following.end_us - MS_US)
            following = self._minutes.get(following.end_us)
        return to_us

    def _record(self, minute: SentMinute) -> list[Action]:
        record = minute.record(self._symbol)
        return [] if record is None else [Publish(self._symbol, [minute_record(record)])]
