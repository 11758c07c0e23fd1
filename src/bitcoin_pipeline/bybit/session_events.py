"""What a websocket session reports to its caller: the events that `Session` returns.

Part of the core; every module but the base modules may import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bitcoin_pipeline.bybit.frames import PublicTradeMessage
from bitcoin_pipeline.bybit.klines import Kline


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The exchange has accepted the symbol's trades: from here on they arrive."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange has refused the symbol's trades, or has not answered; the session will request them again."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class KlinesSubscribed:
    """The exchange has accepted the symbol's klines."""

    symbol: str


@dataclass(frozen=True, slots=True)
class KlinesRefused:
    """The exchange has refused the symbol's klines, or has not answered; the session will request them again."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class Trades:
    """A frame of trades has arrived."""

    message: PublicTradeMessage


@dataclass(frozen=True, slots=True)
class KlineClosed:
    """The exchange's last sums of a minute have arrived."""

    kline: Kline


@dataclass(frozen=True, slots=True)
class ProvenUpTo:
    """Every trade up to `time_us` has arrived: of `symbol`, or, where that is None, of the whole connection."""

    time_us: int
    symbol: str | None


@dataclass(frozen=True, slots=True)
class PingDue:
    """`text`, a ping, is to be sent now."""

    text: str


@dataclass(frozen=True, slots=True)
class Pong:
    """The exchange has answered a ping."""

    round_trip_us: int


@dataclass(frozen=True, slots=True)
class ServerTimeDue:
    """REST is to be asked for the exchange's time; the answer is passed to `Session.server_time`."""


@dataclass(frozen=True, slots=True)
class Resubscribe:
    """`text`, another subscription request for refused symbols, is to be sent now."""

    text: str


@dataclass(frozen=True, slots=True)
class Stale:
    """The connection proves nothing any more and is to be closed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of none of the expected kinds. `may_hide_trades`: it may have been a frame of trades."""

    text: str
    reason: str
    may_hide_trades: bool


Event: TypeAlias = (
    Subscribed
    | Refused
    | KlinesSubscribed
    | KlinesRefused
    | Trades
    | KlineClosed
    | ProvenUpTo
    | PingDue
    | Pong
    | ServerTimeDue
    | Resubscribe
    | Stale
    | Unknown
)
