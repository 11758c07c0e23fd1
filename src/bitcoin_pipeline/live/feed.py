"""The live feed of one connection: what is sent to the topic, and when; no I/O.

Part of the core; every module but the base modules and `bybit` may import it. The worker calls a method for each thing
that happens, and carries out the returned actions at once and in order, before it calls the next one.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bitcoin_pipeline.backoff import backoff_us
from bitcoin_pipeline.bybit.exchange_clock import ExchangeClock
from bitcoin_pipeline.bybit.frames import PublicTradeMessage
from bitcoin_pipeline.bybit.session import Session
from bitcoin_pipeline.bybit.session_events import (
    Event,
    KlineClosed,
    KlinesRefused,
    KlinesSubscribed,
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
from bitcoin_pipeline.live.actions import (
    Action,
    AskKlines,
    AskRecentTrades,
    AskServerTime,
    AskStatus,
    DeadLetter,
    Disconnect,
    Report,
    Request,
    SendText,
)
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.gap_ledger import GapLedger
from bitcoin_pipeline.live.heartbeats import Heartbeats
from bitcoin_pipeline.live.records import dead_letter_record
from bitcoin_pipeline.live.requests import Requests
from bitcoin_pipeline.live.symbol_feed import Stage, SymbolFeed
from bitcoin_pipeline.live.tail import SymbolTail, Tail
from bitcoin_pipeline.times import MINUTE_US, MS_US, Instant, floor_us, iso

_HELD: Final = 10_000
"""Upper bound on the frames that wait until the exchange's time is known."""


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
    """Dispatches what happens to the symbols of one connection.

    `tail`: the end of the topic at the start. `dropped`: symbols that the topic knows and no feed receives any more;
    by default all in `tail` that are not in `symbols`. `token`: differs between workers. `uniform` returns a random
    number from 0 to 1. `decode` parses JSON and raises ValueError or RecursionError.
    """

    def __init__(  # noqa: PLR0913  # keywords
        self,
        symbols: Iterable[str],
        tail: Tail,
        *,
        token: str,
        uniform: Callable[[], float],
        dropped: Iterable[str] | None = None,
        times: FeedTimes | None = None,
        session_times: SessionTimes | None = None,
        decode: Callable[[str | bytes], Any] = json.loads,
    ) -> None:
        self._uniform: Final = uniform
        self._times: Final = times or FeedTimes()
        self._session_times: Final = session_times or SessionTimes()
        self._decode: Final = decode
        self._clock: Final = ExchangeClock(self._session_times)
        self._shared_us = 0
        self._jumps = 0
        self._symbols: Final = {
            symbol: SymbolFeed(
                symbol, tail.symbols.get(symbol), token, self._clock, self._times, shared_us=lambda: self._shared_us
            )
            for symbol in symbols
        }
        unwanted = tail.symbols.keys() - self._symbols.keys() if dropped is None else dropped
        self._dropped = {symbol: tail.symbols[symbol] for symbol in unwanted}
        self._token: Final = token
        self._heartbeats: Final = Heartbeats(self._symbols.values(), self._clock, self._times)
        self._requests: Final = Requests(self._symbols.values(), self._times)
        self._session: Session | None = None
        self._held: deque[PublicTradeMessage] = deque(maxlen=_HELD)
        self._connections = 0
        self._attempt = 0
        self._unknown = 0

    def state(self, now: Instant) -> FeedState:
        """The figures of this moment."""
        sums = {"unknown": self._unknown}
        for symbol in self._symbols.values():
            for name, count in symbol.counts.items():
                sums[name] = sums.get(name, 0) + count
        sent_at = self._heartbeats.sent_at
        return FeedState(
            stages={name: symbol.stage for name, symbol in self._symbols.items()},
            lag_ms=self._heartbeats.lag_ms(now),
            heartbeat_age_us=None if sent_at is None else now - sent_at,
            reconnects=max(0, self._connections - 1),
            counts=sums,
        )

    def connected(self, now: Instant) -> list[Action]:
        """A fresh connection stands."""
        self._leave(now)
        self._session = session = Session(
            self._symbols,
            now,
            uniform=self._uniform,
            times=self._session_times,
            clock=self._clock,
            decode=self._decode,
        )
        self._connections += 1
        report = Report("connected", {"connection": self._connections, "symbols": len(self._symbols)})
        return [report, *(SendText(text) for text in session.subscribe(now))]

    def disconnected(self, reason: str, now: Instant) -> tuple[int, list[Action]]:
        """The connection is gone, or was refused; returns the microseconds to wait before the next, and the actions."""
        self._leave(now)
        pause_us = backoff_us(self._attempt, self._times.reconnect_us, self._times.reconnect_most_us, self._uniform)
        self._attempt += 1
        return pause_us, [Report("disconnected", {"reason": reason, "retry_ms": pause_us // MS_US})]

    def received(self, text: str | bytes, now: Instant) -> list[Action]:
        """A message has arrived over the socket."""
        return self._handle(self._session.receive(text, now), now) if self._session else []

    def answered(self, request: Request, answer: Any, now: Instant) -> list[Action]:
        """REST has answered: `answer` is what `RestCall.parse` made of it, None where REST failed."""
        match request:
            case AskServerTime(asked_at):
                return self._server_time(answer, asked_at, now)
            case AskRecentTrades(symbol, asked_at):
                return self._symbols[symbol].recent_trades(answer, asked_at, now)
            case AskKlines(symbol, asked_at):
                return self._symbols[symbol].klines(answer, asked_at, now)
            case AskStatus(symbol):
                return self._symbols[symbol].status(answer, now)

    def tick(self, now: Instant) -> list[Action]:
        """Some time has passed; to be called at least ten times a second, connected or not."""
        actions = self._handle(self._session.tick(now), now) if self._session else self._rebase(now)
        clock_us = self._clock.time_us(now)
        if self._dropped and clock_us is not None:
            oldest_us = floor_us(clock_us - self._times.late_us) + MINUTE_US
            actions += _drop(self._dropped, self._token, oldest_us, clock_us)
            self._dropped = {}
        for symbol in self._symbols.values():
            actions += symbol.tick(now)
        if self._session is None or clock_us is None:
            return actions
        actions += self._requests.due(now)
        if heartbeat := self._heartbeats.due(now, self._connections - 1):
            self._attempt = 0
            actions += heartbeat
        return actions

    def _server_time(self, server_us: int | None, asked_at: Instant, now: Instant) -> list[Action]:
        if self._session is None:
            self._clock.answer(server_us, asked_at, now)
            return []
        self._session.server_time(server_us, asked_at, now)
        return self._rebase(now) + self._release(now)

    def _handle(self, events: list[Event], now: Instant) -> list[Action]:
        actions = self._rebase(now)
        for event in events:
            match event:
                case Trades():
                    actions += self._trades(event.message, now)
                case ProvenUpTo(time_us, None):
                    self._shared_us = max(self._shared_us, time_us)
                case ProvenUpTo(time_us, str(name)):
                    proof = self._symbols[name].proof
                    proof.own_us = max(proof.own_us, time_us)
                case KlineClosed(kline):
                    actions += self._symbols[kline.symbol].klines([kline], None, now)
                case Subscribed() | Refused() | KlinesSubscribed() | KlinesRefused():
                    actions += _answered(self._symbols[event.symbol], event, now)
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
        return actions

    def _trades(self, message: PublicTradeMessage, now: Instant) -> list[Action]:
        if self._clock.time_us(now) is None:
            self._held.append(message)
            return []
        released = self._release(now) if self._held else []
        return released + self._symbols[message.symbol].trades(message.trades, now)

    def _release(self, now: Instant) -> list[Action]:
        """Send the frames that waited for the exchange's time."""
        if not self._held or self._clock.time_us(now) is None:
            return []
        held, self._held = self._held, deque(maxlen=_HELD)
        actions = [action for symbol in self._symbols.values() for action in symbol.tick(now)]
        for message in held:
            actions += self._symbols[message.symbol].trades(message.trades, now)
        return actions

    def _rebase(self, now: Instant) -> list[Action]:
        """Doubt what the feed did by a clock that was wrong, once it has jumped to another time."""
        clock_us = self._clock.time_us(now)
        if self._clock.jumps == self._jumps or clock_us is None:
            return []
        self._jumps, self._shared_us = self._clock.jumps, 0
        self._heartbeats.rebase(clock_us)
        actions: list[Action] = [Report("the exchange's time has jumped", {"time": iso(clock_us)})]
        for symbol in self._symbols.values():
            actions += symbol.rebase(clock_us, now)
        return actions

    def _unreadable(self, event: Unknown, now: Instant) -> list[Action]:
        self._unknown += 1
        actions: list[Action] = [DeadLetter(dead_letter_record(event.reason, event.text))]
        if event.may_hide_trades:
            for symbol in self._symbols.values():
                actions += symbol.doubted(now)
            actions.append(Report("unreadable message", {"reason": event.reason}))
        return actions

    def _leave(self, now: Instant) -> None:
        self._session = None
        self._shared_us = 0
        self._held.clear()  # the next connection's page of recent trades would join them to its own
        for symbol in self._symbols.values():
            symbol.disconnected(now)


def _answered(
    symbol: SymbolFeed, event: Subscribed | Refused | KlinesSubscribed | KlinesRefused, now: Instant
) -> list[Action]:
    match event:
        case Subscribed(name):
            return [Report("subscribed", {"symbol": name}), *symbol.subscribed(now)]
        case Refused(name, reason):
            return [Report("refused", {"symbol": name, "reason": reason}), *symbol.refused(now)]
        case KlinesSubscribed():
            symbol.proof.has_klines = True
            return []
        case KlinesRefused(name, reason):
            symbol.proof.has_klines = False
            return [Report("klines refused", {"symbol": name, "reason": reason})]


def _drop(symbols: Mapping[str, SymbolTail], token: str, oldest_us: int, clock_us: int) -> list[Action]:
    """The gaps of the symbols that are received no more."""
    actions: list[Action] = []
    for symbol, tail in symbols.items():
        ledger = GapLedger(symbol, token, tail.gaps, tail.minutes)
        begins_us = tail.begins_us(oldest_us, clock_us)
        if ledger.growing is None and begins_us is not None:
            actions += [Report("symbol dropped", {"symbol": symbol}), *ledger.open(begins_us, None)]
    return actions
