"""The dashboard's reader of BigQuery, while BigQuery refuses or does not answer."""

from __future__ import annotations

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
