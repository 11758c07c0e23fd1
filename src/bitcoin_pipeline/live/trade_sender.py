"""Sends each trade of a symbol once and counts it in its minute, and rejects what cannot be sent; no I/O.

Part of the core; imported by `symbol_feed`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from typing import Final

from bitcoin_pipeline.bybit.exchange_clock import ExchangeClock
from bitcoin_pipeline.bybit.frames import PlainTrade, ReceivedTrade, UnreadableTrade
from bitcoin_pipeline.live.account import Account, Hole
from bitcoin_pipeline.live.actions import Action, DeadLetter, Publish, Report
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.records import dead_letter_record, encoded_trade
from bitcoin_pipeline.live.sent_minutes import Added, SentMinute, SentMinutes, Verdict
from bitcoin_pipeline.times import DAY_US, MINUTE_US, Instant, floor_us
from bitcoin_pipeline.trade import Reason

LATE: Final = "more_than_50_minutes_late"
"""The reason for which a trade is rejected that lies too far behind the exchange's clock, or whose minute is done."""
FUTURE: Final = "from_the_future"
"""The reason for which a trade is rejected that lies too far ahead of the exchange's clock."""
TOPIC_KEEPS_US: Final = 7 * DAY_US
"""Retention of the topic."""
_REJECTED_IDS: Final = 1000


class TradeSender:
    """The trades of one symbol on their way to the topic.

    `counts`: since the start; `late` and `future` are part of `rejected`.
    """

    def __init__(
        self, symbol: str, minutes: SentMinutes, account: Account, clock: ExchangeClock, times: FeedTimes
    ) -> None:
        self.counts: Final = dict.fromkeys(("trades", "duplicates", "rejected", "late", "future"), 0)
        self.amended: set[int] = set()
        """Open times of the minutes that were changed since the caller emptied this set."""
        self._symbol: Final = symbol
        self._minutes: Final = minutes
        self._account: Final = account
        self._clock: Final = clock
        self._times: Final = times
        self._rejected_ids: deque[str] = deque(maxlen=_REJECTED_IDS)
        self._has_reported_seq = False

    def send(self, trades: Iterable[ReceivedTrade], now: Instant, *, is_page: bool = False) -> list[Action]:
        """Publish the trades that were not sent before.

        `is_page`: they are REST's, which lists what was sent long ago; only trades of open minutes are taken.
        """
        clock_us = self._clock.time_us(now)
        assert clock_us is not None
        oldest_us, newest_us = clock_us - self._times.late_us, clock_us + self._times.ahead_us
        records: list[bytes] = []
        rejections: list[Action] = []
        for trade in trades:
            if isinstance(trade, UnreadableTrade):
                if not is_page or self._is_in_question(trade):
                    rejections += self._reject(trade, str(trade.reason), trade.time_us or clock_us, clock_us)
                continue
            time_us = trade.time_us
            if not oldest_us <= time_us <= newest_us:
                if not is_page:
                    rejections += self._out_of_bounds(trade, clock_us)
                continue
            minute = self._minute_of(time_us, is_page=is_page)
            if minute is None:
                continue
            added = minute.add(trade)
            if added is Added.NEW:
                records.append(encoded_trade(trade))
                self.amended.add(minute.open_us)
                if not trade.seq and not self._has_reported_seq:
                    rejections += self._seq_of_another_form(trade)
            elif added is Added.REPEATED or minute.verdict is Verdict.CONFIRMED or is_page:
                self.counts["duplicates"] += not is_page
            else:
                other = added is Added.OTHER_CONTENT
                reason = str(Reason.ID_WITH_OTHER_CONTENT) if other else LATE
                rejections += self._reject(trade, reason, None if other else time_us, clock_us)
            if not is_page:
                self._account.came(trade, clock_us)
        self.counts["trades"] += len(records)
        return [Publish(self._symbol, records), *rejections] if records else rejections

    def _minute_of(self, time_us: int, *, is_page: bool) -> SentMinute | None:
        open_us = floor_us(time_us)
        found = self._minutes.get(open_us)
        begins_us = self._account.begins_us or 0
        if found is None:
            if open_us >= begins_us:
                return self._minutes.of(time_us)
            if is_page:
                return None
            # What precedes the first subscription is not accounted for.
            self._account.holes.append(Hole(open_us, open_us + MINUTE_US - 1))
            return self._minutes.of(time_us)
        return None if is_page and (open_us < begins_us or found.verdict is Verdict.CONFIRMED) else found

    def _is_in_question(self, trade: UnreadableTrade) -> bool:
        """Whether an unreadable item of REST lies in an open minute and was not rejected before."""
        minute = None if trade.time_us is None else self._minutes.get(floor_us(trade.time_us))
        return (
            minute is not None
            and minute.verdict is None
            and minute.rejected_us is None
            and trade.trade_id not in self._rejected_ids
        )

    def _out_of_bounds(self, trade: PlainTrade, clock_us: int) -> list[Action]:
        if trade.time_us > clock_us:
            self.counts["future"] += 1
            return self._reject(trade, FUTURE, clock_us, clock_us)
        return self._reject(trade, LATE, trade.time_us, clock_us)

    def _reject(self, trade: ReceivedTrade, reason: str, doubted_us: int | None, clock_us: int) -> list[Action]:
        """Send a trade to the dead-letter topic. `doubted_us`: a time whose minute may lack it."""
        self.counts["rejected"] += 1
        self.counts["late"] += reason == LATE
        if trade.trade_id is not None:
            self._rejected_ids.append(trade.trade_id)
        # A time before the topic's retention is no real one.
        if doubted_us is not None and doubted_us > clock_us - TOPIC_KEEPS_US:
            minute = self._minutes.of(doubted_us)
            if minute.rejected_us is None:
                minute.rejected_us = doubted_us
                self.amended.add(minute.open_us)
        return [DeadLetter(dead_letter_record(reason, _text_of(trade.received)))]

    def _seq_of_another_form(self, trade: PlainTrade) -> list[Action]:
        seq = trade.received.get("seq", 0) if isinstance(trade.received, dict) else 0
        if seq in (0, "0"):
            return []
        self._has_reported_seq = True
        return [Report("seq of another form", {"symbol": self._symbol, "seq": str(seq)[:100]})]


def _text_of(received: object) -> str:
    try:
        return json.dumps(received, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError) as error:
        return f"an item that JSON cannot hold: {type(error).__name__}"
