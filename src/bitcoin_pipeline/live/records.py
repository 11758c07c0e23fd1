"""The records of the topic `trades` (trade, minute, gap and heartbeat) as JSON, which Flink's SQL reads.

Part of the core; every module but the base modules and `bybit` may import it. Prices, sizes and turnovers are strings
of plain decimals; times are integer microseconds UTC. A trade has the fields `block_trade` and `rpi` only where the
exchange gave these flags.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from bitcoin_pipeline.amounts import canonical, parse_decimal, plain
from bitcoin_pipeline.bybit.frames import PlainTrade, plain_trade
from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import MS_US
from bitcoin_pipeline.trade import (
    Trade,
    live_order,
    parse_flag,
    parse_price,
    parse_size,
    parse_taker_side,
    parse_trade_id,
)

TRADE: Final = "trade"
MINUTE: Final = "minute"
HEARTBEAT: Final = "heartbeat"
GAP: Final = "gap"

MAX_US: Final = 10**14 * MS_US
"""Exclusive upper bound on the times in the topic."""
DEAD_LETTER_CHARACTERS: Final = 80_000
"""Upper bound on the characters of a text in the dead-letter topic; each takes at most 6 bytes."""
_MAX_SEQ: Final = 2**63
_BOOLEANS: Final = {True: "true", False: "false"}
# The end of a trade's record by its flags (block_trade, rpi).
_FLAGS: Final = {
    (block_trade, rpi): "".join(
        f',"{name}":{_BOOLEANS[flag]}'
        for name, flag in (("block_trade", block_trade), ("rpi", rpi))
        if flag is not None
    )
    for block_trade, rpi in itertools.product((None, False, True), repeat=2)
}


class GapState(StrEnum):
    """Whether trades may be missing; `closed`: every trade in the gap was sent after all."""

    OPENED = "opened"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Minute:
    """The sums of the distinct trades of one symbol and minute that precede this record in the symbol's partition.

    The record closes the minute; a later one of the same minute replaces it. `open_time_us`: start of the minute.
    `confirmed`: the exchange's own closed kline has this volume and this turnover.
    """

    symbol: str
    open_time_us: int
    trade_count: int
    volume: Decimal
    turnover: Decimal
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How far the feed of `symbols` is proven, for health and lag: every trade with a time up to `time_us` was sent.

    `lag_ms`: the exchange's time at the sending minus `time_us`. `reconnects`: of this worker since it started.
    """

    time_us: int
    symbols: tuple[str, ...]
    lag_ms: int
    reconnects: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Trades of one symbol from `from_us` to `to_us` may be missing, however many minutes that is.

    `to_us` is None as long as the feed of the symbol is away. It is set once; after that the gap may only be closed.
    """

    gap_id: str
    symbol: str
    from_us: int
    to_us: int | None
    state: GapState


def trade_record(trade: Trade, seq: int) -> bytes:
    """A trade as it stands in the topic; `seq` is the exchange's, 0 where it gave none."""
    return encoded_trade(plain_trade(trade, seq))


def encoded_trade(trade: PlainTrade) -> bytes:
    """A trade as it stands in the topic; the texts of a PlainTrade need no escaping."""
    symbol, trade_id, time_us, seq, side, price, size, turnover, _, block_trade, rpi = trade
    return (
        f'{{"type":"trade","symbol":"{symbol}","id":"{trade_id}","time":{time_us},"seq":{seq},"side":"{side}",'
        f'"price":"{price}","size":"{size}","turnover":"{turnover}"{_FLAGS[block_trade, rpi]}}}'
    ).encode()


def read_trade(record: bytes) -> Trade | None:
    """The trade in a record of the topic; None for a record of another type.

    `Trade.order` is that of `live_order`, so it begins with seq. Raises ValueError for what is no record of the topic.
    """
    try:
        fields = json.loads(record)
    except RecursionError:
        raise ValueError("the record is nested too deeply") from None
    kind = fields.get("type") if isinstance(fields, dict) else None
    if kind in (MINUTE, HEARTBEAT, GAP):
        return None
    if kind != TRADE:
        raise ValueError(f"a record's type is {TRADE}, {MINUTE}, {HEARTBEAT} or {GAP}, got {str(kind)[:100]!r}")
    time_us, seq = fields.get("time"), fields.get("seq")
    if type(time_us) is not int or not 0 < time_us < MAX_US or type(seq) is not int or not 0 <= seq < _MAX_SEQ:
        raise ValueError(f"time and seq must be integers in range, got {str(time_us)[:100]} and {str(seq)[:100]}")
    texts = [fields.get(name) for name in ("symbol", "id", "side", "price", "size", "turnover")]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"symbol, id, side, price, size and turnover must be strings, got {str(texts)[:200]}")
    symbol, trade_id, side, price, size, turnover = texts
    turnover = parse_decimal(turnover)
    if turnover is None:
        raise ValueError(f"turnover must be a number, got {fields['turnover'][:100]!r}")
    trade_id, taker_side, price = parse_trade_id(trade_id), parse_taker_side(side), parse_price(price)
    order = live_order(seq, taker_side, price, trade_id)
    return Trade(
        symbol=parse_symbol(symbol),
        trade_id=trade_id,
        time_us=time_us,
        price=price,
        size=parse_size(size),
        taker_side=taker_side,
        turnover=canonical(turnover),
        order=order,
        block_trade=parse_flag(fields.get("block_trade")),
        rpi=parse_flag(fields.get("rpi")),
    )


def minute_record(minute: Minute) -> bytes:
    """A minute's sums as they stand in the topic, under the symbol's key."""
    return _json(
        {
            "type": MINUTE,
            "symbol": minute.symbol,
            "open_time": minute.open_time_us,
            "trade_count": minute.trade_count,
            "volume": plain(minute.volume),
            "turnover": plain(minute.turnover),
            "confirmed": minute.confirmed,
        }
    )


def heartbeat_record(heartbeat: Heartbeat) -> bytes:
    """A heartbeat as it stands in every partition of the topic."""
    return _json(
        {
            "type": HEARTBEAT,
            "time": heartbeat.time_us,
            "symbols": list(heartbeat.symbols),
            "lag_ms": heartbeat.lag_ms,
            "reconnects": heartbeat.reconnects,
        }
    )


def gap_record(gap: Gap) -> bytes:
    """A gap as it stands in the topic."""
    return _json(
        {
            "type": GAP,
            "gap_id": gap.gap_id,
            "symbol": gap.symbol,
            "from": gap.from_us,
            "to": gap.to_us,
            "state": str(gap.state),
        }
    )


def dead_letter_record(reason: str, text: str) -> bytes:
    """The record of the dead-letter topic for a text that could not be used, with the reason; both are cut.

    No record exceeds the megabyte that the broker accepts. A lone surrogate becomes its escape sequence.
    """
    record = {"reason": reason[:DEAD_LETTER_CHARACTERS], "record": text[:DEAD_LETTER_CHARACTERS]}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")


def _json(record: dict[str, object]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
