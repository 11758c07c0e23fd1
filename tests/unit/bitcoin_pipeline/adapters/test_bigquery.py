"""BigQuery's adapter without a server: parameters and limits of queries, and which errors are retryable."""

from __future__ import annotations

import ast
import concurrent.futures
import datetime as dt
from collections.abc import Iterator
from itertools import pairwise

import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import TransportError

from bitcoin_pipeline import schemas
from bitcoin_pipeline.adapters.bigquery import (
    MAXIMUM_BYTES_BILLED,
    MOST_RANGES,
    conflict_retry,
    is_conflict,
    query_config,
    retryable_failures,
    script_config,
    table_fields,
    time_ranges,
)
from bitcoin_pipeline.errors import RetryableError
from local.checkout import ROOT

LOST = "Query error: Transaction is aborted due to concurrent update against table p:market.candles. Transaction ID: 6"
NOON = dt.datetime(2020, 3, 25, 12, tzinfo=dt.UTC)


def test_a_query_is_bound_and_limited() -> None:
    config = query_config(symbol="BTCUSDT", level=60, at=NOON, day=NOON.date(), days=[NOON.date()])
    assert config.maximum_bytes_billed == MAXIMUM_BYTES_BILLED == 10 * 2**30
    found = {
        item["name"]: (item["parameterType"], item["parameterValue"])
        for item in (parameter.to_api_repr() for parameter in config.query_parameters)
    }
    assert found == {
        "symbol": ({"type": "STRING"}, {"value": "BTCUSDT"}),
        "level": ({"type": "INT64"}, {"value": "60"}),
        "at": ({"type": "TIMESTAMP"}, {"value": "2020-03-25 12:00:00+00:00"}),
        "day": ({"type": "DATE"}, {"value": "2020-03-25"}),
        "days": ({"type": "ARRAY", "arrayType": {"type": "DATE"}}, {"arrayValues": [{"value": "2020-03-25"}]}),
    }


def test_each_statement_of_a_script_is_limited_too() -> None:
    config = script_config(symbol="BTCUSDT")
    assert config.maximum_bytes_billed == config.script_options.statement_byte_budget == MAXIMUM_BYTES_BILLED


SENDS_QUERIES = ("src", "functions", "cloudrun", "dataproc_jobs", "local/command")


def calls_in(folder: str) -> Iterator[tuple[str, ast.Call]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "site-packages" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield path.relative_to(ROOT).as_posix(), node


def test_every_query_has_the_limits_of_this_adapter() -> None:
    adapter = "src/bitcoin_pipeline/adapters/bigquery.py"
    unlimited, configured, queries = [], [], 0
    for folder in SENDS_QUERIES:
        for path, call in calls_in(folder):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name == "QueryJobConfig" and path != adapter:
                configured.append(f"{path}:{call.lineno}")
            if name in ("query", "query_and_wait") and isinstance(call.func, ast.Attribute):
                queries += 1
                if "job_config" not in {keyword.arg for keyword in call.keywords}:
                    unlimited.append(f"{path}:{call.lineno}")
    assert (unlimited, configured) == ([], [])
    assert queries  # otherwise nothing was checked


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(KeyError):
        query_config(price=1.5)


def test_columns_are_those_of_the_schema_file() -> None:
    fields = table_fields("market.candles", leave_out=("updated_at",))
    assert [field.name for field in fields] == list(schemas.table("market.candles").names)[:-1]
    assert [field.field_type for field in fields if field.name == "close"] == ["NUMERIC"]


DAY = dt.timedelta(days=1)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_days_in_a_row_are_one_range() -> None:
    days = [day("2024-03-01"), day("2024-02-28"), day("2024-02-29"), day("2024-02-29")]
    assert time_ranges(days) == [(time("2024-02-28"), time("2024-03-02"))]


def test_what_lies_between_scattered_days_is_in_no_range() -> None:
    days = [day("2026-11-29"), day("2020-03-25"), day("2026-11-28")]
    assert time_ranges(days) == [
        (time("2020-03-25"), time("2020-03-26")),
        (time("2026-11-28"), time("2026-11-30")),
    ]


def test_more_ranges_than_allowed_are_joined_where_the_least_lies_between() -> None:
    # Every second day of 2024, and a day of 2020 that is far from the others.
    others = [day("2024-01-01") + 2 * DAY * number for number in range(MOST_RANGES + 10)]
    ranges = time_ranges([*others, day("2020-03-25")])
    assert len(ranges) == MOST_RANGES
    assert ranges[0] == (time("2020-03-25"), time("2020-03-26"))
    assert all(any(start <= time(str(each)) < end for start, end in ranges) for each in others)
    assert all(earlier[1] < later[0] for earlier, later in pairwise(ranges))


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (exceptions.BadRequest(LOST), True),
        (exceptions.BadRequest("Syntax error: Unexpected keyword CONCURRENT"), False),
        (exceptions.BadRequest("Failed to commit"), False),  # no message of BigQuery's
        (exceptions.ServiceUnavailable(LOST), False),
        (ValueError(LOST), False),
    ],
)
def test_a_lost_conflict_is_recognised(error: Exception, is_one: bool) -> None:
    assert is_conflict(error) is is_one


def test_a_transaction_that_lost_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    outcomes = [exceptions.BadRequest(LOST), exceptions.BadRequest(LOST), None]

    def transaction() -> str:
        if (error := outcomes.pop(0)) is not None:
            raise error
        return "committed"

    assert conflict_retry(maximum_s=10, timeout_s=60)(transaction)() == "committed"
    outcomes = [exceptions.BadRequest("a fault of ours"), None]
    with pytest.raises(exceptions.BadRequest, match="a fault of ours"):
        conflict_retry(maximum_s=10, timeout_s=60)(transaction)()


@pytest.mark.parametrize(
    "error",
    [
        exceptions.RetryError("gave up", None),
        exceptions.ServiceUnavailable("away"),
        exceptions.TooManyRequests("slow down"),
        exceptions.BadRequest(LOST),
        exceptions.Forbidden("too many jobs", errors=[{"reason": "rateLimitExceeded"}]),
        exceptions.Forbidden("no more today", errors=[{"reason": "quotaExceeded"}]),
        TransportError("no token"),
        requests.ConnectionError("refused"),
        concurrent.futures.TimeoutError(),
    ],
)
def test_what_passes_is_retryable(error: Exception) -> None:
    with pytest.raises(RetryableError, match=r"^BigQuery failed: ") as raised, retryable_failures():
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        exceptions.BadRequest("a fault of ours"),
        exceptions.Forbidden("no", errors=[{"reason": "accessDenied"}]),
        KeyError("x"),
    ],
)
def test_what_does_not_pass_is_left(error: Exception) -> None:
    with pytest.raises(type(error)), retryable_failures():
        raise error
