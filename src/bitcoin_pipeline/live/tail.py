"""What the last records of the topic state to a producer that starts.

Part of the core; every module but the base modules and `bybit` may import it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bitcoin_pipeline.bybit.frames import PlainTrade
from bitcoin_pipeline.live.records import GAP, HEARTBEAT, MAX_US, MINUTE, TRADE, Gap, GapState
from bitcoin_pipeline.live.sent_minutes import SentMinutes, Verdict
from bitcoin_pipeline.times import MINUTE_US, SECOND_US, floor_us

UNCLOSED_US: Final = 30 * SECOND_US
"""Upper bound on how long a minute of a live symbol is over and not closed."""


class SymbolTail:
    """The last records of one symbol: its trades by minute, its open gaps by id, and its last time in a heartbeat."""

    def __init__(self) -> None:
        self.minutes = SentMinutes()
        self.gaps: dict[str, Gap] = {}
        self.heartbeat_us = 0

    def begins_us(self, oldest_us: int, newest_us: int) -> int | None:
        """The start of the first minute that is not closed, or that an open gap touches; None if nothing is known.

        Records with times beyond `newest_us` are passed over, and minutes before `oldest_us` unless none is later.
        """
        known = [minute for minute in self.minutes.values() if minute.open_us <= newest_us]
        doubted = {
            open_us
            for gap in self.gaps.values()
            for open_us in range(
                max(floor_us(gap.from_us), oldest_us), min(gap.to_us or newest_us, newest_us) + 1, MINUTE_US
            )
        }
        for minute in known:
            count, is_confirmed = minute.recorded or (-1, False)
            if count < minute.count or (minute.open_us in doubted and not is_confirmed):
                minute.verdict = None
            else:
                minute.verdict = Verdict.CONFIRMED if is_confirmed else Verdict.PROVEN
        unclosed = {minute.open_us for minute in known if minute.verdict is None} | doubted
        if unclosed:
            return min((open_us for open_us in unclosed if open_us >= oldest_us), default=max(unclosed))
        # A minute without a trade has no record.
        quiet_us = floor_us(self.heartbeat_us - UNCLOSED_US) if UNCLOSED_US < self.heartbeat_us <= newest_us else 0
        return max([quiet_us, *(minute.end_us for minute in known)]) or None

    def is_read_back(self) -> bool:
        """Whether the records reach back to before the symbol's first minute that is not closed."""
        times = sorted(self.minutes)
        unclosed = [open_us for open_us in times if self.minutes[open_us].recorded is None]
        return bool(times) and (not unclosed or times[0] < unclosed[0])


class Tail:
    """The state at the end of the topic, from each partition's last records, added in their order."""

    def __init__(self) -> None:
        self.symbols: dict[str, SymbolTail] = {}

    def add(self, record: bytes) -> None:
        """Take one record; what is no record of the topic is passed over."""
        try:
            content = json.loads(record)
            kind = content["type"]
            if kind == HEARTBEAT:
                time_us = _time_in(content["time"])
                for symbol in content["symbols"]:
                    known = self._of(symbol)
                    known.heartbeat_us = time_us
            elif kind == TRADE:
                self._of(content["symbol"]).minutes.of(_time_in(content["time"])).add(_trade_in(content))
            elif kind == MINUTE:
                minute = self._of(content["symbol"]).minutes.of(_time_in(content["open_time"]))
                minute.recorded = int(content["trade_count"]), bool(content["confirmed"])
            elif kind == GAP:
                self._add_gap(content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return  # Flink sends such records to the dead-letter topic

    def is_read_back(self, symbols: Iterable[str]) -> bool:
        """Whether no earlier records need be read for any of the symbols."""
        return all(symbol in self.symbols and self.symbols[symbol].is_read_back() for symbol in symbols)

    def _of(self, symbol: str) -> SymbolTail:
        found = self.symbols.get(symbol)
        if found is None:
            found = self.symbols[symbol] = SymbolTail()
        return found

    def _add_gap(self, content: Mapping[str, Any]) -> None:
        state = GapState(content["state"])
        to_us = None if content["to"] is None else _time_in(content["to"])
        gap = Gap(content["gap_id"], content["symbol"], _time_in(content["from"]), to_us, state)
        gaps = self._of(gap.symbol).gaps
        if state is GapState.OPENED:
            gaps[gap.gap_id] = gap
        else:
            gaps.pop(gap.gap_id, None)


def _time_in(value: Any) -> int:
    if type(value) is not int or not 0 < value < MAX_US:
        raise ValueError(f"a time is microseconds, got {str(value)[:100]}")
    return value


def _trade_in(content: Mapping[str, Any]) -> PlainTrade:
    texts = (content["side"], content["price"], content["size"], content["turnover"])
    return PlainTrade(content["symbol"], content["id"], content["time"], content["seq"], *texts)
