"""One symbol of the live feed: its stage, and what is sent of it; no I/O.

Part of the core; every module but the base modules and `bybit` may import it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from bitcoin_pipeline.bybit.exchange_clock import ExchangeClock
from bitcoin_pipeline.bybit.frames import ReceivedTrade
from bitcoin_pipeline.bybit.klines import Kline
from bitcoin_pipeline.bybit.rest import CLOSED, RecentTrades
from bitcoin_pipeline.live.account import Account, Page
from bitcoin_pipeline.live.actions import Action, AskStatus, Report
from bitcoin_pipeline.live.closing import Closing
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.gap_ledger import GapLedger
from bitcoin_pipeline.live.own_proof import Proof
from bitcoin_pipeline.live.questions import Questions
from bitcoin_pipeline.live.tail import SymbolTail
from bitcoin_pipeline.live.trade_sender import TradeSender
from bitcoin_pipeline.times import MINUTE_US, MS_US, Instant, floor_us


class Stage(StrEnum):
    """Where a symbol stands on one connection."""

    WAITING = "waiting"
    """There is no connection, or its subscription was not answered yet."""
    CATCHING_UP = "catching_up"
    """Its frames are sent as they come, and REST is asked for what was traded before."""
    LIVE = "live"
    """Its frames are sent as they come."""
    AWAY = "away"
    """The exchange has refused it."""
    ENDED = "ended"
    """The exchange has closed it: it is traded no more."""


class SymbolFeed:
    """One symbol over all connections of a worker.

    `tail`: its last records in the topic, None if there are none. `token`: differs between workers. `shared_us`:
    returns up to which time all symbols of the connection are proven.
    """

    def __init__(  # noqa: PLR0913  # one of each
        self,
        symbol: str,
        tail: SymbolTail | None,
        token: str,
        clock: ExchangeClock,
        times: FeedTimes,
        *,
        shared_us: Callable[[], int],
    ) -> None:
        self.symbol: Final = symbol
        self.stage = Stage.WAITING
        self.proof: Final = Proof(shared_us=shared_us, has_clock=lambda: clock.has_frames)
        self._tail = tail or SymbolTail()
        self._clock: Final = clock
        self._times: Final = times
        self._minutes: Final = self._tail.minutes
        self._account: Final = Account(times)
        self._ledger: Final = GapLedger(symbol, token, self._tail.gaps, self._minutes)
        self._sender: Final = TradeSender(symbol, self._minutes, self._account, clock, times)
        self._closing: Final = Closing(
            symbol, self._minutes, self._account, self._ledger, proof=self.proof, times=times
        )
        self.questions: Final = Questions(symbol, self._closing, self._minutes, clock, times)
        self._is_started = False
        self._ticked_at: Instant | None = None
        self._away_at: Instant | None = None
        self._status_at: Instant | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Counters since the start."""
        return {**self._sender.counts, **self._closing.counts, "gaps": self._ledger.opened}

    def disconnected(self, now: Instant) -> None:
        """The connection is gone, or a fresh one has not been subscribed yet."""
        if self.stage is not Stage.ENDED:
            self._leave(Stage.WAITING, now)
        self.proof.has_klines = False

    def refused(self, now: Instant) -> list[Action]:
        """The exchange has refused the subscription; REST shows whether the symbol has ended."""
        if self.stage is Stage.ENDED:
            return []
        self._leave(Stage.AWAY, now)
        if self._status_at is not None and now - self._status_at < self._times.status_us:
            return []
        self._status_at = now
        return [AskStatus(self.symbol)]

    def subscribed(self, now: Instant) -> list[Action]:
        """The exchange has accepted the subscription; what was traded before is to be found."""
        clock_us = self._clock.time_us(now)
        self.stage, self._away_at = Stage.CATCHING_UP, None
        self.proof.is_subscribed, self.proof.own_us = True, 0
        self.questions.begin(now)
        if clock_us is None:
            self._is_started = False
            return []
        return self._begin(clock_us, now)

    def doubted(self, now: Instant) -> list[Action]:
        """A message that may have held trades of the symbol could not be read; they are to be found."""
        if self.stage not in (Stage.LIVE, Stage.CATCHING_UP):
            return []
        self._account.broken()
        return self.subscribed(now)

    def rebase(self, clock_us: int, now: Instant) -> list[Action]:
        """The exchange's time was wrong and is `clock_us`; what was traded meanwhile is to be found."""
        self._closing.rebase(clock_us)
        self._account.rebase(clock_us, self._closing.forgotten_us)
        self.proof.own_us = 0
        return self.doubted(now)

    def status(self, status: str | None, now: Instant) -> list[Action]:
        """REST's answer to AskStatus; None if REST failed or does not list the symbol."""
        clock_us = self._clock.time_us(now)
        if status != CLOSED or self.stage is not Stage.AWAY:
            return []
        self.stage = Stage.ENDED
        ended = [] if clock_us is None else self._ledger.end(clock_us)
        return [Report("symbol has ended", {"symbol": self.symbol}), *ended]

    def trades(self, trades: list[ReceivedTrade], now: Instant) -> list[Action]:
        """Send a frame's trades; the exchange's time must be known."""
        actions = [] if self._is_started else self._begin(self._clock.time_us(now) or 0, now)
        actions += self._sender.send(trades, now)
        if self._sender.amended:
            actions += self._closing.amend(self._sender.amended, now)
        return actions

    def klines(self, klines: list[Kline] | None, asked_at: Instant | None, now: Instant) -> list[Action]:
        """Take klines of the websocket, where `asked_at` is None, or REST's answer, None where REST failed."""
        if asked_at is not None and not self.questions.takes_klines(asked_at):
            return []
        clock_us = self._clock.time_us(now) or 0
        return self._closing.klines(klines or [], clock_us, now, is_answer=asked_at is not None)

    def recent_trades(self, recent: RecentTrades | None, asked_at: Instant, now: Instant) -> list[Action]:
        """REST's answer to AskRecentTrades, or None where REST failed."""
        if not self.questions.takes_recent(asked_at, now):
            return []
        page = None if recent is None else Page(recent, asked_at)
        actions: list[Action] = []
        if page is not None:
            actions += self._sender.send(page.trades, now, is_page=True)
            actions += self._joined(self._account.join(page))
            actions += self._closing.amend(self._sender.amended, now)
        return actions + self._closing.page(page, now)

    def tick(self, now: Instant) -> list[Action]:
        """What is due by `now`."""
        clock_us = self._clock.time_us(now)
        if clock_us is None:
            return []
        actions: list[Action] = []
        if not self._is_started:
            actions += self._begin(clock_us, now)
        if self._ticked_at is None:
            self._ticked_at = now
        if now - self._ticked_at >= self._times.overlap_us:
            actions += self._ledger.take_over()
        if self.stage is Stage.CATCHING_UP:
            actions += self._joined(self._account.give_up(now))
            if self._account.open_hole is None:
                self.stage, self.questions.is_joining = Stage.LIVE, False
        elif self.stage in (Stage.WAITING, Stage.AWAY):
            actions += self._grow(clock_us, now)
        if self._account.begins_us is not None and self.stage is not Stage.ENDED:
            actions += self._closing.tick(clock_us, now)
        return actions

    def _begin(self, clock_us: int, now: Instant) -> list[Action]:
        """Take up the topic's tail, once the exchange's time is known, and the subscription if there is one."""
        is_first, self._is_started = not self._is_started, True
        actions: list[Action] = []
        if is_first and self._account.begins_us is None:
            oldest_us = floor_us(clock_us - self._times.late_us) + MINUTE_US
            actions += _resume(self._tail, self._account, self._ledger, oldest_us, clock_us)
        if self.proof.is_subscribed:
            self._account.subscribed(clock_us, now)
            if self._account.begins_us is None:
                self._account.begin(floor_us(clock_us))
        return actions

    def _leave(self, stage: Stage, now: Instant) -> None:
        self._account.broken()
        self.stage = stage
        self.proof.is_subscribed, self.proof.own_us = False, 0
        self.questions.cancel()
        if self._away_at is None:
            self._away_at = now

    def _grow(self, clock_us: int, now: Instant) -> list[Action]:
        """The gap of a symbol that has been away for too long."""
        if self._away_at is None or now - self._away_at < self._times.hold_us or self._ledger.growing:
            return []
        if self._account.begins_us is None:
            self._account.resume(floor_us(clock_us))
        from_us = max(self._account.own_us, self._closing.first_open_us or 0)
        return self._ledger.open(from_us, None)

    def _joined(self, to_us: int | None) -> list[Action]:
        if to_us is None:
            return []
        self.stage, self.questions.is_joining = Stage.LIVE, False
        return [*self._ledger.end(to_us), Report("live", {"symbol": self.symbol})]


def _resume(tail: SymbolTail, account: Account, ledger: GapLedger, oldest_us: int, clock_us: int) -> list[Action]:
    """Go on where the topic ends; minutes before `oldest_us` can no longer be filled."""
    begins_us = tail.begins_us(oldest_us, clock_us)
    for open_us in [open_us for open_us in tail.minutes if open_us > clock_us]:
        del tail.minutes[open_us]
    if begins_us is None:
        return []
    account.resume(max(begins_us, oldest_us))
    actions = ledger.close()
    if begins_us < oldest_us and not ledger.growing:
        actions += ledger.open(begins_us, oldest_us - MS_US)
    return actions
