"""A piece of a partition: the distinct trades between two offsets.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from bitcoin_pipeline.live.records import read_trade
from bitcoin_pipeline.times import day_of
from bitcoin_pipeline.trade import Trade


@dataclass(slots=True)
class Piece:
    """The distinct trades between two offsets (`end` excluded) of one partition, by symbol and day, then by id."""

    partition: int
    start: int
    end: int
    trades: dict[tuple[str, dt.date], dict[str, Trade]] = field(default_factory=dict)
    duplicates: int = 0
    unreadable: int = 0

    def add(self, record: bytes | None) -> None:
        """Adds the trade of a record, if it holds one; the first trade of an id is kept, as in the candles."""
        try:
            trade = read_trade(record or b"")
        except ValueError:
            self.unreadable += 1  # the Flink job sends such a record to the dead-letter topic
            return
        if trade is not None:
            kept = self.trades.setdefault((trade.symbol, day_of(trade.time_us)), {})
            if kept.setdefault(trade.trade_id, trade) is not trade:
                self.duplicates += 1
