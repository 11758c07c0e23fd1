"""The state of each symbol's feed, as the page shows it.

Part of the dashboard; lives on the event loop.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from bitcoin_pipeline.candle import Candle
from bitcoin_pipeline.times import MS_US, SECOND_US, Instant
from dashboard.clock import Clock, elapsed_s
from dashboard.postgres import FeedStatus

SILENT_S: Final = 5.0
"""Time without a new proof from which a feed counts as silent; proofs come every second."""


class FeedStates:
    """The newest status of each feed, and when its proven time last advanced."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_at = clock()
        self._feeds: dict[str, FeedStatus] = {}
        self._advanced_at: dict[str, Instant] = {}

    def take(self, feeds: dict[str, FeedStatus]) -> None:
        """Replace the status of these symbols' feeds."""
        for symbol, feed in feeds.items():
            known = self._feeds.get(symbol)
            if known is None or known.proven_us != feed.proven_us:
                self._advanced_at[symbol] = self._clock()
        self._feeds |= feeds

    def state(self, symbol: str, postgres_late_s: int, trades_fault: str, day: list[Candle]) -> dict[str, object]:
        """The state that is pushed to the viewers; what is in order is left out, for it is sent every second.

        `postgres` and `silent`: seconds; `trades`: a fault. `proven` (ms), `lag` (ms), `reconnects`, `gaps` (the
        number of those that go on) and `gaps_since` (s), `unfilled` (the number of those that have ended and lack
        trades) and `unfilled_since` (s, of the newest): of the feed.
        `day`: of the last 24 hours, whose candles are the parameter.
        """
        silent_s = elapsed_s(self._advanced_at.get(symbol, self._started_at), self._clock())
        faults = {
            "postgres": postgres_late_s,
            "trades": trades_fault,
            "silent": round(silent_s) if silent_s > SILENT_S else 0,
        }
        state: dict[str, object] = {name: value for name, value in faults.items() if value}
        feed = self._feeds.get(symbol)
        if feed is not None:
            state |= {"proven": feed.proven_us // MS_US, "lag": feed.lag_ms, "reconnects": feed.reconnects}
            if feed.gaps_since_us is not None:
                state |= {"gaps": feed.open_gaps, "gaps_since": feed.gaps_since_us // SECOND_US}
            if feed.unfilled_us is not None:
                state |= {"unfilled": feed.unfilled_gaps, "unfilled_since": feed.unfilled_us // SECOND_US}
        if day:
            state["day"] = _summary(day)
        return state


def _summary(day: list[Candle]) -> dict[str, object]:
    bought = [candle.buy_volume for candle in day if candle.buy_volume is not None]
    volume = sum((candle.volume for candle in day), Decimal(0))
    return {
        "since": day[0].open_time_us // SECOND_US,
        "open": float(day[0].open),
        "high": float(max(candle.high for candle in day)),
        "low": float(min(candle.low for candle in day)),
        "volume": float(volume),
        "delta": float(2 * sum(bought, Decimal(0)) - volume) if len(bought) == len(day) else None,
    }
