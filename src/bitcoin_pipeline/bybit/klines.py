"""Bybit's one-minute klines, as frames of the websocket and answers of REST carry them.

Source of the format: Bybit's v5 documentation and real frames. A kline's volume and turnover are the exact sums of its
trades, so a closed kline is a checksum of a minute's trades. Part of the core; every module but the base modules may
import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bitcoin_pipeline.amounts import parse_decimal, to_units
from bitcoin_pipeline.bybit.frames import MessageError
from bitcoin_pipeline.times import MINUTE_US, MS_US

KLINE_PREFIX: Final = "kline.1."
"""How the websocket's topic of a symbol's one-minute klines begins; the symbol follows."""

_MAX_MS: Final = 10**14


class Kline(NamedTuple):
    """The sums of one minute as the exchange states them, in units of 10**-9.

    `open_us`: start of the minute, microseconds UTC. `is_closed`: the sums are the minute's last ones.
    """

    symbol: str
    open_us: int
    volume: int
    turnover: int
    is_closed: bool


def parse_kline_frame(message: Mapping[str, Any]) -> list[Kline]:
    """The klines in a decoded message whose topic begins with `kline.1.`. Raises MessageError."""
    items = message.get("data")
    if type(items) is not list:
        raise MessageError(f"data must be a list of klines, got {str(items)[:100]!r}")
    symbol = message["topic"].removeprefix(KLINE_PREFIX)
    return [_parse_item(symbol, item) for item in items]


def parse_kline(symbol: str, start_ms: Any, volume: Any, turnover: Any, *, is_closed: bool) -> Kline:
    """A kline of the values that the exchange sends: milliseconds, and amounts in text. Raises MessageError."""
    if type(start_ms) is not int or not 0 < start_ms < _MAX_MS or start_ms * MS_US % MINUTE_US:
        raise MessageError(f"a kline starts at a minute's milliseconds, got {str(start_ms)[:100]}")
    return Kline(symbol, start_ms * MS_US, _units(volume), _units(turnover), is_closed)


def _parse_item(symbol: str, item: Any) -> Kline:
    if not isinstance(item, dict) or type(item.get("confirm")) is not bool:
        raise MessageError(f"a kline is an object with confirm, got {str(item)[:100]!r}")
    return parse_kline(symbol, item.get("start"), item.get("volume"), item.get("turnover"), is_closed=item["confirm"])


def _units(text: Any) -> int:
    value = parse_decimal(text) if isinstance(text, str) else None
    # The exponent is bounded before any arithmetic, so that 1e999 does not become a number of a thousand digits.
    units = to_units(value) if value is not None and -100 < value.adjusted() < 30 else None
    if units is None or units < 0:
        raise MessageError(f"a kline's amount is a decimal in text, got {str(text)[:100]!r}")
    return units
