"""The dashboard's reader of BigQuery, while BigQuery refuses or does not answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.exceptions import Forbidden, NotFound
from google.auth.exceptions import TransportError
from requests.exceptions import ConnectionError as RequestsConnectionError

from dashboard.warehouse import TIMEOUT_S, Warehouse, WarehouseError


class Refusing:
    """A client whose every query ends with an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def query_and_wait(self, *_: object, **__: object) -> Any:
        raise self._error


class Noting:
    """A client that keeps the text of a query and ends it with an error."""

    query = ""

    def query_and_wait(self, query: str, **_: object) -> Any:
        self.query = query
        raise NotFound("no table")


@pytest.mark.parametrize("level_s", [60, 900, 14_400])
def test_every_scan_of_candles_has_the_span_in_its_own_condition(level_s: int) -> None:
    client, warehouse = Noting(), Warehouse("local", "EU")
    warehouse._client = client  # type: ignore[assignment]
    with pytest.raises(WarehouseError):
        warehouse.candles("BTCUSDT", level_s, 0, 86_400)
    scans = re.findall(r"FROM `local\.market\.candles`\s+(.*)", client.query)
    assert scans == ["WHERE symbol = @symbol AND open_time >= @lo AND open_time < @hi"]
    assert len(re.findall(r"market\.candles\b", client.query)) == 1


@pytest.mark.parametrize("query", [lambda it: it.days(), lambda it: it.candles("BTCUSDT", 60, 0, 60)])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        # The error of a job that outlasts its timeout has no text.
        (TimeoutError(), f"BigQuery did not answer within {TIMEOUT_S} s"),
        (Forbidden("quota exceeded"), "403 quota exceeded"),
        (NotFound("no table market.candles_best"), "404 no table market.candles_best"),
        (NotFound("one line\nand more"), "404 one line"),
        (
            RequestsConnectionError("HTTPConnectionPool(host='127.0.0.1')"),
            "BigQuery cannot be reached (ConnectionError)",
        ),
        (TransportError("no token"), "BigQuery cannot be reached (TransportError)"),
    ],
)
def test_errors_of_bigquery_are_reported_in_one_line(
    query: Callable[[Warehouse], object], error: Exception, reason: str
) -> None:
    warehouse = Warehouse("local", "EU")
    warehouse._client = Refusing(error)  # type: ignore[assignment]
    with pytest.raises(WarehouseError) as raised:
        query(warehouse)
    assert str(raised.value) == reason
