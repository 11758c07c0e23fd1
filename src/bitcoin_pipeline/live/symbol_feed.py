"""One symbol of the live feed: its stage, and what is sent of it; no I/O.

Part of the core; every module but the base modules and `bybit` may import it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from bitcoin_pipeline.bybit.frames import ReceivedTrade
from bitcoin_pipeline.live.actions import Action, Disconnect, GapChanged, Report
from bitcoin_pipeline.live.catch_up import CatchUp, times_of
from bitcoin_pipeline.live.feed_clock import FeedClock
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.gap_ledger import GapLedger
from bitcoin_pipeline.live.records import GapState
from bitcoin_pipeline.live.sent_trades import SentTrades
from bitcoin_pipeline.live.silence_check import SilenceCheck
from bitcoin_pipeline.live.tail import Tail
from bitcoin_pipeline.times import MS_US, Instant


class Stage(StrEnum):
    """Where a symbol stands on one connection."""

    WAITING = "waiting"
    """Its subscription was not answered yet."""
    CATCHING_UP = "catching_up"
    """It was subscribed, and REST is asked for what was traded before."""
    LIVE = "live"
    """Its frames are sent as they come."""
    AWAY = "away"
    """The exchange has refused it."""


class SymbolFeed:
    """One symbol over all connections of a worker.

    Heartbeats wait for a symbol that is not live until `hold_ends_at`. `proven_us`: proven by the symbol's own frames
    of this connection. `token`: differs between workers.
    """

    def __init__(self, symbol: str, tail: Tail, token: str, clock: FeedClock, times: FeedTimes) -> None:
        accounted_us = tail.accounted_us(symbol)
        self.symbol: Final = symbol
        self.stage = Stage.WAITING
        self.hold_ends_at = Instant(0)
        self.proven_us = 0
        self.ledger: Final = GapLedger(symbol, token, accounted_us, tail.gaps.get(symbol, {}))
        self.catch_up = CatchUp(symbol, times)
        self.check: Final = SilenceCheck(symbol, accounted_us or 0, times)
        self._sent: Final = SentTrades(symbol, tail.records.get(symbol, {}), self.ledger, clock)
        self._clock: Final = clock
        self._times: Final = times
        self._silences = 0

    @property
    def counts(self) -> dict[str, int]:
        """Counters since the start; `late` is part of `rejected`, `silent` counts detected silences."""
        return {**self._sent.counts, "gaps": self.ledger.opened, "silent": self._silences}

    def connected(self, now: Instant) -> None:
        """A fresh connection stands; the symbol's subscription is being requested."""
        self.disconnected()
        self.hold_ends_at = Instant(now + self._times.hold_us)

    def disconnected(self) -> None:
        """The connection is gone; what its frames proved of this symbol is dropped."""
        self.stage, self.proven_us, self.catch_up = Stage.WAITING, 0, CatchUp(self.symbol, self._times)
        self.check.cancel()

    def subscribed(self, now: Instant) -> None:
        """The exchange has accepted the subscription; what was traded before is to be found."""
        if self.stage is Stage.CATCHING_UP:
            self.catch_up.begin_again(now)
        else:
            self.catch_up.begin(now)
        self.stage = Stage.CATCHING_UP
        self.check.cancel()

    def refused(self) -> None:
        """The exchange has refused the subscription."""
        self.stage = Stage.AWAY
        self.check.cancel()

    def doubted(self, now: Instant) -> None:
        """A message that may have held trades of the symbol could not be read; they are to be found."""
        if self.stage is Stage.LIVE:
            self.hold_ends_at = Instant(now + self._times.hold_us)
        if self.stage in (Stage.LIVE, Stage.CATCHING_UP):
            self.subscribed(now)

    def trades(self, trades: list[ReceivedTrade], now: Instant) -> list[Action]:
        """A frame's trades are sent at once, or wait for the end of the catch-up."""
        if self.stage is Stage.LIVE:
            return self._sent.send(trades, now)
        self.catch_up.buffer += trades
        if len(self.catch_up.buffer) > self._times.buffered:
            return [Disconnect(f"more than {self._times.buffered} trades of {self.symbol} wait for its catch-up")]
        return self._finish_first(now)

    def tick(self, now: Instant) -> list[Action]:
        """What is due in a catch-up; nothing in other stages."""
        if self.stage is not Stage.CATCHING_UP:
            return []
        if self.ledger.accounted_us is None:
            return self._finish_first(now)
        if self.catch_up.give_up(now):
            return self._finish(now)
        return self.catch_up.ask(now)

    def recent_trades(self, page: list[ReceivedTrade] | None, asked_at: Instant, now: Instant) -> list[Action]:
        """REST's answer to the catch-up or the silence check, oldest first, or None where REST failed."""
        if self.check.awaits(asked_at):
            return self._checked(page, now)
        if self.stage is Stage.CATCHING_UP and self.catch_up.take_page(page, asked_at, now):
            return self._finish(now)
        return []

    def named_in_heartbeat(self, time_us: int) -> list[Action]:
        """A heartbeat states that every trade up to `time_us` was sent."""
        self.ledger.prove(time_us)
        self._sent.named_in_heartbeat(self.ledger.kept_records)
        return self.ledger.forget(self._clock.oldest_us)

    def passed_by_heartbeat(self, time_us: int) -> list[Action]:
        """The gap records that precede a heartbeat which does not name the symbol."""
        return self.ledger.pass_over(time_us) + self.ledger.forget(self._clock.oldest_us)

    def _finish_first(self, now: Instant) -> list[Action]:
        """A symbol that was never received goes live without REST's trades, once the start of its feed is known."""
        is_known = self.ledger.accounted_us is None and self.catch_up.start_us is not None
        return self._finish(now) if self.stage is Stage.CATCHING_UP and is_known else []

    def _finish(self, now: Instant) -> list[Action]:
        """Gap records for what was not found, REST's trades, the buffer, and the end of the gaps that are filled."""
        catch_up, self.catch_up = self.catch_up, CatchUp(self.symbol, self._times)
        reach_us, start_us = catch_up.reach_us, catch_up.start_us
        assert reach_us is not None
        page: list[ReceivedTrade] = []
        accounted_us = self.ledger.accounted_us
        if accounted_us is None:
            reach_us = start_us if start_us is not None else reach_us
            actions = self.ledger.begin(min([reach_us, *times_of(catch_up.buffer)[:1]]), reach_us)
            self.check.whole_us = reach_us
        else:
            sent = self._sent.forgotten_ids()
            page = [
                trade
                for trade in catch_up.page
                if trade.trade_id not in sent
                and (trade.time_us is None or trade.time_us > accounted_us or self.ledger.covers(trade.time_us))
            ]
            actions = self.ledger.lose_up_to(max(reach_us, self._clock.oldest_us - MS_US))
        actions += self._sent.send(page, now, is_catch_up=True)
        actions += self._sent.send(catch_up.buffer, now)
        settled = self.ledger.settle(reach_us, self._clock.oldest_us, start_us or self._clock.exchange_us(now))
        self.ledger.keep(self._sent.records())
        self.stage = Stage.LIVE
        filled = sum(isinstance(action, GapChanged) and action.gap.state is GapState.CLOSED for action in settled)
        report = {"symbol": self.symbol, "page": len(page), "buffer": len(catch_up.buffer), "filled": filled}
        return [*actions, *settled, Report("live", report)]

    def _checked(self, page: list[ReceivedTrade] | None, now: Instant) -> list[Action]:
        if page is None:
            self.check.failed(now)
            return []
        missing = self.check.missing(page, self.proven_us, self._sent.known_ids(), self.ledger.is_doubtful)
        if not missing:
            return []
        self._silences += 1
        self.ledger.retract(max(self.proven_us, self.check.whole_us))
        self.stage, self.hold_ends_at = Stage.WAITING, Instant(now + self._times.hold_us)
        return [
            Report("silent", {"symbol": self.symbol, "trades": len(missing)}),
            Disconnect(f"trades of {self.symbol} come over REST, and not over the websocket"),
        ]
