"""The candle, how trades become one, and how candles merge into longer ones.

Part of the core; any module may import it. `tests/conformance/cases` hold every implementation of these
rules to the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from bitcoin_pipeline.amounts import EXACT, canonical
from bitcoin_pipeline.times import MINUTE_US, floor_us, iso
from bitcoin_pipeline.trade import TakerSide, Trade


class Source(StrEnum):
    """Where a candle comes from; part of its key, so candles of several sources coexist for one minute."""

    ARCHIVE = "archive"
    LIVE = "live"
    KLINE = "kline"


class Status(StrEnum):
    """How complete a candle is.

    `forming`: the minute is open. `final`: it is over and lacks no trade. `partial`: it is known to lack trades.
    `repaired`: it was partial and has been made whole.
    """

    FORMING = "forming"
    FINAL = "final"
    PARTIAL = "partial"
    REPAIRED = "repaired"

    @property
    def rank(self) -> int:
        """Order in which a stored row of the same trades changes its status; a gap that opens later reverses it."""
        return _RANK[self]

    @property
    def doubt(self) -> int:
        """Order of the statuses in a merge; a longer candle has the status of its minute with the highest doubt."""
        return _DOUBT[self]


_RANK = {Status.FORMING: 0, Status.FINAL: 1, Status.PARTIAL: 2, Status.REPAIRED: 3}
_DOUBT = {Status.FINAL: 0, Status.REPAIRED: 1, Status.FORMING: 2, Status.PARTIAL: 3}


@dataclass(frozen=True, slots=True)
class Candle:
    """Prices, amounts and count of the trades of one interval.

    `open_time_us`: microseconds UTC. `volume`, `buy_volume`: sum of size. `turnover`, `buy_turnover`: sum of
    the trades' turnover. `buy_volume`, `buy_turnover`: the part that takers bought. `trade_count`, the buy side and the
    ids are None for the exchange's klines. `confirmed`: whether the exchange's own closed kline has this volume and
    turnover, None where it was not compared; two candles that differ in it alone are equal.
    """

    symbol: str
    open_time_us: int
    source: Source
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal
    trade_count: int | None
    buy_volume: Decimal | None
    buy_turnover: Decimal | None
    first_trade_id: str | None
    last_trade_id: str | None
    status: Status
    confirmed: bool | None = field(default=None, compare=False)


COMPLETE: Final = (Status.FINAL, Status.REPAIRED)
"""Statuses of candles that lack no trade."""

# From the best on: a source, and whether only its complete candles have that rank. A partial candle lacks trades, so
# status goes before source; a kline has no status of its own, and stands between the two.
_PRECEDENCE: Final = (
    (Source.ARCHIVE, True),
    (Source.LIVE, True),
    (Source.KLINE, False),
    (Source.ARCHIVE, False),
    (Source.LIVE, False),
)


def precedence(candle: Candle) -> int:
    """The rank of a candle among those of one symbol and minute; the lowest is the best, as in `candles_best`."""
    return next(
        rank
        for rank, (source, complete_only) in enumerate(_PRECEDENCE, 1)
        if candle.source is source and (not complete_only or candle.status in COMPLETE)
    )


def precedence_sql(complete: str) -> str:
    """`precedence` as an SQL expression over the column `source`; `complete` is the condition of a complete row.

    A longer candle of several sources has the last rank.
    """
    whens = [
        f"WHEN source = '{source}'{f' AND {complete}' if complete_only else ''} THEN {rank}"
        for rank, (source, complete_only) in enumerate(_PRECEDENCE, 1)
    ]
    return f"CASE {' '.join(whens)} ELSE {len(whens) + 1} END"


def minute_candles(trades: Iterable[Trade], source: Source, *, partial_minutes: Iterable[int] = ()) -> list[Candle]:
    """The 1-minute candles of distinct trades of one source, by symbol and open time.

    The trades may come in any order; `partial_minutes` holds the open times (us) of minutes known to lack
    trades. A minute without trades has no candle.
    """
    minutes: dict[tuple[str, int], list[Trade]] = {}
    for trade in trades:
        minutes.setdefault((trade.symbol, floor_us(trade.time_us)), []).append(trade)
    partial = frozenset(partial_minutes)
    return [
        _minute(minutes[key], key[1], source, Status.PARTIAL if key[1] in partial else Status.FINAL)
        for key in sorted(minutes)
    ]


def merge(candles: Iterable[Candle], interval_us: int, *, lost_minutes: Iterable[int] = ()) -> list[Candle]:
    """Candles of `interval_us` from shorter ones, by symbol, source and open time.

    `lost_minutes`: open times (us) of minutes that had trades and have no candle; a longer candle over one of them is
    partial. Associative and commutative: neither order nor intermediate intervals change the result. Raises ValueError
    when two candles of one symbol and source share an open time, because one of them would count twice.
    """
    partial = {floor_us(time, interval_us) for time in lost_minutes}
    groups: dict[tuple[str, Source, int], dict[int, Candle]] = {}
    for candle in candles:
        key = (candle.symbol, candle.source, floor_us(candle.open_time_us, interval_us))
        parts = groups.setdefault(key, {})
        if candle.open_time_us in parts:
            raise ValueError(f"two candles of {candle.symbol} {candle.source} open at {iso(candle.open_time_us)}")
        parts[candle.open_time_us] = candle
    return [_merged(groups[key], key[2], is_partial=key[2] in partial) for key in sorted(groups)]


def _minute(trades: list[Trade], open_time_us: int, source: Source, status: Status) -> Candle:
    assert open_time_us % MINUTE_US == 0
    # Orders are comparable between trades of one source, which their type does not express.
    first = min(trades, key=lambda trade: (trade.time_us, trade.order))
    last = max(trades, key=lambda trade: (trade.time_us, trade.order))
    bought = [trade for trade in trades if trade.taker_side is TakerSide.BUY]
    return Candle(
        symbol=first.symbol,
        open_time_us=open_time_us,
        source=source,
        open=first.price,
        high=max(trade.price for trade in trades),
        low=min(trade.price for trade in trades),
        close=last.price,
        volume=_total(trade.size for trade in trades),
        turnover=_total(trade.turnover for trade in trades),
        trade_count=len(trades),
        buy_volume=_total(trade.size for trade in bought),
        buy_turnover=_total(trade.turnover for trade in bought),
        first_trade_id=first.trade_id,
        last_trade_id=last.trade_id,
        status=status,
    )


def _merged(parts: Mapping[int, Candle], open_time_us: int, *, is_partial: bool) -> Candle:
    candles = [parts[time] for time in sorted(parts)]
    first, last = candles[0], candles[-1]
    counts = [candle.trade_count for candle in candles]
    statuses = [candle.status for candle in candles] + [Status.PARTIAL] * is_partial
    return Candle(
        symbol=first.symbol,
        open_time_us=open_time_us,
        source=first.source,
        open=first.open,
        high=max(candle.high for candle in candles),
        low=min(candle.low for candle in candles),
        close=last.close,
        volume=_total(candle.volume for candle in candles),
        turnover=_total(candle.turnover for candle in candles),
        trade_count=None if None in counts else sum(count for count in counts if count is not None),
        buy_volume=_total_or_none([candle.buy_volume for candle in candles]),
        buy_turnover=_total_or_none([candle.buy_turnover for candle in candles]),
        first_trade_id=first.first_trade_id,
        last_trade_id=last.last_trade_id,
        status=max(statuses, key=lambda status: status.doubt),
        confirmed=_all_confirmed({candle.confirmed for candle in candles}),
    )


def _all_confirmed(confirmed: Set[bool | None]) -> bool | None:
    return False if False in confirmed else None if None in confirmed else True


def _total(amounts: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return canonical(total)


def _total_or_none(amounts: list[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return _total(known) if len(known) == len(amounts) else None
