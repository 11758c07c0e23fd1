"""The subscriptions of one connection: requests, answers, refusals and repeated requests.

Part of the core; imported by `session`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bitcoin_pipeline.backoff import backoff_us
from bitcoin_pipeline.bybit.frames import TOPIC_PREFIX
from bitcoin_pipeline.bybit.klines import KLINE_PREFIX
from bitcoin_pipeline.bybit.session_events import (
    Event,
    KlinesRefused,
    KlinesSubscribed,
    Refused,
    Resubscribe,
    Subscribed,
)
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.times import Instant

SUBSCRIBE_CHARACTERS: Final = 15_000
"""Upper bound on the characters of one request's topics; Bybit refuses more than 21,000."""


class Subscriptions:
    """Which topics were requested and when, and which are to be requested again.

    Each symbol has a topic of trades and one of klines. A request holds topics of one kind, as one bad topic refuses
    its whole request. `uniform` returns a random number from 0 to 1.
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
        return [
            self._request(chunk, now)
            for prefix in (TOPIC_PREFIX, KLINE_PREFIX)
            for chunk in _chunks(f"{prefix}{symbol}" for symbol in self._symbols)
        ]

    def answer(self, message: Mapping[str, Any], now: Instant) -> list[Event] | None:
        """What the answer to a request means; None when it answers no open request."""
        request = message.get("req_id")
        if not request:
            request = next(iter(self._open), None)  # requests are answered in their order
        requested = self._open.pop(request, None) if isinstance(request, str) else None
        if requested is None:
            return None
        topics, _ = requested
        reason = str(message.get("ret_msg") or "no reason given")
        # Bybit refuses a second subscription of the same topic, which is then as good as accepted.
        if message.get("success") is True or (len(topics) == 1 and "already subscribed" in reason):
            for topic in topics:
                self._refusals.pop(topic, None)
            return [_accepted(topic) for topic in topics]
        if len(topics) > 1:
            # One bad topic refuses the whole request; single requests show which one it is.
            return [Resubscribe(self._request((topic,), now)) for topic in topics]
        return self._refuse(topics, reason, now)

    def is_unheard(self, heard_at: Instant, now: Instant) -> bool:
        """Whether a request is overdue and no message at all has come since it was sent; `heard_at`: the last one."""
        return any(heard_at <= asked_at for _, asked_at in self._open.values() if self._is_overdue(asked_at, now))

    def tick(self, now: Instant) -> list[Event]:
        """Refusals of requests that are overdue, and the requests that are due again."""
        events: list[Event] = []
        for number in [number for number, (_, asked_at) in self._open.items() if self._is_overdue(asked_at, now)]:
            topics, _ = self._open.pop(number)
            events += self._refuse(topics, "the subscription was not answered", now)
        for topic in [topic for topic, retry_at in self._retry_at.items() if now >= retry_at]:
            del self._retry_at[topic]
            events.append(Resubscribe(self._request((topic,), now)))
        return events

    def _is_overdue(self, asked_at: Instant, now: Instant) -> bool:
        return now - asked_at >= self._times.answer_us

    def _request(self, topics: tuple[str, ...], now: Instant) -> str:
        self._requests += 1
        number = str(self._requests)
        self._open[number] = (topics, now)
        return json.dumps({"req_id": number, "op": "subscribe", "args": topics}, separators=(",", ":"))

    def _refuse(self, topics: tuple[str, ...], reason: str, now: Instant) -> list[Event]:
        for topic in topics:
            attempt = self._refusals.get(topic, 0)
            self._refusals[topic] = attempt + 1
            pause_us = backoff_us(attempt, self._times.retry_us, self._times.retry_most_us, self._uniform)
            self._retry_at[topic] = Instant(now + pause_us)
        return [_refused(topic, reason) for topic in topics]


def _chunks(topics: Iterable[str]) -> list[tuple[str, ...]]:
    chunks: list[tuple[str, ...]] = [()]
    size = 0
    for topic in topics:
        if size > SUBSCRIBE_CHARACTERS:
            chunks.append(())
            size = 0
        chunks[-1] += (topic,)
        size += len(topic) + 3
    return chunks


def _accepted(topic: str) -> Event:
    if topic.startswith(KLINE_PREFIX):
        return KlinesSubscribed(topic.removeprefix(KLINE_PREFIX))
    return Subscribed(topic.removeprefix(TOPIC_PREFIX))


def _refused(topic: str, reason: str) -> Event:
    if topic.startswith(KLINE_PREFIX):
        return KlinesRefused(topic.removeprefix(KLINE_PREFIX), reason)
    return Refused(topic.removeprefix(TOPIC_PREFIX), reason)
