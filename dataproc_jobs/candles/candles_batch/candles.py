"""The 1-minute candles of one day, by the rules of the core's `minute_candles`, computed on columns.

Part of the candles job; its modules and tests import it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.arrow import table_schema
from bitcoin_pipeline.bybit.rejected_rows import lost_minutes, partial_minutes
from bitcoin_pipeline.candle import Source, Status
from bitcoin_pipeline.times import MINUTE_US, iso
from candles_batch.arithmetic import sums, turnovers
from candles_batch.arrays import decimals, fixed_width, strings
from candles_batch.columns import Day


def schema() -> pa.Schema:
    """The columns of `market.candles` that do not depend on when a row is stored."""
    return table_schema(names.CANDLES, leave_out=("updated_at",))


def minute_candles(day: Day) -> pa.Table:
    """The 1-minute candles of a day, with the columns of `schema`."""
    trades = day.trades
    first, open_times = _minutes(trades.time_us)
    last = np.append(first, len(trades))[1:] - 1
    turnover = turnovers(day.symbol, trades.price, trades.size)
    partial = partial_minutes(day.rejected)
    columns = {
        "symbol": strings([day.symbol] * len(first)),
        "open_time": fixed_width(open_times, pa.timestamp("us", "UTC")),
        "source": strings([Source.ARCHIVE] * len(first)),
        "open": decimals(trades.price[first]),
        "high": decimals(np.maximum.reduceat(trades.price, first)),
        "low": decimals(np.minimum.reduceat(trades.price, first)),
        "close": decimals(trades.price[last]),
        "volume": decimals(sums(trades.size, first)),
        "turnover": decimals(sums(turnover, first)),
        "trade_count": fixed_width(last - first + 1, pa.int64()),
        "buy_volume": decimals(sums(trades.size * trades.bought, first)),
        "buy_turnover": decimals(sums(turnover * trades.bought, first)),
        "first_trade_id": strings([trades.id_text(place) for place in first.tolist()]),
        "last_trade_id": strings([trades.id_text(place) for place in last.tolist()]),
        "status": strings([Status.PARTIAL if time in partial else Status.FINAL for time in open_times.tolist()]),
        "confirmed": pa.nulls(len(first), pa.bool_()),
    }
    wanted = schema()
    return pa.Table.from_arrays([columns[name] for name in wanted.names], schema=wanted)


def _minutes(time_us: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The position of the first trade of each minute that has trades, and the minute's open time in microseconds."""
    if not len(time_us):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    edges = np.arange(time_us[0] // MINUTE_US, time_us[-1] // MINUTE_US + 2) * MINUTE_US
    places = np.searchsorted(time_us, edges)
    has_trades = places[1:] > places[:-1]
    return places[:-1][has_trades], edges[:-1][has_trades]


def gap_rows(day: Day) -> list[dict[str, Any]]:
    """The rows of `market.gaps` for the minutes that lack all of their rows, in JSON's types."""
    with_trades = set(_minutes(day.trades.time_us)[1].tolist())
    return [
        {
            "symbol": day.symbol,
            "source": Source.ARCHIVE.value,
            "from_time": iso(minute_us),
            "to_time": iso(minute_us + MINUTE_US),
            "reason": reason.value,
        }
        for minute_us, reason in lost_minutes(day.rejected, with_trades).items()
    ]
