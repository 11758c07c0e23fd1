"""BigQuery as deployables use it: bound and limited queries, conflicts of transactions, failures that pass.

Part of the adapters; wraps google-cloud-bigquery, with the errors of what it brings.
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
"""Upper bound of what one query may bill, 6 cents at list price; ten years of one symbol's candles are 1 GiB."""

_KINDS: Final = {str: "STRING", int: "INT64", dt.datetime: "TIMESTAMP", dt.date: "DATE"}


def query_config(**values: Any) -> bigquery.QueryJobConfig:
    """A query's configuration with `values` as its parameters, limited to MAXIMUM_BYTES_BILLED.

    A value is a str, an int, a date, an aware datetime, or a list of values of one of these types that is not empty.
    """
    return bigquery.QueryJobConfig(
        query_parameters=[_parameter(name, value) for name, value in values.items()],
        maximum_bytes_billed=MAXIMUM_BYTES_BILLED,
    )


def _parameter(name: str, value: Any) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(name, _KINDS[type(value[0])], value)
    return bigquery.ScalarQueryParameter(name, _KINDS[type(value)], value)


def table_fields(table: str, leave_out: Sequence[str] = ()) -> list[bigquery.SchemaField]:
    """The columns of one of the core's schema files, such as `market.candles`, `leave_out` aside."""
    wanted = (field for field in schemas.table(table).fields if field["name"] not in leave_out)
    return [bigquery.SchemaField.from_api_repr(field) for field in wanted]


def is_conflict(error: Exception) -> bool:
    """True when a transaction was cancelled because another one changed the same table first.

    BigQuery gives this no reason of its own (it is an `invalidQuery`), so that its message decides:
    `Transaction is aborted due to concurrent update against table ...`.
    """
    return isinstance(error, google_errors.BadRequest) and "concurrent update" in str(error).lower()


def conflict_retry(maximum_s: float, timeout_s: float) -> Retry:
    """Repeats a transaction that lost a conflict for `timeout_s`, with pauses that grow from 1 s to `maximum_s`."""
    return Retry(is_conflict, initial=1, maximum=maximum_s, timeout=timeout_s)


@contextmanager
def retryable_failures() -> Iterator[None]:
    """Raises RetryableError in place of the client's errors that pass, after the client's own retries."""
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
