"""The candles job catches up with a backlog: no row that it ever writes is complete while trades are missing.

BACKLOG_TRADES=10000000 makes the backlog as long; `make chaos-backlog` does so.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import Final

import psycopg
import pytest

from bitcoin_pipeline.candle import COMPLETE
from bitcoin_pipeline.times import MINUTE_US, from_datetime
from local.exchange.synthetic.profiles import SYMBOLS
from local.waiting import wait_for
from tests.support.backlog import Backlog, Write, faults, forget_writes, keep_writes, written
from tests.support.live import LivePath, conninfo

TRADES: Final = int(os.environ.get("BACKLOG_TRADES", "60000"))
RATE: Final = min(25.0, TRADES / 13 / 60 / len(SYMBOLS))
"""Trades a second of a symbol; a shorter backlog has fewer of them, and 13 minutes at least."""
MINUTES: Final = max(13, round(TRADES / len(SYMBOLS) / RATE / 60))
PATIENCE_SECONDS: Final = 120 + TRADES / 2000


@pytest.mark.timeout(300 + TRADES / 500)
def test_no_row_is_ever_complete_without_its_trades(live_path: LivePath) -> None:
    backlog = Backlog(SYMBOLS, live_path.fresh_day(), MINUTES, RATE)
    live_path.stack.kill("taskmanager")
    for symbol, record in backlog.records():
        live_path.send(symbol, record)
    assert live_path.producer.flush(120) == 0
    live_path.used_us = backlog.start_us + MINUTES * MINUTE_US
    with closing(psycopg.connect(conninfo(live_path.stack))) as connection:
        keep_writes(connection)
        try:
            live_path.stack.start("taskmanager")
            wait_for("the whole backlog", lambda: is_stored(backlog, connection), PATIENCE_SECONDS, 1)
            writes = written(connection, SYMBOLS)
            [[kept]] = connection.execute("SELECT count(*) FROM candle_writes").fetchall()
        finally:
            forget_writes(connection)
    sys.stdout.write(f"{backlog.trade_count} trades, {len(backlog.minutes)} minutes, {kept} writes, ")
    sys.stdout.write(f"{len(writes)} of them different and complete\n")
    assert faults(backlog, writes) == []
    assert {(write.symbol, write.open_time_us) for write in writes} == backlog.minutes.keys()


def is_stored(backlog: Backlog, connection: psycopg.Connection) -> bool:
    """True when every minute has the sums of its last record, and is confirmed."""
    query = "SELECT symbol, open_time, trade_count, volume, turnover, status, confirmed FROM candles"
    rows = connection.execute(
        f"{query} WHERE open_time >= to_timestamp(%s) AND status = ANY(%s)",
        (
            backlog.start_us // 1_000_000,
            list(COMPLETE),
        ),
    ).fetchall()
    connection.commit()
    found = {Write(row[0], from_datetime(row[1]), *row[2:]) for row in rows if row[0] in backlog.symbols}
    return found == {
        Write(
            minute.symbol,
            minute.open_time_us,
            minute.trade_count,
            minute.volume,
            minute.turnover,
            backlog.status(minute.open_time_us),
            True,
        )
        for *_, minute in backlog.minutes.values()
    }
