"""Live candles, feed status and gaps in Postgres.

Part of the dashboard. One connection, which only the thread of the live refresh uses, so the number of viewers does not
matter; libpq's own variables locate the server.
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
"""How far back each refresh reads rows again: a row that was stamped earlier may be committed later."""
LONG_OVERLAP: Final = dt.timedelta(seconds=30)
"""How far back one refresh in a second reads, for transactions that took long to commit."""

_COLUMNS: Final = """
SELECT symbol, open_time, source, open, high, low, close, volume, turnover, trade_count,
  buy_volume, buy_turnover, first_trade_id, last_trade_id, status, confirmed, updated_at
FROM candles
"""

# Each symbol's newest two UTC days; older minutes are history. A minute well after the proven time is not the newest: a
# trade with a time in the future has opened it.
_RECENT: Final = f"""
WITH newest AS (
  SELECT candles.symbol AS of, date_trunc('day', COALESCE(
      max(open_time) FILTER (WHERE proven_until IS NULL OR open_time <= proven_until + interval '1 minute'),
      min(open_time)
    ), 'UTC') - interval '1 day' AS since
  FROM candles LEFT JOIN feed_status ON feed_status.symbol = candles.symbol
  GROUP BY candles.symbol
)
{_COLUMNS} JOIN newest ON symbol = of AND open_time >= since ORDER BY updated_at
"""  # noqa: S608  # the SQL is constant

# The last write may lie ahead of now() where Postgres' clock was set back.
_CHANGED: Final = f"{_COLUMNS} WHERE updated_at >= LEAST(%s, now()) - %s ORDER BY updated_at"

_FEED: Final = """
SELECT feed_status.symbol, proven_until, lag_ms, reconnects, min(from_time) FILTER (WHERE to_time IS NULL),
  count(gap_id) FILTER (WHERE to_time IS NULL), max(from_time) FILTER (WHERE to_time IS NOT NULL), count(to_time)
FROM feed_status LEFT JOIN gaps ON gaps.symbol = feed_status.symbol AND state = 'opened' AND (
  to_time IS NULL OR EXISTS (
    SELECT FROM candles WHERE candles.symbol = gaps.symbol AND open_time < date_trunc('minute', from_time)
  )
)
GROUP BY feed_status.symbol
"""


class PostgresError(RetryableError):
    """Postgres is away or refuses a query; the next refresh tries again."""


@dataclass(frozen=True, slots=True)
class StoredCandle:
    """A candle, and when (UTC) its row was last written."""

    candle: Candle
    updated_us: int


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How far a symbol's feed is proven.

    `proven_us`: UTC time before which every trade was sent, gaps aside. `open_gaps`: the number of gaps that go on now;
    `gaps_since_us`: where the oldest of them begins. `unfilled_gaps`: the number of those that have ended and still
    lack trades, apart from the beginning of the minute in which the feed first joined; `unfilled_us`: where the newest
    of them begins.
    """

    proven_us: int
    lag_ms: int
    reconnects: int
    gaps_since_us: int | None
    open_gaps: int
    unfilled_us: int | None
    unfilled_gaps: int


class Postgres:
    """A reader that connects with its first query, and again after a fault. Every query raises PostgresError."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection | None = None
        self._since: dt.datetime | None = None

    def close(self) -> None:
        """Disconnect. The next query connects, perhaps to another server, and so reads all recent days again."""
        self._since = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def changed(self, overlap: dt.timedelta = OVERLAP) -> list[StoredCandle]:
        """The rows written since the last call, oldest write first; a connection's first call returns the recent days.

        Rows of the last `overlap` are returned again.
        """
        with self._connected() as connection:
            if self._since is None:
                rows = connection.execute(_RECENT).fetchall()
            else:
                rows = connection.execute(_CHANGED, (self._since, overlap)).fetchall()
        if rows:
            self._since = rows[-1][-1]
        return [_stored(row) for row in rows]

    def feeds(self) -> dict[str, FeedStatus]:
        """The status of each symbol's feed."""
        with self._connected() as connection:
            rows = connection.execute(_FEED).fetchall()
        return {symbol: FeedStatus(*map(_microseconds, values)) for symbol, *values in rows}

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        try:
            if self._connection is None:
                # The last three end the connection where the network drops packets silently.
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


def _microseconds(value: Any) -> Any:
    return from_datetime(value) if isinstance(value, dt.datetime) else value


def _stored(row: tuple[Any, ...]) -> StoredCandle:
    symbol, open_time, source, *values, status, confirmed, updated_at = row
    fields: tuple[Any, ...] = (symbol, from_datetime(open_time), Source(source), *values, Status(status), confirmed)
    return StoredCandle(Candle(*fields), from_datetime(updated_at))
