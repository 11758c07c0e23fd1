"""Which symbol REST is asked about next, within the permitted number of requests; no I/O.

Part of the core; imported by `feed`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from bitcoin_pipeline.live.actions import Action
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.symbol_feed import SymbolFeed
from bitcoin_pipeline.times import SECOND_US, Instant


class Requests:
    """Spreads the symbols' requests over time; the busiest symbol's is first, as REST forgets its trades first."""

    def __init__(self, symbols: Collection[SymbolFeed], times: FeedTimes) -> None:
        self._symbols: Final = symbols
        self._times: Final = times
        self._allowed = float(times.requests_at_once)
        self._counted_at: Instant | None = None

    def due(self, now: Instant) -> list[Action]:
        """The requests that may be sent now."""
        if self._counted_at is not None:
            gained = (now - self._counted_at) * self._times.requests_per_s / SECOND_US
            self._allowed = min(self._allowed + gained, float(self._times.requests_at_once))
        self._counted_at = now
        if self._allowed < 1:
            return []
        asking = [symbol.questions for symbol in self._symbols]
        waiting = [(urgency, questions) for questions in asking if (urgency := questions.urgency(now)) is not None]
        waiting.sort(key=lambda item: -item[0])
        actions: list[Action] = []
        for _, questions in waiting:
            if self._allowed < 1:
                break
            asked = questions.ask(now)
            self._allowed -= len(asked)
            actions += asked
        return actions
