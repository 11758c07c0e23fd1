"""Which trades of one symbol were sent, by id, and which are to be sent; no I/O.

Part of the core; imported by `symbol_feed`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from bitcoin_pipeline.bybit.frames import ReceivedTrade, UnreadableTrade
from bitcoin_pipeline.bybit.rest import RECENT_TRADES
from bitcoin_pipeline.live.actions import Action, DeadLetter, Publish
from bitcoin_pipeline.live.feed_clock import FeedClock
from bitcoin_pipeline.live.gap_ledger import TOPIC_KEEPS_US, GapLedger
from bitcoin_pipeline.live.records import dead_letter_record, encoded_trade
from bitcoin_pipeline.times import Instant
from bitcoin_pipeline.trade import Reason

LATE: Final = "more_than_50_minutes_late"
"""The reason for which a trade is refused that lies too far behind the last heartbeat."""
_REMEMBERED: Final = 1_000_000
"""Upper bound on the records of one symbol that are kept between two heartbeats; beyond it only Flink, which drops
repeated ids as well, recognises an early repetition."""


class SentTrades:
    """Sends each trade of a symbol once, and rejects what cannot be sent.

    `records`: the trade records at the end of the topic, by id, oldest first. `ledger` receives the minutes of rejected
    trades.
    """

    def __init__(self, symbol: str, records: Mapping[str, bytes], ledger: GapLedger, clock: FeedClock) -> None:
        self.counts: Final = dict.fromkeys(("trades", "duplicates", "rejected", "late"), 0)
        self._symbol: Final = symbol
        self._ledger: Final = ledger
        self._clock: Final = clock
        # Records since the last heartbeat that named the symbol, and since the one before.
        self._newer: dict[str, bytes] = {}
        self._older = dict(records)
        # Ids of what was sent before the records in `_older`; at the start, of those records themselves.
        self._last_ids: deque[str] = deque(records, RECENT_TRADES)

    def send(self, trades: Iterable[ReceivedTrade], now: Instant, *, is_catch_up: bool = False) -> list[Action]:
        """Publish the trades that were not sent before.

        A trade that is too old is rejected as late, or passed over in a catch-up, whose gap states its loss.
        """
        newer, older, oldest_us = self._newer, self._older, self._clock.oldest_us
        records: list[bytes] = []
        rejections: list[Action] = []
        for trade in trades:
            if isinstance(trade, UnreadableTrade):
                rejections += self._reject(trade, str(trade.reason), now)
                continue
            trade_id = trade.trade_id
            if trade_id in newer or trade_id in older:
                if _has_same_content(encoded_trade(trade), newer.get(trade_id) or older[trade_id]):
                    self.counts["duplicates"] += 1
                else:
                    rejections += self._reject(trade, str(Reason.ID_WITH_OTHER_CONTENT), now)
            elif trade.time_us >= oldest_us:
                newer[trade_id] = record = encoded_trade(trade)
                records.append(record)
            elif not is_catch_up:
                self.counts["late"] += 1
                rejections += self._reject(trade, LATE, now)
        self.counts["trades"] += len(records)
        if len(newer) > _REMEMBERED:
            self._older, self._newer = newer, {}
        return [Publish(self._symbol, records), *rejections] if records else rejections

    def known_ids(self) -> set[str]:
        """Ids of every sent trade that is remembered."""
        return {*self._last_ids, *self._older, *self._newer}

    def forgotten_ids(self) -> set[str]:
        """Ids of sent trades whose records are no longer kept, so that `send` would send them again."""
        return set(self._last_ids) - self._older.keys() - self._newer.keys()

    def records(self) -> dict[str, bytes]:
        """The records that are kept, by trade id."""
        return self._older | self._newer

    def named_in_heartbeat(self, kept: dict[str, bytes]) -> None:
        """Forget the records older than the previous heartbeat, except those in `kept`."""
        self._last_ids.extend(self._newer)
        self._older, self._newer = self._newer | kept, {}

    def _reject(self, trade: ReceivedTrade, reason: str, now: Instant) -> list[Action]:
        self.counts["rejected"] += 1
        letter = DeadLetter(dead_letter_record(reason, json.dumps(trade.received, ensure_ascii=False)))
        time_us = trade.time_us if trade.time_us is not None else self._clock.exchange_us(now)
        # A repeated id is no missing trade, and a time before the topic's retention is no real one.
        kept_from_us = (self._clock.heartbeat_us or 0) - TOPIC_KEEPS_US
        if time_us is None or reason == Reason.ID_WITH_OTHER_CONTENT or time_us < kept_from_us:
            return [letter]
        return [*self._ledger.reject(time_us), letter]


def _has_same_content(one: bytes, other: bytes) -> bool:
    """Whether two records are of the same match: equal in all but `seq`, which REST may leave out."""
    if one == other:
        return True
    first, second = json.loads(one), json.loads(other)
    return bool({**first, "seq": 0} == {**second, "seq": 0})
