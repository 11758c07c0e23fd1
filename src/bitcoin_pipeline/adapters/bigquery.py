"""BigQuery calls of several deployables: queries with parameters and a cost limit, retries, retryable errors.

Part of the adapters; wraps google-cloud-bigquery, and the errors of the libraries that it installs.
"""

from __future__ import annotations

import concurrent.futures
import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import requests
from google.api_core import exceptions as google_errors
from google.api_core.retry import Retry
from google.auth import exceptions as auth_errors
from google.cloud import bigquery

from bitcoin_pipeline import schemas
from bitcoin_pipeline.errors import RetryableError

MAXIMUM_BYTES_BILLED: Final = 10 * 2**30
"""Upper bound on the bytes that one query bills, 6 cents at list price; ten years of one symbol's candles are 1 GiB."""

_KINDS: Final = {str: "STRING", int: "INT64", dt.datetime: "TIMESTAMP", dt.date: "DATE"}


def query_config(**values: Any) -> bigquery.QueryJobConfig:
    """A query's configuration with `values` as its named parameters, limited to MAXIMUM_BYTES_BILLED.

    The limit holds for each statement of a script, too. A value is a str, an int, a date, an aware datetime, or a
    non-empty list of one of these types. Raises KeyError for any other type.
    """
    return bigquery.QueryJobConfig(
        query_parameters=[_parameter(name, value) for name, value in values.items()],
        maximum_bytes_billed=MAXIMUM_BYTES_BILLED,
        script_options=bigquery.ScriptOptions(statement_byte_budget=MAXIMUM_BYTES_BILLED),
    )


def _parameter(name: str, value: Any) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(name, _KINDS[type(value[0])], value)
    return bigquery.ScalarQueryParameter(name, _KINDS[type(value)], value)


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
