"""The records of the topic `trades`: trade, heartbeat, gap, as JSON that Flink's SQL reads.

Part of the core; anybody may import it. Prices, sizes and turnovers are strings of plain decimals; times are
integer microseconds UTC.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.trade import Trade

TRADE: Final = "trade"
HEARTBEAT: Final = "heartbeat"
GAP: Final = "gap"


class GapState(StrEnum):
    """`closed`: every trade in the gap was sent after all; not that the feed is back."""

    OPENED = "opened"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The proof that every trade with a time up to `time_us` was sent, for the symbols named.

    `lag_ms`: exchange time now minus `time_us`. `reconnects`: of this worker since it started.
    """

    time_us: int
    symbols: tuple[str, ...]
    lag_ms: int
    reconnects: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Trades of one symbol within one minute may be missing, from `from_us` to `to_us`; None: the feed is away."""

    gap_id: str
    symbol: str
    from_us: int
    to_us: int | None
    state: GapState


def trade_record(trade: Trade, seq: int) -> bytes:
    """A trade as it stands in the topic; `seq` is the exchange's, 0 where it gave none."""
    return _json(
        {
            "type": TRADE,
            "symbol": trade.symbol,
            "id": trade.trade_id,
            "time": trade.time_us,
            "seq": seq,
            "side": str(trade.taker_side),
            "price": plain(trade.price),
            "size": plain(trade.size),
            "turnover": plain(trade.turnover),
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


def _json(record: dict[str, object]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
