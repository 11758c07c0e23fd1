"""The judge of a simulated topic: whether it ever states that something is whole which lacks a trade.

A reader of the topic takes a minute for complete when its minute record is there, at least as many distinct trades
stand before it as the record counts, and no open gap touches the minute. A gap without an end touches the minute of its
start only; one with an end touches all minutes from its start to its end.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from bitcoin_pipeline.times import MINUTE_US, floor_us, iso

SETTLED_MS: Final = 60_000
"""Time after a minute's end by which the minute is complete or a gap touches it, at the end of a calm run."""


@dataclass(frozen=True, slots=True)
class Made:
    """A trade that the exchange made."""

    trade_id: str
    symbol: str
    time_us: int
    size: Decimal
    turnover: Decimal


@dataclass(frozen=True, slots=True)
class Appended:
    """A record of the topic, and the time at which it was appended."""

    at_ms: int
    record: bytes


@dataclass(frozen=True, slots=True)
class Violation:
    """A false statement of the topic. `at_ms`: when the record that made it was appended, or the end of the run."""

    at_ms: int
    symbol: str
    text: str

    def __str__(self) -> str:
        return f"{iso(self.at_ms * 1000)} {self.symbol}: {self.text}"


@dataclass(slots=True)
class _Minute:
    """One minute of a symbol as a reader of the topic has it."""

    made: set[str] = field(default_factory=set)
    found: set[str] = field(default_factory=set)
    count: int | None = None
    is_confirmed: bool = False
    is_reported: bool = False


@dataclass(slots=True)
class Verdict:
    """What the judge found. `minutes`: those with trades in the topic that ended before the end of the run."""

    violations: list[Violation] = field(default_factory=list)
    minutes: int = 0
    complete: int = 0
    confirmed: int = 0
    lost: int = 0
    needless: int = 0
    """Minutes that are not complete although every trade of them is in the topic."""

    def add(self, other: Verdict) -> None:
        """Add the violations and figures of a further run."""
        self.violations += other.violations
        self.minutes += other.minutes
        self.complete += other.complete
        self.confirmed += other.confirmed
        self.lost += other.lost
        self.needless += other.needless


def judge(partitions: Iterable[Iterable[Appended]], made: Iterable[Made], end_ms: int) -> Verdict:
    """The verdict on a topic, of which each partition's records are in order.

    `made`: all trades of the exchange. `end_ms`: the end of the run, whose last part was calm.
    """
    verdict = Verdict()
    trades: dict[str, dict[str, Made]] = defaultdict(dict)
    for trade in made:
        trades[trade.symbol][trade.trade_id] = trade
    symbols = {symbol: _Symbol(symbol, own) for symbol, own in trades.items()}
    for partition in partitions:
        for appended in partition:
            content = json.loads(appended.record)
            symbol = symbols.get(content.get("symbol"))
            if symbol is not None:
                symbol.take(content, appended.at_ms)
    for _, symbol in sorted(symbols.items()):
        symbol.finish(verdict, end_ms)
    return verdict


class _Symbol:
    """The trades, minutes and gaps of one symbol."""

    def __init__(self, symbol: str, made: Mapping[str, Made]) -> None:
        self._symbol: Final = symbol
        self._made: Final = made
        self._minutes: Final[dict[int, _Minute]] = defaultdict(_Minute)
        self._gaps: Final[dict[str, tuple[int, int | None]]] = {}
        self._violations: Final[list[Violation]] = []
        self._closed: Final[set[str]] = set()
        self._found: Final[set[str]] = set()
        for trade in made.values():
            self._minutes[floor_us(trade.time_us)].made.add(trade.trade_id)

    def take(self, content: Mapping[str, Any], at_ms: int) -> None:
        """Read the symbol's next record."""
        match content["type"]:
            case "trade":
                self._trade(content, at_ms)
            case "minute":
                self._minute(content, at_ms)
            case "gap":
                self._gap(content, at_ms)

    def finish(self, verdict: Verdict, end_ms: int) -> None:
        """Add the symbol's violations and figures to the verdict."""
        first_record_us = min((open_us for open_us, minute in self._minutes.items() if minute.found), default=None)
        for open_us, minute in sorted(self._minutes.items()):
            lost = minute.made - self._found
            if first_record_us is not None and open_us >= first_record_us:
                verdict.lost += len(lost)
            is_over = open_us // 1000 + 60_000 + SETTLED_MS <= end_ms
            if not minute.found or not is_over:
                continue
            verdict.minutes += 1
            is_complete, is_touched = self._is_complete(open_us), self._is_touched(open_us)
            verdict.complete += is_complete
            verdict.confirmed += is_complete and minute.is_confirmed
            verdict.needless += not is_complete and not lost
            if not is_complete and not is_touched:
                self._report(
                    end_ms,
                    f"{_name(open_us)} never ended: it has {len(minute.found)} of {len(minute.made)} trades, its record"
                    f" counts {minute.count}, and no gap touches it",
                )
        verdict.violations += self._violations

    def _trade(self, content: Mapping[str, Any], at_ms: int) -> None:
        trade_id = content["id"]
        trade = self._made.get(trade_id)
        if trade is None or trade.time_us != content["time"]:
            self._report(at_ms, f"trade {trade_id} of {content['time']} was not made")
            return
        open_us = floor_us(trade.time_us)
        self._minutes[open_us].found.add(trade_id)
        self._found.add(trade_id)
        self._check(open_us, at_ms)

    def _minute(self, content: Mapping[str, Any], at_ms: int) -> None:
        open_us = content["open_time"]
        minute = self._minutes[open_us]
        minute.count, minute.is_confirmed = content["trade_count"], content["confirmed"]
        if minute.is_confirmed:
            trades = [self._made[trade_id] for trade_id in minute.made]
            whole = (
                len(trades),
                sum((trade.size for trade in trades), Decimal(0)),
                sum((trade.turnover for trade in trades), Decimal(0)),
            )
            stated = content["trade_count"], Decimal(content["volume"]), Decimal(content["turnover"])
            if stated != whole:
                self._report(at_ms, f"{_name(open_us)} is confirmed with {stated} where the exchange made {whole}")
        self._check(open_us, at_ms)

    def _gap(self, content: Mapping[str, Any], at_ms: int) -> None:
        gap_id, from_us, to_us = content["gap_id"], content["from"], content["to"]
        if content["state"] == "opened":
            self._gaps[gap_id] = from_us, to_us
            if gap_id in self._closed:
                self._report(at_ms, f"gap {gap_id} is opened again, which its readers pass over")
            return
        self._gaps.pop(gap_id, None)
        self._closed.add(gap_id)
        if to_us is None:
            self._report(at_ms, f"gap {gap_id} is closed without an end")
            return
        if to_us > at_ms * 1000 + MINUTE_US:
            self._report(at_ms, f"gap {gap_id} is closed with its end in the future, at {iso(to_us)}")
        lost = [
            trade_id
            for trade_id, trade in self._made.items()
            if from_us <= trade.time_us <= to_us and trade_id not in self._found
        ]
        if lost:
            self._report(at_ms, f"gap {gap_id} is closed and lacks {len(lost)} trades, such as {self._spelled(lost)}")
        for open_us in list(self._minutes):
            if _touches((from_us, to_us), open_us):
                self._check(open_us, at_ms)

    def _check(self, open_us: int, at_ms: int) -> None:
        """Report a minute that is complete and lacks a trade, once."""
        minute = self._minutes[open_us]
        if minute.is_reported or not self._is_complete(open_us):
            return
        lost = minute.made - minute.found
        if lost:
            minute.is_reported = True
            self._report(
                at_ms,
                f"{_name(open_us)} is complete with {len(minute.found)} of {len(minute.made)} trades (its record counts"
                f" {minute.count}, confirmed: {minute.is_confirmed}); it lacks {self._spelled(lost)}",
            )

    def _is_complete(self, open_us: int) -> bool:
        minute = self._minutes[open_us]
        return minute.count is not None and len(minute.found) >= minute.count and not self._is_touched(open_us)

    def _is_touched(self, open_us: int) -> bool:
        return any(_touches(gap, open_us) for gap in self._gaps.values())

    def _spelled(self, trade_ids: Iterable[str]) -> str:
        times = sorted(self._made[trade_id].time_us for trade_id in trade_ids)
        return f"{iso(times[0])} to {iso(times[-1])}" if len(times) > 1 else iso(times[0])

    def _report(self, at_ms: int, text: str) -> None:
        self._violations.append(Violation(at_ms, self._symbol, text))


def _touches(gap: tuple[int, int | None], open_us: int) -> bool:
    from_us, to_us = gap
    return floor_us(from_us) <= open_us <= floor_us(from_us if to_us is None else to_us)


def _name(open_us: int) -> str:
    return f"minute {iso(open_us)}"
