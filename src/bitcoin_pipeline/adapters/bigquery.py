"""BigQuery calls of several deployables: queries with parameters and a cost limit, retries, retryable errors.

Part of the adapters; wraps google-cloud-bigquery, and the errors of the libraries that it installs.
"""

from __future__ import annotations

import concurrent.futures
import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import requests
from google.api_core import exceptions as google_errors
from google.api_core.retry import Retry
from google.auth import exceptions as auth_errors
from google.cloud import bigquery

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.times import DAY_US, day_start_us, to_datetime

MAXIMUM_BYTES_BILLED: Final = 10 * 2**30
"""Upper bound on the bytes that one query bills, 6 cents at list price; ten years of one symbol's candles are 1 GiB."""

MOST_RANGES: Final = 50
"""Upper bound on the time ranges of a statement; BigQuery limits a statement's length and complexity."""

_KINDS: Final = {str: "STRING", int: "INT64", dt.datetime: "TIMESTAMP", dt.date: "DATE"}


def query_config(**values: Any) -> bigquery.QueryJobConfig:
    """A query's configuration with `values` as its named parameters, limited to MAXIMUM_BYTES_BILLED.

    A value is a str, an int, a date, an aware datetime, or a non-empty list of one of these types. Raises KeyError for
    any other type.
    """
    return bigquery.QueryJobConfig(
        query_parameters=[_parameter(name, value) for name, value in values.items()],
        maximum_bytes_billed=MAXIMUM_BYTES_BILLED,
    )


def script_config(**values: Any) -> bigquery.QueryJobConfig:
    """`query_config` of a script, whose statements are limited to MAXIMUM_BYTES_BILLED each, as is the whole.

    The client sends single queries in one request only without this option.
    """
    config = query_config(**values)
    config.script_options = bigquery.ScriptOptions(statement_byte_budget=MAXIMUM_BYTES_BILLED)
    return config


def _parameter(name: str, value: Any) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(name, _KINDS[type(value[0])], value)
    return bigquery.ScalarQueryParameter(name, _KINDS[type(value)], value)


def time_ranges(days: Iterable[dt.date]) -> list[tuple[dt.datetime, dt.datetime]]:
    """The half-open ranges of time that `days` cover, in order: one per run of days, and MOST_RANGES at most.

    Where there are more runs, those with the shortest time between them are joined.
    """
    ranges: list[tuple[dt.datetime, dt.datetime]] = []
    for day in sorted(set(days)):
        start = to_datetime(day_start_us(day))
        if ranges and ranges[-1][1] == start:
            start, _ = ranges.pop()
        ranges.append((start, to_datetime(day_start_us(day) + DAY_US)))
    while len(ranges) > MOST_RANGES:
        first = min(range(len(ranges) - 1), key=lambda place: ranges[place + 1][0] - ranges[place][1])
        ranges[first : first + 2] = [(ranges[first][0], ranges[first + 1][1])]
    return ranges


def open_in_days(days: Iterable[dt.date]) -> tuple[str, dict[str, dt.datetime]]:
    """A condition on a row `stored` that opens on one of the days, and the values of the condition's parameters.

    The days between two that are far apart are not read: BigQuery prunes partitions by comparisons of the partitioning
    column with constants and parameters, and not by subqueries or joins
    (cloud.google.com/bigquery/docs/querying-partitioned-tables).
    """
    conditions: list[str] = []
    values: dict[str, dt.datetime] = {}
    for number, (start, end) in enumerate(time_ranges(days)):
        conditions.append(f"stored.open_time >= @from_{number} AND stored.open_time < @to_{number}")
        values |= {f"from_{number}": start, f"to_{number}": end}
    return " OR ".join(conditions), values


def table_fields(table: str, leave_out: Sequence[str] = ()) -> list[bigquery.SchemaField]:
    """The columns of a schema file, such as `market.candles`, without those in `leave_out`."""
    wanted = (field for field in schemas.table(table).fields if field["name"] not in leave_out)
    return [bigquery.SchemaField.from_api_repr(field) for field in wanted]


def is_conflict(error: Exception) -> bool:
    """True when a transaction was cancelled because another one changed the same table first.

    BigQuery reports a conflict as `invalidQuery`, as it does other errors; only the message differs: `Transaction is
    aborted due to concurrent update against table ...`.
    """
    return isinstance(error, google_errors.BadRequest) and "concurrent update" in str(error).lower()


def conflict_retry(maximum_s: float, timeout_s: float) -> Retry:
    """A decorator that repeats a transaction after conflicts for `timeout_s`, with pauses from 1 s to `maximum_s`."""
    return Retry(is_conflict, initial=1, maximum=maximum_s, timeout=timeout_s)


_QUOTA_REASONS: Final = frozenset({"rateLimitExceeded", "jobRateLimitExceeded", "quotaExceeded"})


def _is_passing(error: google_errors.GoogleAPICallError) -> bool:
    """True for a conflict, and for a quota that BigQuery reports as 403 or 400: the same call may succeed later."""
    return is_conflict(error) or any(each.get("reason") in _QUOTA_REASONS for each in error.errors)


_COUNT: Final = f"""
SELECT symbol, DATE(open_time) AS date, COUNT(*) AS candles FROM `{names.CANDLES}` AS stored
WHERE symbol IN UNNEST(@symbols) AND source = 'archive' AND ({{in_days}})
GROUP BY symbol, date
"""  # noqa: S608  # the names are our own, the values bound


def count_candles(run: Callable[..., Iterable[Any]], loaded: Collection[SymbolDay]) -> int:
    """Number of 1-minute archive candles of days. `run`: returns the rows of a query with named parameters."""
    if not loaded:
        return 0
    in_days, times = open_in_days(item.day for item in loaded)
    rows = run(_COUNT.format(in_days=in_days), symbols=sorted({item.symbol for item in loaded}), **times)
    return sum(row["candles"] for row in rows if SymbolDay(row["symbol"], row["date"]) in loaded)


@contextmanager
def retryable_failures() -> Iterator[None]:
    """Raises RetryableError in place of errors that pass: of the connection or server, lost conflicts, full quotas."""
    try:
        yield
    except (
        google_errors.RetryError,
        google_errors.ServerError,
        google_errors.TooManyRequests,
        auth_errors.TransportError,
        requests.RequestException,
        concurrent.futures.TimeoutError,
    ) as error:
        raise RetryableError(f"BigQuery failed: {error}") from error
    except google_errors.ClientError as error:
        if not _is_passing(error):
            raise
        raise RetryableError(f"BigQuery failed: {error}") from error
