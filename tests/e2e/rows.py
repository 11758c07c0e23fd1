"""The rows that the command must print for candles of the core. Imported by e2e tests."""

from __future__ import annotations

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.candle import Candle
from bitcoin_pipeline.times import iso


def csv_row(candle: Candle) -> dict[str, str]:
    """A candle as `pipeline candles --format csv` prints it."""
    amounts = ("open", "high", "low", "close", "volume", "turnover", "buy_volume", "buy_turnover")
    return {
        "open_time": iso(candle.open_time_us),
        **{name: plain(getattr(candle, name)) for name in amounts},
        "trade_count": str(candle.trade_count),
        "status": str(candle.status),
        "confirmed": "" if candle.confirmed is None else str(candle.confirmed).lower(),
    }
