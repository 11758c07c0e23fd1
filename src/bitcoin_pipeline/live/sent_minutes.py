"""The distinct trades of one symbol that stand in the topic, by minute; no I/O.

Part of the core; imported by the other modules of the feed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from bitcoin_pipeline.amounts import from_units, plain_units
from bitcoin_pipeline.bybit.frames import PlainTrade
from bitcoin_pipeline.bybit.klines import Kline
from bitcoin_pipeline.live.records import Minute
from bitcoin_pipeline.times import MINUTE_US, Instant, floor_us


class Verdict(Enum):
    """What is known of a minute that is closed."""

    CONFIRMED = auto()
    """The exchange's closed kline has the same sums."""
    PROVEN = auto()
    """Whole by the feed's own proof."""
    LOST = auto()
    """Trades are missing; an open gap touches the minute."""


class Added(Enum):
    """What became of a trade that was added to a minute."""

    NEW = auto()
    REPEATED = auto()
    OTHER_CONTENT = auto()
    """Its id is known with other content."""
    FORGOTTEN = auto()
    """The minute's ids are no longer kept."""


@dataclass(slots=True)
class SentMinute:
    """One minute: its sums in units of 10**-9, the exchange's kline, and how far its closing has come.

    `contents`: the hash of each trade's content by the hash of its id; None once they are forgotten. `rejected_us`: the
    time of a trade that could not be sent. `recorded`: count and `confirmed` of the last minute record. `over_at`: when
    the minute was first seen to be over. `short_at`: when the closed kline first showed that trades are missing.
    `silent_at`: when the symbol's own trades were first seen not to reach the minute's end. `is_checked`: REST's recent
    trades show that nothing is missing, whatever the kline has.
    """

    open_us: int
    contents: dict[int, int] | None = field(default_factory=dict)
    count: int = 0
    volume: int = 0
    turnover: int = 0
    kline: Kline | None = None
    rejected_us: int | None = None
    verdict: Verdict | None = None
    recorded: tuple[int, bool] | None = None
    over_at: Instant | None = None
    short_at: Instant | None = None
    ask_at: Instant | None = None
    asks: int = 0
    kline_asks: int = 0
    silent_at: Instant | None = None
    is_checked: bool = False

    @property
    def end_us(self) -> int:
        """The start of the next minute."""
        return self.open_us + MINUTE_US

    @property
    def rejected(self) -> list[tuple[int, int]]:
        """The time that may lack a trade because one was rejected, as a list of ranges."""
        return [] if self.rejected_us is None else [(self.rejected_us, self.rejected_us)]

    @property
    def is_whole(self) -> bool:
        """Whether the minute is closed and lacks nothing."""
        return self.verdict is Verdict.CONFIRMED or self.verdict is Verdict.PROVEN

    @property
    def agrees(self) -> bool:
        """Whether the closed kline has the same sums."""
        return self.kline is not None and (self.volume, self.turnover) == (self.kline.volume, self.kline.turnover)

    @property
    def is_short(self) -> bool:
        """Whether the closed kline has a higher volume."""
        return self.kline is not None and self.volume < self.kline.volume

    def add(self, trade: PlainTrade) -> Added:
        """Count a trade of this minute, unless its id is known."""
        contents = self.contents
        if contents is None:
            return Added.FORGOTTEN
        key, content = hash(trade.trade_id), content_of(trade)
        known = contents.get(key)
        if known is not None:
            return Added.REPEATED if known == content else Added.OTHER_CONTENT
        volume, turnover = plain_units(trade.size), plain_units(trade.turnover)  # raises before anything is changed
        contents[key] = content
        self.count += 1
        self.volume += volume
        self.turnover += turnover
        return Added.NEW

    def record(self, symbol: str) -> Minute | None:
        """The minute record that is due; None while the last one is right or no trade was sent."""
        state = self.count, self.agrees
        if not self.count or state == self.recorded:
            return None
        self.recorded = state
        return Minute(symbol, self.open_us, self.count, from_units(self.volume), from_units(self.turnover), state[1])


class SentMinutes(dict[int, SentMinute]):
    """The minutes of one symbol by open time, back to the earliest that may still be amended."""

    def of(self, time_us: int) -> SentMinute:
        """The minute that holds `time_us`, made if it is absent."""
        open_us = floor_us(time_us)
        found = self.get(open_us)
        if found is None:
            found = self[open_us] = SentMinute(open_us)
        return found


def content_of(trade: PlainTrade) -> int:
    """A hash of all that two records of one match have in common; REST may leave `seq` out."""
    return hash((trade.time_us, trade.side, trade.price, trade.size))
