"""Small archive files of one day, and the check that the candles job reads a file as the core does.

For the unit tests of the candles job.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final

from bitcoin_pipeline.amounts import to_units
from bitcoin_pipeline.bybit import archive
from bitcoin_pipeline.bybit.archive import DayTrades
from bitcoin_pipeline.bybit.rejected_rows import lost_minutes, partial_minutes
from bitcoin_pipeline.candle import Source
from bitcoin_pipeline.candle import minute_candles as core_candles
from bitcoin_pipeline.times import day_start_us, iso
from candles_batch.candles import gap_rows, minute_candles
from candles_batch.parquet import trades_parquet
from candles_batch.reading import read_day
from local.checkout import ROOT
from tests.support.job_results import candles_of, trades_of

REAL_FILE: Final = ROOT / "tests" / "fixtures" / "bybit" / "BTCUSDT2020-03-25.csv.gz"
REAL_DAY: Final = dt.date(2020, 3, 25)

DAY: Final = dt.date(2024, 5, 6)
START: Final = day_start_us(DAY) // 1_000_000
"""Seconds since the epoch at the start of DAY."""
HEADER: Final = "timestamp,symbol,side,size,price,trdMatchID,RPI"


def row(
    number: int = 1,
    *,
    time: str = f"{START}.5",
    symbol: str = "BTCUSDT",
    side: str = "Buy",
    size: str = "0.5",
    price: str = "100.5",
    trade_id: str | None = None,
    rpi: str = "0",
) -> str:
    """One line of a file of DAY with the columns of HEADER; `number` makes the trade id."""
    return f"{time},{symbol},{side},{size},{price},{trade_id or uuid.UUID(int=number)},{rpi}"


def file(*rows: str, header: str = HEADER) -> bytes:
    """The uncompressed file of these lines."""
    return "".join(f"{line}\n" for line in (header, *rows)).encode()


def assert_same_as_core(content: bytes, symbol: str = "BTCUSDT", day: dt.date = DAY, piece: int = 1 << 20) -> DayTrades:
    """Everything that the job makes of an uncompressed file, read in pieces, equals what the core makes of it."""
    pieces = (content[start : start + piece] for start in range(0, len(content), piece))
    job = read_day(pieces, symbol, day)
    core = archive.read_day(content.decode("utf-8", "backslashreplace").split("\n"), symbol, day)
    assert (job.rejected, job.duplicates, job.rows) == (core.rejected, core.duplicates, core.rows)
    assert trades_of(trades_parquet(job), symbol) == core.trades
    candles = core_candles(core.trades, Source.ARCHIVE, partial_minutes=partial_minutes(core.rejected))
    assert candles_of(minute_candles(job)) == candles
    lost = lost_minutes(core.rejected, {candle.open_time_us for candle in candles})
    assert [(gap["from_time"], gap["reason"]) for gap in gap_rows(job)] == [
        (iso(time), reason) for time, reason in lost.items()
    ]
    assert job.size_sum == sum(to_units(trade.size) or 0 for trade in core.trades)
    return core
