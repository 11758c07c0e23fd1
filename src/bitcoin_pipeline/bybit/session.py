"""One connection to Bybit's public websocket, without the connection: text and time in, events out.

Part of the core; anybody may import it. Every time that is passed in is the caller's monotonic clock in microseconds;
times of trades, of proofs and of the exchange's clock are microseconds UTC. The worker owns the socket: it sends what
`subscribe`, `PingDue` and `Resubscribe` say, hands over what it receives, and calls `tick` some times a second.

What is proven. Messages of one connection arrive in order. So a frame whose last trade has the time T proves that
every trade of its symbol up to T - 1 ms has arrived (consecutive frames can share a T); and that every trade of the
connection's other symbols up to T - 250 ms has, as their trades may take another way to the connection. An answered
ping proves all of them up to the exchange's time when the ping left, less the same 250 ms. The exchange's time is
REST's, measured after the first subscription's answer and carried on by the monotonic clock; it is taken for the
earliest that it can be, so a slow answer proves less, never more.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bitcoin_pipeline.bybit.frames import TOPIC_PREFIX, MessageError, PublicTradeMessage, parse_public_trade, time_of
from bitcoin_pipeline.times import MS_US, SECOND_US, floor_us

SUBSCRIBE_CHARACTERS: Final = 15_000
"""Of one request's topics; Bybit refuses more than 21,000."""
_PENDING: Final = 10_000
"""Frames from the future that wait for the exchange's clock; forgetting one only proves less."""


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """How patient a session is, all in microseconds. `margin_us`: how far the exchange's own ways may differ."""

    margin_us: int = 250 * MS_US
    quiet_us: int = SECOND_US
    """Without a frame for so long, it pings."""
    ping_every_us: int = 20 * SECOND_US
    """Bybit closes a connection that does not ping."""
    answer_us: int = 10 * SECOND_US
    """How long an answer may take before the connection, or the subscription, counts as lost."""
    ahead_us: int = SECOND_US
    """A frame further ahead of the exchange's clock counts only once that clock confirms it."""
    clock_every_us: int = 30 * SECOND_US
    clock_retry_us: int = SECOND_US
    clock_pause_us: int = 100 * MS_US
    """Between two questions for the exchange's time, however many frames ask for one."""
    retry_us: int = SECOND_US
    """Before a refused subscription is tried again; doubled each time."""
    retry_most_us: int = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The exchange has accepted the symbol: from here on its trades arrive."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange does not give the symbol now, or has not answered; it will be asked again."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class Trades:
    """A frame of trades."""

    message: PublicTradeMessage


@dataclass(frozen=True, slots=True)
class ProvenUpTo:
    """Every trade up to `time_us` has arrived: of `symbol`, or, where that is None, of the whole connection."""

    time_us: int
    symbol: str | None


@dataclass(frozen=True, slots=True)
class PingDue:
    """`text` is to be sent now."""

    text: str


@dataclass(frozen=True, slots=True)
class Pong:
    """The exchange has answered a ping."""

    round_trip_us: int


@dataclass(frozen=True, slots=True)
class ServerTimeDue:
    """The exchange's time is wanted over REST; the answer goes to `server_time`."""


@dataclass(frozen=True, slots=True)
class Resubscribe:
    """`text` is to be sent now: it asks again for what was refused."""

    text: str


@dataclass(frozen=True, slots=True)
class Stale:
    """The connection proves nothing any more and is to be closed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message that is none of the known ones. `may_hide_trades`: what it should have been cannot be told."""

    text: str
    reason: str
    may_hide_trades: bool


Event: TypeAlias = (
    Subscribed | Refused | Trades | ProvenUpTo | PingDue | Pong | ServerTimeDue | Resubscribe | Stale | Unknown
)


def backoff_us(attempt: int, first_us: int, most_us: int, uniform: Callable[[], float]) -> int:
    """How long to wait before try `attempt` (0 is the first repetition): doubling, capped, and jittered by half.

    `uniform` gives a random number from 0 to 1. The jitter keeps many workers from coming back at one moment.
    """
    whole = min(first_us << min(attempt, 32), most_us)
    return whole // 2 + int(uniform() * whole / 2)


class Session:
    """The state of one connection, from its opening to its end."""

    def __init__(
        self,
        symbols: Iterable[str],
        now_us: int,
        *,
        uniform: Callable[[], float],
        times: SessionTimes | None = None,
        decode: Callable[[str | bytes], Any] = json.loads,
    ) -> None:
        self._symbols: Final = tuple(symbols)
        self._known: Final = frozenset(self._symbols)
        self._times: Final = times or SessionTimes()
        self._uniform: Final = uniform
        self._decode: Final = decode
        self._heard_at = now_us
        self._requests = 0
        self._asked: dict[str, tuple[tuple[str, ...], int]] = {}
        self._subscribed: set[str] = set()
        self._refusals: dict[str, int] = {}
        self._retry_at: dict[str, int] = {}
        self._first_answer_us: int | None = None
        self._frame_at = self._pinged_at = now_us
        self._ping_left: tuple[int, int | None] | None = None
        self._minute_pinged: int | None = None
        self._clock: tuple[int, int] | None = None
        self._clock_asked_at: int | None = None
        self._clock_due_at: int | None = None
        self._clock_last_asked = now_us - self._times.clock_pause_us
        self._pending: deque[tuple[int, str]] = deque(maxlen=_PENDING)
        self._proven_us = 0

    def subscribe(self, now_us: int) -> list[str]:
        """What to send on a fresh connection: all symbols in as few requests as may be."""
        chunks: list[list[str]] = [[]]
        for symbol in self._symbols:
            if sum(len(TOPIC_PREFIX) + len(one) + 3 for one in chunks[-1]) > SUBSCRIBE_CHARACTERS:
                chunks.append([])
            chunks[-1].append(symbol)
        return [self._request(tuple(chunk), now_us) for chunk in chunks]

    def exchange_time_us(self, now_us: int) -> int | None:
        """The exchange's clock, the earliest that it can be; None before it was measured on this connection."""
        return self._clock and self._clock[0] + now_us - self._clock[1]

    def receive(self, text: str | bytes, now_us: int) -> list[Event]:
        """What a message means."""
        self._heard_at = now_us
        try:
            message = self._decode(text)
        except (ValueError, RecursionError) as error:
            return [_unknown(text, f"not JSON: {error}", may_hide_trades=True)]
        if not isinstance(message, dict):
            return [_unknown(text, "not an object", may_hide_trades=True)]
        topic = message.get("topic")
        if isinstance(topic, str) and topic.startswith(TOPIC_PREFIX):
            return self._frame(text, message, now_us)
        if message.get("op") == "subscribe":
            return self._subscription(text, message, now_us)
        if "pong" in (message.get("op"), message.get("ret_msg")):
            return self._pong(text, now_us)
        return [_unknown(text, "a message that nobody asked for", may_hide_trades=False)]

    def server_time(self, server_us: int | None, asked_at: int, now_us: int) -> list[Event]:
        """Take REST's time, or None where it did not come; `asked_at`: when the question left."""
        self._clock_asked_at = None
        if server_us is None or self._first_answer_us is None or asked_at < self._first_answer_us:
            # A market that is played back stands still before the first subscription, so an older time says nothing.
            self._clock_due_at = now_us + self._times.clock_retry_us
            return []
        self._clock = (server_us, now_us)
        self._clock_due_at = now_us + self._times.clock_every_us
        return self._confirm(server_us + self._times.ahead_us)

    def tick(self, now_us: int) -> list[Event]:
        """What is due by now."""
        late = (at for _, at in self._asked.values() if now_us - at >= self._times.answer_us)
        if any(self._heard_at <= at for at in late):
            return [Stale("nothing came after a subscription was asked for")]  # no ping leaves before one is accepted
        events: list[Event] = []
        events += self._tick_subscriptions(now_us)
        if self._ping_left and now_us - self._ping_left[0] >= self._times.answer_us:
            return [*events, Stale("a ping was not answered")]
        if self._is_ping_due(now_us):
            self._pinged_at = now_us
            self._ping_left = (now_us, self.exchange_time_us(now_us))
            events.append(PingDue('{"op":"ping"}'))
        if (
            self._clock_due_at is not None
            and self._clock_asked_at is None
            and now_us >= max(self._clock_due_at, self._clock_last_asked + self._times.clock_pause_us)
        ):
            self._clock_asked_at = self._clock_last_asked = now_us
            events.append(ServerTimeDue())
        return events

    def _request(self, symbols: tuple[str, ...], now_us: int) -> str:
        self._requests += 1
        number = str(self._requests)
        self._asked[number] = (symbols, now_us)
        topics = [f"{TOPIC_PREFIX}{symbol}" for symbol in symbols]
        return json.dumps({"req_id": number, "op": "subscribe", "args": topics}, separators=(",", ":"))

    def _subscription(self, text: str | bytes, message: Mapping[str, Any], now_us: int) -> list[Event]:
        request = message.get("req_id")
        asked = self._asked.pop(request, None) if isinstance(request, str) else None
        if asked is None:
            return [_unknown(text, "the answer to no subscription", may_hide_trades=False)]
        symbols, _ = asked
        reason = str(message.get("ret_msg") or "no reason given")
        # Bybit refuses a second subscription of the same topic, which is then as good as accepted.
        if message.get("success") is True or (len(symbols) == 1 and "already subscribed" in reason):
            if self._first_answer_us is None:
                self._first_answer_us = self._clock_due_at = now_us
            self._subscribed.update(symbols)
            for symbol in symbols:
                self._refusals.pop(symbol, None)
            return [Subscribed(symbol) for symbol in symbols]
        if len(symbols) > 1:
            # One bad topic refuses them all: ask for each, to learn which.
            return [Resubscribe(self._request((symbol,), now_us)) for symbol in symbols]
        return self._refuse(symbols, reason, now_us)

    def _refuse(self, symbols: tuple[str, ...], reason: str, now_us: int) -> list[Event]:
        for symbol in symbols:
            attempt = self._refusals.get(symbol, 0)
            self._refusals[symbol] = attempt + 1
            pause_us = backoff_us(attempt, self._times.retry_us, self._times.retry_most_us, self._uniform)
            self._retry_at[symbol] = now_us + pause_us
        return [Refused(symbol, reason) for symbol in symbols]

    def _tick_subscriptions(self, now_us: int) -> list[Event]:
        events: list[Event] = []
        late = [number for number, (_, at) in self._asked.items() if now_us - at >= self._times.answer_us]
        for number in late:
            symbols, _ = self._asked.pop(number)
            events += self._refuse(symbols, "the subscription was not answered", now_us)
        for symbol in [symbol for symbol, at in self._retry_at.items() if now_us >= at]:
            del self._retry_at[symbol]
            events.append(Resubscribe(self._request((symbol,), now_us)))
        return events

    def _frame(self, text: str | bytes, message: Mapping[str, Any], now_us: int) -> list[Event]:
        try:
            trades = parse_public_trade(message)
        except MessageError as error:
            return [_unknown(text, str(error), may_hide_trades=True)]
        if trades.symbol not in self._known:
            return [_unknown(text, "trades of a symbol that nobody asked for", may_hide_trades=False)]
        self._frame_at = now_us
        last_us = time_of(trades.items[-1]) if trades.items else None
        if last_us is None:
            return [Trades(trades)]
        clock_us = self.exchange_time_us(now_us)
        if clock_us is None or last_us > clock_us + self._times.ahead_us:
            self._pending.append((last_us, trades.symbol))
            if self._first_answer_us is not None:
                self._clock_due_at = now_us
            return [Trades(trades)]
        return [Trades(trades), *self._proof(last_us, trades.symbol)]

    def _proof(self, last_us: int, symbol: str) -> list[Event]:
        others_us = last_us - self._times.margin_us
        own = ProvenUpTo(last_us - MS_US, symbol)
        return [own, self._all_proven(others_us)] if others_us > self._proven_us else [own]

    def _all_proven(self, time_us: int) -> ProvenUpTo:
        self._proven_us = max(self._proven_us, time_us)
        return ProvenUpTo(self._proven_us, None)

    def _confirm(self, limit_us: int) -> list[Event]:
        waiting, self._pending = self._pending, deque(maxlen=_PENDING)
        last: dict[str, int] = {}
        for last_us, symbol in waiting:
            if last_us <= limit_us:
                last[symbol] = max(last.get(symbol, 0), last_us)
            else:
                self._pending.append((last_us, symbol))
        return [event for symbol, last_us in last.items() for event in self._proof(last_us, symbol)]

    def _pong(self, text: str | bytes, now_us: int) -> list[Event]:
        if self._ping_left is None:
            return [_unknown(text, "the answer to no ping", may_hide_trades=False)]
        (left_at, exchange_us), self._ping_left = self._ping_left, None
        events: list[Event] = [Pong(now_us - left_at)]
        if exchange_us is not None and exchange_us - self._times.margin_us > self._proven_us:
            events.append(self._all_proven(exchange_us - self._times.margin_us))
        return events

    def _is_ping_due(self, now_us: int) -> bool:
        if self._ping_left is not None or self._first_answer_us is None:
            return False
        if now_us - self._pinged_at >= self._times.ping_every_us:
            return True
        if now_us - max(self._frame_at, self._pinged_at) >= self._times.quiet_us:
            return True
        # A minute that has just ended waits for no second.
        exchange_us = self.exchange_time_us(now_us)
        if exchange_us is None:
            return False
        minute_us = floor_us(exchange_us - self._times.margin_us)
        is_new = self._minute_pinged is not None and minute_us > self._minute_pinged
        self._minute_pinged = minute_us
        return is_new and self._proven_us < minute_us


def _unknown(text: str | bytes, reason: str, *, may_hide_trades: bool) -> Unknown:
    shown = text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
    return Unknown(shown, reason, may_hide_trades)
