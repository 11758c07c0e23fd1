"""Live candles, feed status and gaps, as Postgres has them.

Part of the dashboard. One connection, used by the refresher's thread alone; the server is found by libpq's own
variables. Whoever looks, Postgres is asked once per refresh.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.times import from_datetime

OVERLAP: Final = dt.timedelta(seconds=1)
"""Rows are read again that long: what was stamped first may be committed last."""
LONG_OVERLAP: Final = dt.timedelta(seconds=30)
"""The same now and then, for a commit that took long."""

_COLUMNS: Final = """
SELECT symbol, open_time, source, open, high, low, close, volume, turnover, trade_count,
  buy_volume, buy_turnover, first_trade_id, last_trade_id, status, updated_at
FROM candles
"""

# Each symbol's newest two UTC days; what is older is history.
_RECENT: Final = f"""
WITH newest AS (
  SELECT symbol AS of, date_trunc('day', max(open_time), 'UTC') - interval '1 day' AS since FROM candles GROUP BY symbol
)
{_COLUMNS} JOIN newest ON symbol = of AND open_time >= since ORDER BY updated_at
"""  # noqa: S608  # our own words

# Should Postgres' clock have run ahead, time goes on from where it stands now.
_CHANGED: Final = f"{_COLUMNS} WHERE updated_at >= LEAST(%s, now()) - %s ORDER BY updated_at"

_FEED: Final = """
SELECT feed_status.symbol, proven_until, min(from_time), lag_ms, reconnects, count(gap_id)
FROM feed_status LEFT JOIN gaps ON gaps.symbol = feed_status.symbol AND state = 'opened'
GROUP BY feed_status.symbol
"""


class PostgresError(RetryableError):
    """Postgres is away or refuses; the next refresh asks again."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A candle with the time (us) when its row was last written."""

    candle: Candle
    updated_us: int


@dataclass(frozen=True, slots=True)
class Feed:
    """How far a symbol's feed is proven.

    `open_gaps`: minutes that may lack trades, not yet closed; `gaps_since_us`: where the oldest of them begins.
    """

    proven_us: int
    gaps_since_us: int | None
    lag_ms: int
    reconnects: int
    open_gaps: int


class Postgres:
    """A reader that connects when it is asked, and again after a fault. Every method raises PostgresError."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection | None = None
        self._since: dt.datetime | None = None

    def close(self) -> None:
        """Leave; the next question connects again, maybe to another server, and so begins anew."""
        self._since = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def changed(self, overlap: dt.timedelta = OVERLAP) -> list[Stored]:
        """The rows that were written since the last call, oldest write first; a connection's first are the recent days.

        A row may come twice: those of the last `overlap` do.
        """
        with self._connected() as connection:
            if self._since is None:
                rows = connection.execute(_RECENT).fetchall()
            else:
                rows = connection.execute(_CHANGED, (self._since, overlap)).fetchall()
        if rows:
            self._since = rows[-1][-1]
        return [_stored(row) for row in rows]

    def feeds(self) -> dict[str, Feed]:
        """The feed of each symbol."""
        with self._connected() as connection:
            rows = connection.execute(_FEED).fetchall()
        return {
            symbol: Feed(from_datetime(proven), None if since is None else from_datetime(since), *numbers)
            for symbol, proven, since, *numbers in rows
        }

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        try:
            if self._connection is None:
                # A network that swallows what is sent ends the connection, too.
                self._connection = psycopg.connect(
                    autocommit=True,
                    connect_timeout=3,
                    options="-c statement_timeout=20s",
                    keepalives_idle=5,
                    keepalives_interval=5,
                    tcp_user_timeout=15_000,
                )
            yield self._connection
        except psycopg.Error as error:
            self.close()
            raise PostgresError(str(error).strip()) from error


def _stored(row: tuple[Any, ...]) -> Stored:
    symbol, open_time, source, *values, status, updated_at = row
    fields: tuple[Any, ...] = (symbol, from_datetime(open_time), Source(source), *values, Status(status))
    return Stored(Candle(*fields), from_datetime(updated_at))
