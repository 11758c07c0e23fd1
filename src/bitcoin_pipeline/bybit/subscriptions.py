"""The subscriptions of one connection: requests, answers, refusals and repeated requests.

Part of the core; imported by `session`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bitcoin_pipeline.backoff import backoff_us
from bitcoin_pipeline.bybit.frames import TOPIC_PREFIX
from bitcoin_pipeline.bybit.session_events import Event, Refused, Resubscribe, Subscribed
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.times import Instant

SUBSCRIBE_CHARACTERS: Final = 15_000
"""Upper bound on the characters of one request's topics; Bybit refuses more than 21,000."""


class Subscriptions:
    """Which symbols were requested and when, and which are to be requested again.

    `uniform` returns a random number from 0 to 1.
    """

    def __init__(self, symbols: Iterable[str], times: SessionTimes, uniform: Callable[[], float]) -> None:
        self._symbols: Final = tuple(symbols)
        self._times: Final = times
        self._uniform: Final = uniform
        self._requests = 0
        self._open: dict[str, tuple[tuple[str, ...], Instant]] = {}
        self._refusals: dict[str, int] = {}
        self._retry_at: dict[str, Instant] = {}

    def request_all(self, now: Instant) -> list[str]:
        """The requests to send on a fresh connection: all symbols in as few of them as the size limit allows."""
        chunks: list[list[str]] = [[]]
        for symbol in self._symbols:
            if sum(len(TOPIC_PREFIX) + len(one) + 3 for one in chunks[-1]) > SUBSCRIBE_CHARACTERS:
                chunks.append([])
            chunks[-1].append(symbol)
        return [self._request(tuple(chunk), now) for chunk in chunks]

    def answer(self, message: Mapping[str, Any], now: Instant) -> list[Event] | None:
        """What the answer to a request means; None when it answers no open request."""
        request = message.get("req_id")
        requested = self._open.pop(request, None) if isinstance(request, str) else None
        if requested is None:
            return None
        symbols, _ = requested
        reason = str(message.get("ret_msg") or "no reason given")
        # Bybit refuses a second subscription of the same topic, which is then as good as accepted.
        if message.get("success") is True or (len(symbols) == 1 and "already subscribed" in reason):
            for symbol in symbols:
                self._refusals.pop(symbol, None)
            return [Subscribed(symbol) for symbol in symbols]
        if len(symbols) > 1:
            # One bad topic refuses the whole request; single requests show which one it is.
            return [Resubscribe(self._request((symbol,), now)) for symbol in symbols]
        return self._refuse(symbols, reason, now)

    def is_unheard(self, heard_at: Instant, now: Instant) -> bool:
        """Whether a request is overdue and no message at all has come since it was sent; `heard_at`: the last one."""
        return any(heard_at <= asked_at for _, asked_at in self._open.values() if self._is_overdue(asked_at, now))

    def tick(self, now: Instant) -> list[Event]:
        """Refusals of requests that are overdue, and the requests that are due again."""
        events: list[Event] = []
        for number in [number for number, (_, asked_at) in self._open.items() if self._is_overdue(asked_at, now)]:
            symbols, _ = self._open.pop(number)
            events += self._refuse(symbols, "the subscription was not answered", now)
        for symbol in [symbol for symbol, retry_at in self._retry_at.items() if now >= retry_at]:
            del self._retry_at[symbol]
            events.append(Resubscribe(self._request((symbol,), now)))
        return events

    def _is_overdue(self, asked_at: Instant, now: Instant) -> bool:
        return now - asked_at >= self._times.answer_us

    def _request(self, symbols: tuple[str, ...], now: Instant) -> str:
        self._requests += 1
        number = str(self._requests)
        self._open[number] = (symbols, now)
        topics = [f"{TOPIC_PREFIX}{symbol}" for symbol in symbols]
        return json.dumps({"req_id": number, "op": "subscribe", "args": topics}, separators=(",", ":"))

    def _refuse(self, symbols: tuple[str, ...], reason: str, now: Instant) -> list[Event]:
        for symbol in symbols:
            attempt = self._refusals.get(symbol, 0)
            self._refusals[symbol] = attempt + 1
            pause_us = backoff_us(attempt, self._times.retry_us, self._times.retry_most_us, self._uniform)
            self._retry_at[symbol] = Instant(now + pause_us)
        return [Refused(symbol, reason) for symbol in symbols]
