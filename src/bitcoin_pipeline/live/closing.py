"""When a minute of one symbol is closed, and what is stated of it; no I/O.

Part of the core; imported by `symbol_feed`.

A minute whose sums equal the exchange's closed kline is whole, whatever happened within it. If ours are less, late
frames and REST's recent trades are waited for, then the minute lacks something. If ours are more, or no kline comes,
the connection's own proof decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bitcoin_pipeline.bybit.klines import Kline
from bitcoin_pipeline.bybit.rest import RECENT_TRADES
from bitcoin_pipeline.live.account import Account, Page
from bitcoin_pipeline.live.actions import Action
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.gap_ledger import GapLedger
from bitcoin_pipeline.live.outcomes import Outcomes
from bitcoin_pipeline.live.own_proof import OwnProof, Proof
from bitcoin_pipeline.live.sent_minutes import SentMinute, SentMinutes, Verdict
from bitcoin_pipeline.times import MINUTE_US, MS_US, Instant, floor_us

KLINE_ASKS: Final = 3
"""How often REST is asked for the closed kline of one minute."""
_KLINES_MISSED: Final = 2
"""Minutes without any kline after which none is waited for."""


class Closing:
    """Closes the minutes of one symbol.

    `klines_due_us`: REST is to be asked for the klines from this time on; None if it need not be. `forgotten_us`: the
    minutes that began before it are forgotten.
    """

    def __init__(  # noqa: PLR0913  # one of each
        self, symbol: str, minutes: SentMinutes, account: Account, ledger: GapLedger, *, proof: Proof, times: FeedTimes
    ) -> None:
        self.klines_due_us: int | None = None
        self._minutes: Final = minutes
        self._account: Final = account
        self._ledger: Final = ledger
        self._proof: Final = proof
        self._times: Final = times
        self._outcomes: Final = Outcomes(symbol, minutes, account, ledger)
        self.counts: Final = self._outcomes.counts
        """Closed minutes by outcome, since the start."""
        self._own_proof: Final = OwnProof(proof, account, times)
        self._open: Final = self._outcomes.open
        self.forgotten_us = 0
        self._is_fill_due = False
        self._next_us = 0

    @property
    def recent_due(self) -> bool:
        """Whether REST is to be asked for the recent trades."""
        return self._is_fill_due or self._own_proof.recent_due

    @property
    def first_open_us(self) -> int | None:
        """The start of the earliest minute that is not closed."""
        return min(self._open, default=None)

    def tick(self, clock_us: int, now: Instant) -> list[Action]:
        """Close what can be closed by `clock_us`, the exchange's time."""
        self._is_fill_due = self._own_proof.recent_due = False
        self.klines_due_us = None
        actions: list[Action] = []
        if self._next_us <= clock_us:
            actions += self._advance(clock_us)
        for minute in list(self._open.values()):
            if minute.end_us <= clock_us:
                actions += self._judge(minute, now)
        return actions

    def rebase(self, clock_us: int) -> None:
        """The exchange's time was wrong and is `clock_us`: later minutes have not begun, whatever was sent of them."""
        self._next_us = min(self._next_us, floor_us(clock_us))
        for minute in [minute for minute in self._minutes.values() if minute.end_us > clock_us]:
            self._open.pop(minute.open_us, None)
            minute.verdict = minute.kline = minute.over_at = minute.short_at = minute.silent_at = None
            if not minute.contents:
                del self._minutes[minute.open_us]

    def amend(self, amended: set[int], now: Instant) -> list[Action]:
        """Judge the minutes anew to which trades were added, if they were over before; empties `amended`."""
        actions: list[Action] = []
        for open_us in sorted(amended):
            minute = self._minutes[open_us]
            if minute.verdict is None and open_us not in self._open and open_us < self._next_us:
                self._open[open_us] = minute
            if minute.kline is not None or minute.verdict is not None:
                actions += self._judge(minute, now)
        amended.clear()
        return actions

    def klines(self, klines: Iterable[Kline], clock_us: int, now: Instant, *, is_answer: bool = False) -> list[Action]:
        """Take closed klines, from the websocket or from REST's answer. `clock_us`: the exchange's time."""
        actions: list[Action] = []
        for kline in klines:
            minute = self._minutes.get(kline.open_us)
            if minute is None and self._account.begins_us is not None and kline.open_us == self._next_us:
                # The exchange's clock may be slower in our account than it is.
                minute = self._minutes.of(kline.open_us)
            if minute is None or kline.open_us < (self._account.begins_us or 0) or not kline.is_closed:
                continue
            if minute.end_us > clock_us + self._times.clock_slow_us:
                continue  # a minute that is not over has no last sums
            self._outcomes.without_kline = 0
            minute.kline = kline
            if minute.is_whole and minute.is_short and not minute.is_checked:
                minute.verdict = None
                self._open[minute.open_us] = minute
            actions += self._judge(minute, now)
        if is_answer:
            for minute in self._open.values():
                minute.kline_asks += minute.kline is None
        return actions

    def page(self, page: Page | None, now: Instant) -> list[Action]:
        """Draw the conclusions from REST's recent trades, which were sent already; None if REST failed."""
        self._own_proof.rest_answered(now, has_failed=page is None)
        actions: list[Action] = []
        for minute in list(self._open.values()):
            if page is None:
                self._ask_later(minute, now)
            elif minute.is_short:
                actions += self._judge_short(minute, page, now)
            elif minute.silent_at is not None:
                self._own_proof.check(minute, page)
                actions += self._judge(minute, now)
        return actions

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
        self.forgotten_us = oldest_us = clock_us - self._times.late_us
        later = 0
        for minute in sorted(self._minutes.values(), key=lambda minute: -minute.open_us):
            age_us = clock_us - minute.end_us
            if minute.open_us < oldest_us:
                if minute.verdict is None and minute.open_us in self._open:
                    actions += self._outcomes.forget(minute, is_away=not self._proof.is_subscribed)
                del self._minutes[minute.open_us]
            elif (minute.verdict is Verdict.CONFIRMED and age_us >= self._times.remember_us) or (
                age_us >= self._times.remember_unconfirmed_us
                and (minute.verdict is Verdict.PROVEN or (minute.verdict is Verdict.LOST and later >= RECENT_TRADES))
            ):
                minute.contents = None  # of what is lost, REST no longer lists the trades
            later += minute.count
        self._ledger.forget(oldest_us)
        self._account.forget(min(self._open, default=oldest_us))
        return actions

    def _judge(self, minute: SentMinute, now: Instant) -> list[Action]:
        if minute.agrees:
            return self._outcomes.whole(minute, Verdict.CONFIRMED)
        outcomes = self._outcomes
        if minute.verdict is not None:
            is_doubted = minute.rejected_us is not None and minute.verdict is Verdict.PROVEN
            return outcomes.lose(minute, minute.rejected) if is_doubted else outcomes.record(minute)
        if minute.is_short and not minute.is_checked:
            return self._fill(minute, now)
        awaits_kline = minute.kline is None and self._awaits_kline(minute, now)
        lost = None if awaits_kline else self._own_proof.lost(minute, now)
        if lost is None:
            return []
        return outcomes.lose(minute, lost) if lost else outcomes.whole(minute, Verdict.PROVEN)

    def _fill(self, minute: SentMinute, now: Instant) -> list[Action]:
        """Wait for late frames, then for REST's recent trades, then give up."""
        if minute.short_at is None:
            minute.short_at, minute.ask_at = now, Instant(now + self._times.late_frames_us)
        if now - minute.short_at >= self._times.fill_us:
            return self._outcomes.lose(minute, [(minute.open_us, minute.end_us - MS_US)])
        if minute.ask_at is not None and now >= minute.ask_at:
            self._is_fill_due = True
        return []

    def _judge_short(self, minute: SentMinute, page: Page, now: Instant) -> list[Action]:
        if minute.short_at is None or page.asked_at < minute.short_at or page.newest_us < minute.end_us:
            self._ask_later(minute, now)
            return []
        if not page.covers(minute.open_us):
            to_us = minute.end_us - MS_US if page.start_us is None else min(page.start_us, minute.end_us - MS_US)
            return self._outcomes.lose(minute, [(minute.open_us, max(minute.open_us, to_us))])
        if minute.rejected:
            return self._outcomes.lose(minute, minute.rejected)
        # REST's trades and ours are the same, so the kline counts something that is no public trade.
        minute.is_checked = True
        self._outcomes.counts["kline_differs"] += 1
        return self._outcomes.whole(minute, Verdict.PROVEN)

    def _ask_later(self, minute: SentMinute, now: Instant) -> None:
        pause_us = self._times.ask_again_us << min(minute.asks, 3)
        minute.asks += 1
        minute.ask_at = Instant(now + pause_us)

    def _awaits_kline(self, minute: SentMinute, now: Instant) -> bool:
        proof = self._proof
        if minute.over_at is None or not proof.is_subscribed:
            minute.over_at = now
        age_us = now - minute.over_at
        is_expected = proof.has_klines and self._outcomes.without_kline < _KLINES_MISSED
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
