"""Whether a symbol is silent because nothing is traded, or because its trades are kept back; no I/O.

Part of the core; imported by `symbol_feed`.

An exchange may answer pings and keep a symbol's trades back. So before a heartbeat passes the end of a minute, REST is
asked for the last trades of each symbol whose own frames do not reach that end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from bitcoin_pipeline.bybit.frames import ReceivedTrade
from bitcoin_pipeline.live.actions import Action, AskRecentTrades
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.times import Instant

CHECKED_TRADES: Final = 200
"""How many of a silent symbol's last trades REST is asked for; if all of them are known, so are those before."""


class SilenceCheck:
    """The requests to REST about one symbol, and what their answers prove.

    `whole_us`: no trade up to here is missing, as REST or the end of the topic shows; the symbol's own frames may
    prove more.
    """

    def __init__(self, symbol: str, whole_us: int, times: FeedTimes) -> None:
        self.whole_us = whole_us
        self._symbol: Final = symbol
        self._times: Final = times
        self._asked_at: Instant | None = None
        self._asked_up_to_us = 0
        self._ask_due_at = Instant(0)

    @property
    def is_open(self) -> bool:
        """Whether an answer of REST is awaited."""
        return self._asked_at is not None

    def awaits(self, asked_at: Instant) -> bool:
        """Whether the answer to the request of that instant is awaited."""
        return self._asked_at == asked_at

    def ask(self, up_to_us: int, now: Instant) -> list[Action]:
        """The request for the last trades, to see whether any up to `up_to_us` is missing, if it is due."""
        if self._asked_at is not None or now < self._ask_due_at:
            return []
        self._asked_at, self._asked_up_to_us = now, up_to_us
        return [AskRecentTrades(self._symbol, now, CHECKED_TRADES)]

    def cancel(self) -> None:
        """Ignore the answer that is awaited."""
        self._asked_at = None

    def failed(self, now: Instant) -> None:
        """REST has failed; it is to be asked again after a while."""
        self._asked_at = None
        self._ask_due_at = Instant(now + self._times.ask_again_us)

    def missing(
        self,
        page: Sequence[ReceivedTrade],
        own_us: int,
        known_ids: Collection[str],
        is_accounted: Callable[[int], bool],
    ) -> list[int]:
        """Take REST's answer, oldest first; the times of trades that should have come over the websocket.

        Where there are none, the symbol is whole up to the time that was asked about. `own_us`: proven by the symbol's
        own frames. `is_accounted`: whether a trade of that time may be missing for a recorded reason.
        """
        self._asked_at = None
        whole_us, up_to_us = max(own_us, self.whole_us), self._asked_up_to_us
        if len(page) >= CHECKED_TRADES:  # in a burst, the whole page may be newer, and hide a trade before it
            up_to_us = max(up_to_us, page[0].time_us or 0)
        found = [
            trade.time_us
            for trade in page
            if trade.time_us is not None
            and trade.trade_id is not None
            and trade.trade_id not in known_ids
            and whole_us < trade.time_us <= up_to_us
            and not is_accounted(trade.time_us)
        ]
        if not found:
            self.whole_us = max(whole_us, self._asked_up_to_us)
        return found
