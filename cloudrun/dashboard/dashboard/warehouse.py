"""History in BigQuery: candles of a span at a level of detail, and what became of each day.

Part of the dashboard. Every query has bound parameters and an upper bound on the bytes that it may bill.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from google.api_core.exceptions import GoogleAPIError
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery
from requests.exceptions import RequestException

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.arrow import NUMERIC
from bitcoin_pipeline.adapters.bigquery import query_config
from bitcoin_pipeline.candle import Source, Status
from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.ingests import IngestStatus
from dashboard.level_of_detail import MINUTE_S

TIMEOUT_S: Final = 30
"""How long a query may take."""

CANDLES: Final = pa.schema(
    [
        ("t", pa.int64()),
        ("source", pa.string()),
        *((name, NUMERIC) for name in ("open", "high", "low", "close", "volume", "turnover")),
        ("trade_count", pa.int64()),
        ("buy_volume", NUMERIC),
        ("buy_turnover", NUMERIC),
        ("doubt", pa.int64()),
        ("confirmed", pa.bool_()),
        ("archive_count", pa.int64()),
        ("live_count", pa.int64()),
    ]
)
"""The columns of bars. `t`: seconds when the bar opens. `doubt`: `Status.doubt`, so the worst status is the maximum.
`confirmed`: of all minutes, null where one of them was not compared and none differs. `archive_count`, `live_count`:
the trades that each plane has, whichever the bar is of; null where it lacks one of the minutes."""

MIXED: Final = "mixed"
"""The source of a longer candle whose minutes have several sources."""

# The client's own retries would go on for minutes; the page requests again instead.
_ONCE: Final = Retry(predicate=if_exception_type(), timeout=TIMEOUT_S)

_DOUBT: Final = " ".join(f"WHEN '{status}' THEN {status.doubt}" for status in Status)


def merged_columns(time: str) -> str:
    """SQL of the columns of CANDLES after `t`, merged from shorter candles.

    `time`: the column of their opening. The SQL is valid in BigQuery and in DuckDB.
    """

    def sum_or_null(name: str) -> str:
        return f"CASE WHEN COUNT({name}) = COUNT(*) THEN SUM({name}) END AS {name}"

    return f"""
      CASE WHEN MIN(source) = MAX(source) THEN MIN(source) ELSE '{MIXED}' END AS source,
      MIN_BY(open, {time}) AS open, MAX(high) AS high, MIN(low) AS low, MAX_BY(close, {time}) AS close,
      SUM(volume) AS volume, SUM(turnover) AS turnover,
      {sum_or_null("trade_count")}, {sum_or_null("buy_volume")}, {sum_or_null("buy_turnover")},
      MAX(doubt) AS doubt,
      CASE WHEN COUNT(confirmed) = COUNT(*) OR NOT MIN(confirmed) THEN MIN(confirmed) END AS confirmed,
      {sum_or_null("archive_count")}, {sum_or_null("live_count")}"""


_IN_SPAN: Final = "symbol = @symbol AND open_time >= @lo AND open_time < @hi"

# Windows, because a second scan of the table would be pruned by no condition.
_COUNTS: Final = "".join(
    f",\n  MAX(CASE WHEN source = '{source}' THEN trade_count END) OVER (PARTITION BY symbol, open_time)"
    f" AS {source}_count"
    for source in (Source.ARCHIVE, Source.LIVE)
)

_MINUTES: Final = f"""
SELECT UNIX_SECONDS(open_time) AS t, source, open, high, low, close, volume, turnover,
  trade_count, buy_volume, buy_turnover, CASE status {_DOUBT} END AS doubt, confirmed, archive_count, live_count
FROM ({{best}})
"""  # noqa: S608  # the names are our own, the values bound

# A minute that had trades and has no candle of any source; a longer candle over it is partial.
_GAPS: Final = f"""
SELECT UNIX_SECONDS(from_time) AS t FROM `{names.GAPS}`
WHERE symbol = @symbol AND source = '{Source.ARCHIVE}' AND from_time >= @lo AND from_time < @hi
  AND UNIX_SECONDS(from_time) NOT IN (SELECT t FROM minutes)
"""  # noqa: S608  # as above

_LOST_MINUTE: Final = ", ".join(str(Status.PARTIAL.doubt) if name == "doubt" else "NULL" for name in CANDLES.names[1:])

_MINUTES_AND_GAPS: Final = f"""
WITH minutes AS ({_MINUTES})
SELECT * FROM minutes
UNION ALL
SELECT t, {_LOST_MINUTE} FROM ({_GAPS})
"""  # noqa: S608  # as above

_MERGED: Final = f"""
WITH minutes AS ({_MINUTES}),
merged AS (SELECT DIV(t, @level) * @level AS bucket, {merged_columns("t")} FROM minutes GROUP BY bucket),
lost AS (SELECT DIV(t, @level) * @level AS bucket FROM ({_GAPS}))
SELECT * REPLACE (
  CASE WHEN bucket IN (SELECT bucket FROM lost) THEN GREATEST(doubt, {Status.PARTIAL.doubt}) ELSE doubt END AS doubt
) FROM merged
"""  # noqa: S608  # as above

_INGESTS: Final = f"""
SELECT symbol, date, status, reason, quarantined, last_time FROM `{names.INGESTS}` ORDER BY symbol, date
"""  # noqa: S608  # as above


class WarehouseError(RetryableError):
    """BigQuery is away or refuses a query; a later query may succeed."""


@dataclass(frozen=True, slots=True)
class DayLoaded:
    """What became of one symbol-day in the batch plane. `last_time`: of its last trade; None unless it was loaded."""

    day: dt.date
    status: IngestStatus
    reason: str
    quarantined: int
    last_time: dt.datetime | None


class Warehouse:
    """A reader of BigQuery's tables. Every method raises WarehouseError."""

    def __init__(self, project: str, location: str) -> None:
        self._project = project
        self._location = location
        self._best = schemas.view_sql(names.CANDLES_BEST, project, _IN_SPAN, _COUNTS)
        self._client: bigquery.Client | None = None  # connected by the first query

    def candles(self, symbol: str, level_s: int, start_s: int, end_s: int) -> pa.Table:
        """The best candles of `level_s` that open from `start_s` to before `end_s`, in the columns of CANDLES.

        Minutes have also a row for each minute that had trades and has no candle: `t` and `doubt`, without values.
        """
        values = {
            "symbol": symbol,
            "lo": dt.datetime.fromtimestamp(start_s, dt.UTC),
            "hi": dt.datetime.fromtimestamp(end_s, dt.UTC),
            **({} if level_s == MINUTE_S else {"level": level_s}),
        }
        query = _MINUTES_AND_GAPS if level_s == MINUTE_S else _MERGED
        rows = self._arrow(query.format(best=self._best), **values)
        return rows.rename_columns(CANDLES.names).cast(CANDLES)

    def days(self) -> dict[str, list[DayLoaded]]:
        """The days of which the batch has kept a record, in order, by symbol."""
        days: dict[str, list[DayLoaded]] = {}
        for row in self._arrow(_INGESTS).to_pylist():
            day = DayLoaded(
                row["date"],
                IngestStatus(row["status"]),
                row["reason"] or "",
                row["quarantined"] or 0,
                row["last_time"],
            )
            days.setdefault(row["symbol"], []).append(day)
        return days

    def _arrow(self, query: str, **values: Any) -> pa.Table:
        config = query_config(**values)
        try:
            if self._client is None:
                self._client = bigquery.Client(self._project, location=self._location)
            rows = self._client.query_and_wait(
                query, job_config=config, api_timeout=TIMEOUT_S, wait_timeout=TIMEOUT_S, retry=_ONCE, job_retry=_ONCE
            )
            return rows.to_arrow(create_bqstorage_client=False)
        except (RequestException, TransportError) as error:
            # The text of such an error describes the client's internals.
            raise WarehouseError(f"BigQuery cannot be reached ({type(error).__name__})") from error
        except (GoogleAPIError, GoogleAuthError, TimeoutError) as error:
            reason = str(error).strip() or f"BigQuery did not answer within {TIMEOUT_S} s"
            raise WarehouseError(reason.splitlines()[0][:300]) from error
