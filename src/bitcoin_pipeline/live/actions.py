"""What the live feed decides: the actions that its worker carries out at once and in order.

Part of the core; every module but the base modules and `bybit` may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bitcoin_pipeline.bybit.rest import RECENT_TRADES
from bitcoin_pipeline.live.records import Gap
from bitcoin_pipeline.times import Instant


@dataclass(frozen=True, slots=True)
class SendText:
    """Send `text` over the socket."""

    text: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Append these records to the topic, keyed by the symbol."""

    symbol: str
    records: list[bytes]


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Append this record to every partition of the topic."""

    record: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Append this record to the dead-letter topic."""

    record: bytes


@dataclass(frozen=True, slots=True)
class AskRecentTrades:
    """Request the symbol's last trades over REST; they, or None, go to `LiveFeed.answered`."""

    symbol: str
    asked_at: Instant
    limit: int = RECENT_TRADES


@dataclass(frozen=True, slots=True)
class AskKlines:
    """Request `limit` one-minute klines over REST; they, or None, go to `LiveFeed.answered`."""

    symbol: str
    asked_at: Instant
    start_us: int
    limit: int


@dataclass(frozen=True, slots=True)
class AskStatus:
    """Request the symbol's status over REST; it, or None, goes to `LiveFeed.answered`."""

    symbol: str


@dataclass(frozen=True, slots=True)
class AskServerTime:
    """Request the exchange's time over REST; it, or None, goes to `LiveFeed.answered`."""

    asked_at: Instant


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the socket, then call `LiveFeed.disconnected`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Write a change of state to the log."""

    event: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GapChanged:
    """Announce outside the topic that a gap was opened, changed or closed; its record is a `Publish` of its own."""

    gap: Gap


Request: TypeAlias = AskServerTime | AskRecentTrades | AskKlines | AskStatus
Action: TypeAlias = SendText | Publish | Broadcast | DeadLetter | Request | Disconnect | Report | GapChanged
