"""When a heartbeat is sent, what it proves and which symbols it names; no I/O.

Part of the core; imported by `feed`.

A heartbeat names the live symbols. If it passes over another symbol, that symbol's gap records precede it, so that no
minute of it becomes final; a symbol that is not live yet is waited for a while. Before a heartbeat passes the end of a
minute, REST is asked about each symbol whose own frames do not reach that end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from bitcoin_pipeline.live.actions import Action, Broadcast
from bitcoin_pipeline.live.feed_clock import FeedClock
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.records import Heartbeat, heartbeat_record
from bitcoin_pipeline.live.symbol_feed import Stage, SymbolFeed
from bitcoin_pipeline.times import MINUTE_US, MS_US, Instant, floor_us


class Heartbeats:
    """The heartbeats of one worker.

    `sent_at`: when this worker sent its last one, None before the first. `proven_us`: proven of every symbol of
    this connection.
    """

    def __init__(self, symbols: Collection[SymbolFeed], clock: FeedClock, times: FeedTimes) -> None:
        self.sent_at: Instant | None = None
        self.proven_us = 0
        self._symbols: Final = symbols
        self._clock: Final = clock
        self._times: Final = times
        self._minute_proof_us = 0 if clock.heartbeat_us is None else _proof_of_next_minute_us(clock.heartbeat_us)
        self._unsure_since_at: Instant | None = None

    @property
    def may_close_minute(self) -> bool:
        """Whether the connection's proof reaches past the end of a minute; a lone symbol's own frames may do so too."""
        return self.proven_us >= self._minute_proof_us or len(self._symbols) == 1

    def due(self, now: Instant, reconnects: int, *, only_minute: bool = False) -> list[Action]:
        """The heartbeat that is due, or the requests to REST that must be answered first.

        `only_minute`: no heartbeat is due unless it passes the end of a minute.
        """
        live: list[SymbolFeed] = []
        others: list[SymbolFeed] = []
        for symbol in self._symbols:
            if symbol.stage is Stage.LIVE:
                live.append(symbol)
            elif symbol.stage is not Stage.AWAY and now < symbol.hold_ends_at:
                return []
            else:
                others.append(symbol)
        if not live:
            return []
        time_us = min(max(symbol.proven_us, self.proven_us) for symbol in live)
        time_us -= time_us % MS_US
        if time_us <= (self._clock.heartbeat_us or 0):
            return []
        if time_us < self._minute_proof_us:
            is_due = self.sent_at is None or now - self.sent_at >= self._times.heartbeat_us
            if only_minute or not is_due:
                return []
        elif unsure := self._unsure(live, time_us, now):
            return [action for symbol in unsure for action in symbol.check.ask(time_us, now)]
        return self._send(time_us, live, others, now, reconnects)

    def _send(
        self,
        time_us: int,
        live: Iterable[SymbolFeed],
        others: Iterable[SymbolFeed],
        now: Instant,
        reconnects: int,
    ) -> list[Action]:
        self._unsure_since_at = None
        actions: list[Action] = []
        for symbol in others:
            actions += symbol.passed_by_heartbeat(time_us)
        self._clock.advance(time_us)
        self.sent_at = now
        self._minute_proof_us = _proof_of_next_minute_us(time_us)
        names = tuple(symbol.symbol for symbol in live)
        heartbeat = Heartbeat(time_us, names, self._clock.lag_ms(now) or 0, reconnects)
        actions.append(Broadcast(heartbeat_record(heartbeat)))
        for symbol in live:
            actions += symbol.named_in_heartbeat(time_us)
        return actions

    def _unsure(self, live: Iterable[SymbolFeed], time_us: int, now: Instant) -> list[SymbolFeed]:
        """Symbols that may be silent before the end of the minute that `time_us` closes.

        None of them when REST has not answered in time: then the heartbeat is sent without its confirmation.
        """
        end_us = _proof_of_next_minute_us(time_us) - MINUTE_US
        unsure = [symbol for symbol in live if max(symbol.proven_us, symbol.check.whole_us) < end_us]
        if not unsure:
            return []
        if self._unsure_since_at is None:
            self._unsure_since_at = now
        patience_us = self._times.hold_us if any(symbol.check.is_open for symbol in unsure) else self._times.check_us
        return [] if now - self._unsure_since_at >= patience_us else unsure


def _proof_of_next_minute_us(time_us: int) -> int:
    """The last millisecond of the minute that the next heartbeat may close: a proof up to it closes the minute."""
    return floor_us(time_us + MS_US) + MINUTE_US - MS_US
