"""The live feed of one worker over all its connections: what is sent to the topic, and when; no I/O.

Part of the core; every module but the base modules and `bybit` may import it. The worker calls a method for each thing
that happens, and carries out the returned actions at once and in order, before it calls the next one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bitcoin_pipeline.backoff import backoff_us
from bitcoin_pipeline.bybit.frames import PublicTradeMessage, ReceivedTrade
from bitcoin_pipeline.bybit.session import Session
from bitcoin_pipeline.bybit.session_events import (
    Event,
    PingDue,
    Pong,
    ProvenUpTo,
    Refused,
    Resubscribe,
    ServerTimeDue,
    Stale,
    Subscribed,
    Trades,
    Unknown,
)
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.live.actions import Action, AskServerTime, DeadLetter, Disconnect, Report, SendText
from bitcoin_pipeline.live.feed_clock import FeedClock
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.heartbeats import Heartbeats
from bitcoin_pipeline.live.records import dead_letter_record
from bitcoin_pipeline.live.symbol_feed import Stage, SymbolFeed
from bitcoin_pipeline.live.tail import Tail
from bitcoin_pipeline.times import MS_US, SECOND_US, Instant

_BELIEVED_US: Final = 5 * SECOND_US
"""Upper bound on the time between a frame's last trade and its sending; a frame with a longer one proves nothing."""
_UNKNOWN_CHARACTERS: Final = 100_000
"""Upper bound on the text of an unreadable message in the dead-letter topic."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """Figures of one moment, for health and metrics.

    `stages`: where each symbol stands. `lag_ms`: the exchange's time less the last heartbeat's, None while either is
    unknown. `heartbeat_age_us`: since this worker's last heartbeat, None before the first. `reconnects`: connections
    after the first. `counts`: sums over all symbols since the start; `unknown` are messages of no expected kind.
    """

    stages: Mapping[str, Stage]
    lag_ms: int | None
    heartbeat_age_us: int | None
    reconnects: int
    counts: Mapping[str, int]


class LiveFeed:
    """Dispatches what happens to the symbols, and sends heartbeats.

    `tail`: the end of the topic at the start. `token`: differs between workers. `uniform` returns a random number from
    0 to 1. `decode` parses JSON and raises ValueError or RecursionError.
    """

    def __init__(  # noqa: PLR0913  # keywords
        self,
        symbols: Iterable[str],
        tail: Tail,
        *,
        token: str,
        uniform: Callable[[], float],
        times: FeedTimes | None = None,
        session_times: SessionTimes | None = None,
        decode: Callable[[str | bytes], Any] = json.loads,
    ) -> None:
        self._uniform: Final = uniform
        self._times: Final = times or FeedTimes()
        self._session_times: Final = session_times or SessionTimes()
        self._decode: Final = decode
        self._clock: Final = FeedClock(tail.last_heartbeat_us, self._times)
        self._symbols: Final = {symbol: SymbolFeed(symbol, tail, token, self._clock, self._times) for symbol in symbols}
        self._heartbeats: Final = Heartbeats(self._symbols.values(), self._clock, self._times)
        self._connections = 0
        self._attempt = 0
        self._unknown = 0

    def state(self, now: Instant) -> FeedState:
        """The figures of this moment."""
        sums = dict.fromkeys(("trades", "duplicates", "rejected", "late", "unknown", "gaps", "silent"), 0)
        for symbol in self._symbols.values():
            for name, count in symbol.counts.items():
                sums[name] += count
        sums["unknown"] = self._unknown
        sent_at = self._heartbeats.sent_at
        return FeedState(
            stages={name: symbol.stage for name, symbol in self._symbols.items()},
            lag_ms=self._clock.lag_ms(now),
            heartbeat_age_us=None if sent_at is None else now - sent_at,
            reconnects=max(0, self._connections - 1),
            counts=sums,
        )

    def connected(self, now: Instant) -> list[Action]:
        """A fresh connection stands."""
        self._clock.session = session = Session(
            self._symbols, now, uniform=self._uniform, times=self._session_times, decode=self._decode
        )
        self._connections += 1
        self._heartbeats.proven_us = 0
        for symbol in self._symbols.values():
            symbol.connected(now)
        report = Report("connected", {"connection": self._connections, "symbols": len(self._symbols)})
        return [report, *(SendText(text) for text in session.subscribe(now))]

    def disconnected(self, reason: str) -> tuple[int, list[Action]]:
        """The connection is gone, or was refused; returns the microseconds to wait before the next, and the actions."""
        self._clock.session = None
        for symbol in self._symbols.values():
            symbol.disconnected()
        pause_us = backoff_us(self._attempt, self._times.reconnect_us, self._times.reconnect_most_us, self._uniform)
        self._attempt += 1
        return pause_us, [Report("disconnected", {"reason": reason, "retry_ms": pause_us // MS_US})]

    def received(self, text: str | bytes, now: Instant) -> list[Action]:
        """A message has arrived over the socket."""
        session = self._clock.session
        return self._handle(session.receive(text, now), now) if session else []

    def server_time(self, server_us: int | None, asked_at: Instant, now: Instant) -> list[Action]:
        """REST's answer to AskServerTime: the exchange's time, or None where REST failed."""
        session = self._clock.session
        if session is None:
            return []
        if server_us is not None:
            for symbol in self._catching_up():
                symbol.catch_up.saw_server_time(server_us, asked_at)
        return self._handle(session.server_time(server_us, asked_at, now), now)

    def recent_trades(
        self, symbol: str, page: list[ReceivedTrade] | None, asked_at: Instant, now: Instant
    ) -> list[Action]:
        """REST's answer to AskRecentTrades: the trades, oldest first, or None where REST failed."""
        symbol_feed = self._symbols[symbol]
        is_check = symbol_feed.check.awaits(asked_at)
        actions = symbol_feed.recent_trades(page, asked_at, now)
        if is_check and page is not None and not actions:
            return self._heartbeat(now, only_minute=True)
        return actions

    def tick(self, now: Instant) -> list[Action]:
        """Some time has passed; to be called at least ten times a second while connected."""
        session = self._clock.session
        if session is None:
            return []
        actions = self._handle(session.tick(now), now)
        for symbol in self._catching_up():
            actions += symbol.tick(now)
        return actions + self._heartbeat(now)

    def _handle(self, events: list[Event], now: Instant) -> list[Action]:
        actions: list[Action] = []
        for event in events:
            match event:
                case Trades():
                    actions += self._trades(event.message, now)
                case ProvenUpTo():
                    self._proven(event.time_us, event.symbol)
                case Subscribed(name):
                    self._symbols[name].subscribed(now)
                    actions.append(Report("subscribed", {"symbol": name}))
                case Refused(name, reason):
                    self._symbols[name].refused()
                    actions.append(Report("refused", {"symbol": name, "reason": reason}))
                case PingDue(text) | Resubscribe(text):
                    actions.append(SendText(text))
                case ServerTimeDue():
                    actions.append(AskServerTime(now))
                case Stale(reason):
                    actions.append(Disconnect(reason))
                case Unknown():
                    actions += self._unreadable(event, now)
                case Pong():
                    pass
        # The end of a minute does not wait for the next tick.
        if self._heartbeats.may_close_minute:
            actions += self._heartbeat(now, only_minute=True)
        return actions

    def _proven(self, time_us: int, name: str | None) -> None:
        proven = self._heartbeats if name is None else self._symbols[name]
        proven.proven_us = max(proven.proven_us, time_us)

    def _trades(self, message: PublicTradeMessage, now: Instant) -> list[Action]:
        symbol = self._symbols[message.symbol]
        if symbol.stage is not Stage.LIVE:
            last_us = message.trades[-1].time_us if message.trades else None
            if last_us is not None and abs(message.sent_us - last_us) < _BELIEVED_US:
                for other in self._catching_up():
                    other.catch_up.saw_frame(message.sent_us, other.ledger.accounted_us or 0)
        return symbol.trades(message.trades, now)

    def _unreadable(self, event: Unknown, now: Instant) -> list[Action]:
        self._unknown += 1
        actions: list[Action] = [DeadLetter(dead_letter_record(event.reason, event.text[:_UNKNOWN_CHARACTERS]))]
        if event.may_hide_trades:
            for symbol in self._symbols.values():
                symbol.doubted(now)
            actions.append(Report("unreadable message", {"reason": event.reason}))
        return actions

    def _heartbeat(self, now: Instant, *, only_minute: bool = False) -> list[Action]:
        actions = self._heartbeats.due(now, self._connections - 1, only_minute=only_minute)
        if self._heartbeats.sent_at == now:
            self._attempt = 0
        return actions

    def _catching_up(self) -> list[SymbolFeed]:
        return [symbol for symbol in self._symbols.values() if symbol.stage is Stage.CATCHING_UP]
