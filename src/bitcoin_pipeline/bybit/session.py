"""One connection to Bybit's public websocket, without the connection: text and time in, events out.

Part of the core; every module but the base modules may import it. Instants are the caller's monotonic clock; times of
trades, of proofs and of the exchange's clock are microseconds UTC. The caller owns the socket: it sends the texts that
`subscribe`, `PingDue` and `Resubscribe` carry, passes in every message that it receives, and calls `tick` at least ten
times a second.

What is proven. Messages of one connection arrive in order. So a frame whose last trade has the time T proves that
every trade of its symbol up to T - 1 ms has arrived (consecutive frames can share a T); and that every trade of the
connection's other symbols up to T - 250 ms has, as their trades may take another way to the connection. An answered
ping proves all of them up to the exchange's time when the ping left, less the same 250 ms. No proof passes the
exchange's clock (`ExchangeClock`). Such a proof is weaker than a closed kline: an exchange may answer pings and keep
trades back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bitcoin_pipeline.bybit.exchange_clock import ExchangeClock
from bitcoin_pipeline.bybit.frames import TOPIC_PREFIX, MessageError, parse_public_trade
from bitcoin_pipeline.bybit.klines import KLINE_PREFIX, parse_kline_frame
from bitcoin_pipeline.bybit.session_events import (
    Event,
    KlineClosed,
    PingDue,
    Pong,
    ProvenUpTo,
    ServerTimeDue,
    Stale,
    Subscribed,
    Trades,
    Unknown,
)
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.bybit.subscriptions import Subscriptions
from bitcoin_pipeline.times import MS_US, Instant, floor_us

_TOO_DEEP: Final = "nested too deeply"


class Session:
    """The state of one connection, from its opening to its end.

    `clock`: that of the connections before. `uniform` returns a random number from 0 to 1. `decode` parses JSON and
    raises ValueError or RecursionError.
    """

    def __init__(  # noqa: PLR0913  # keywords
        self,
        symbols: Iterable[str],
        now: Instant,
        *,
        uniform: Callable[[], float],
        times: SessionTimes | None = None,
        clock: ExchangeClock | None = None,
        decode: Callable[[str | bytes], Any] = json.loads,
    ) -> None:
        requested = tuple(symbols)
        self._symbols: Final = frozenset(requested)
        self._times: Final = times or SessionTimes()
        self._decode: Final = decode
        self._subscriptions: Final = Subscriptions(requested, self._times, uniform)
        self._clock: Final = clock or ExchangeClock(self._times)
        self._is_subscribed = False
        self._heard_at = self._frame_at = self._pinged_at = now
        self._open_ping: tuple[Instant, int | None] | None = None
        self._pinged_minute_us: int | None = None
        self._proven_us = 0
        self._jumps = self._clock.jumps

    def subscribe(self, now: Instant) -> list[str]:
        """The texts to send on a fresh connection."""
        return self._subscriptions.request_all(now)

    def exchange_time_us(self, now: Instant) -> int | None:
        """The earliest that the exchange's time can be; None while it is unknown."""
        return self._clock.time_us(now)

    def receive(self, text: str | bytes, now: Instant) -> list[Event]:
        """The events of one received message."""
        self._heard_at = now
        try:
            message = self._decode(text)
        except ValueError as error:
            return [_unknown(text, f"not JSON: {error}", may_hide_trades=True)]
        except RecursionError:
            return [_unknown(text, _TOO_DEEP, may_hide_trades=True)]
        if not isinstance(message, dict):
            return [_unknown(text, "not an object", may_hide_trades=True)]
        try:
            return self._of_object(text, message, now)
        except RecursionError:
            return [_unknown(text, _TOO_DEEP, may_hide_trades=True)]

    def server_time(self, server_us: int | None, asked_at: Instant, now: Instant) -> None:
        """Take REST's time, or None where REST failed. `asked_at`: when the request left."""
        self._clock.answer(server_us, asked_at, now)
        self._forget_proofs()

    def tick(self, now: Instant) -> list[Event]:
        """The events that are due by `now`."""
        if self._subscriptions.is_unheard(self._heard_at, now):
            return [Stale("no message came after a subscription was requested")]  # pings begin with the first answer
        events = self._subscriptions.tick(now)
        if self._open_ping and now - self._open_ping[0] >= self._times.answer_us:
            return [*events, Stale("a ping was not answered")]
        if self._is_ping_due(now):
            self._pinged_at = now
            self._open_ping = (now, self._clock.time_us(now))
            events.append(PingDue('{"op":"ping"}'))
        if self._clock.ask(now):
            events.append(ServerTimeDue())
        return events

    def _of_object(self, text: str | bytes, message: Mapping[str, Any], now: Instant) -> list[Event]:
        topic = message.get("topic")
        if isinstance(topic, str) and topic.startswith((TOPIC_PREFIX, KLINE_PREFIX)):
            kind = self._frame if topic.startswith(TOPIC_PREFIX) else self._klines
            return kind(text, message, now)
        if message.get("op") == "subscribe":
            return self._subscription(text, message, now)
        if "pong" in (message.get("op"), message.get("ret_msg")):
            return self._pong(text, now)
        return [_unknown(text, "a message of no expected kind", may_hide_trades=False)]

    def _subscription(self, text: str | bytes, message: Mapping[str, Any], now: Instant) -> list[Event]:
        events = self._subscriptions.answer(message, now)
        if events is None:
            return [_unknown(text, "an answer to no open subscription request", may_hide_trades=False)]
        if not self._is_subscribed and any(isinstance(event, Subscribed) for event in events):
            self._is_subscribed = True
            self._clock.start(now)
        return events

    def _frame(self, text: str | bytes, message: Mapping[str, Any], now: Instant) -> list[Event]:
        try:
            frame = parse_public_trade(message)
        except MessageError as error:
            return [_unknown(text, str(error), may_hide_trades=True)]
        if frame.symbol not in self._symbols:
            return [_unknown(text, "trades of a symbol that was not requested", may_hide_trades=False)]
        self._frame_at = now
        self._clock.saw_frame(frame.sent_us, now)
        self._forget_proofs()
        last_us, clock_us = frame.trades[-1].time_us if frame.trades else None, self._clock.time_us(now)
        if last_us is None or clock_us is None:
            return [Trades(frame)]
        return [Trades(frame), *self._proof(min(last_us, clock_us), frame.symbol)]

    def _klines(self, text: str | bytes, message: Mapping[str, Any], now: Instant) -> list[Event]:
        try:
            klines = parse_kline_frame(message)
        except MessageError as error:
            return [_unknown(text, str(error), may_hide_trades=False)]
        return [KlineClosed(kline) for kline in klines if kline.is_closed and kline.symbol in self._symbols]

    def _proof(self, last_us: int, symbol: str) -> list[Event]:
        others_us = last_us - self._times.margin_us
        own = ProvenUpTo(last_us - MS_US, symbol)
        return [own, self._all_proven(others_us)] if others_us > self._proven_us else [own]

    def _forget_proofs(self) -> None:
        """Forget what was proven by a clock that was wrong."""
        if self._jumps != self._clock.jumps:
            self._jumps, self._proven_us = self._clock.jumps, 0
            self._open_ping = self._open_ping and (self._open_ping[0], None)

    def _all_proven(self, time_us: int) -> ProvenUpTo:
        self._proven_us = max(self._proven_us, time_us)
        return ProvenUpTo(self._proven_us, None)

    def _pong(self, text: str | bytes, now: Instant) -> list[Event]:
        if self._open_ping is None:
            return [_unknown(text, "an answer to no open ping", may_hide_trades=False)]
        (pinged_at, exchange_us), self._open_ping = self._open_ping, None
        events: list[Event] = [Pong(now - pinged_at)]
        if exchange_us is not None and exchange_us - self._times.margin_us > self._proven_us:
            events.append(self._all_proven(exchange_us - self._times.margin_us))
        return events

    def _is_ping_due(self, now: Instant) -> bool:
        if self._open_ping is not None or not self._is_subscribed:
            return False
        if now - self._pinged_at >= self._times.ping_every_us:
            return True
        if now - max(self._frame_at, self._pinged_at) >= self._times.quiet_us:
            return True
        # The end of a minute is pinged as soon as the answer can prove it.
        exchange_us = self._clock.time_us(now)
        if exchange_us is None:
            return False
        minute_us = floor_us(exchange_us - self._times.margin_us)
        is_new = self._pinged_minute_us is not None and minute_us > self._pinged_minute_us
        self._pinged_minute_us = minute_us
        return is_new and self._proven_us < minute_us


def _unknown(text: str | bytes, reason: str, *, may_hide_trades: bool) -> Unknown:
    shown = text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
    return Unknown(shown, reason, may_hide_trades)
