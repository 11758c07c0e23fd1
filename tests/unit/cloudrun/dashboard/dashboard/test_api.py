"""The answers of the dashboard's API: bars as JSON with exact numbers, and exports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Final, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from dashboard.api import EXPORT_BARS, InputError, add_routes, columns, exported
from dashboard.backend import Backend
from dashboard.cache import View
from dashboard.level_of_detail import MAX_BARS
from dashboard.warehouse import CANDLES

AMOUNTS: Final = st.decimals(
    min_value=0, max_value=Decimal("99999999999999999999.999999999"), places=9, allow_nan=False, allow_infinity=False
)


def view(*amounts: Decimal | None) -> View:
    """A view of bars that have these amounts as turnover and bought volume."""
    rows = [
        {
            **dict.fromkeys(("open", "high", "low", "close", "volume"), Decimal("61234.5")),
            "t": 1_786_310_760 + 60 * number,
            "source": "live",
            "turnover": amount or Decimal(0),
            "buy_volume": amount,
            "trade_count": None if amount is None else number,
            "doubt": number % 4,
            "confirmed": None if amount is None else bool(number),
        }
        for number, amount in enumerate(amounts)
    ]
    return View("BTCUSDT", 60, 0, 60, pa.Table.from_pylist(rows, CANDLES), 1.6, "")


@given(st.lists(st.none() | AMOUNTS, max_size=5))
def test_numbers_are_exact(amounts: list[Decimal | None]) -> None:
    content = json.loads(orjson.dumps(columns(view(*amounts))), parse_float=Decimal, parse_int=Decimal)
    assert content["bars"]["buy_volume"] == amounts
    assert content["bars"]["turnover"] == [amount or 0 for amount in amounts]


def test_a_view_has_every_field() -> None:
    content = json.loads(orjson.dumps(columns(view(Decimal("0.000000001"), None))))
    assert content == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "step": 60,
        "start": 0,
        "end": 60,
        "cut": False,
        "units": {"price": "USDT", "volume": "BTC", "turnover": "USDT"},
        "inverse": False,
        "age_s": 2,
        "fault": "",
        "bars": {
            "t": [1_786_310_760, 1_786_310_820],
            "source": ["live", "live"],
            **{name: [61234.5, 61234.5] for name in ("open", "high", "low", "close", "volume")},
            "turnover": [1e-9, 0],
            "trade_count": [0, None],
            "buy_volume": [1e-9, None],
            "buy_turnover": [None, None],
            "doubt": [0, 1],
            "confirmed": [False, None],
            "archive_count": [None, None],
            "live_count": [None, None],
        },
    }


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_export_is_exact(kind: str) -> None:
    amounts = [Decimal("0.000000001"), Decimal("99999999999999999999.999999999"), None, Decimal(3)]
    content = exported(view(*amounts), kind)
    if kind == "csv":
        text = list(csv.DictReader(io.StringIO(content.decode())))
        assert [row["open_time"] for row in text][:2] == ["2026-08-09T21:26:00Z", "2026-08-09T21:27:00Z"]
        assert [row["buy_volume"] for row in text] == ["0.000000001", "99999999999999999999.999999999", "", "3"]
        assert {row["buy_turnover"] for row in text} == {""}
        found = [Decimal(row["buy_volume"]) if row["buy_volume"] else None for row in text]
        statuses = [row["status"] for row in text]
        assert [row["confirmed"] for row in text] == ["false", "true", "", "true"]
    else:
        table = pq.read_table(io.BytesIO(content))
        assert table.schema.field("open_time").type == pa.timestamp("us", "UTC")
        found, statuses = table["buy_volume"].to_pylist(), table["status"].to_pylist()
    assert found == amounts
    assert statuses == ["final", "repaired", "forming", "partial"]


def test_an_export_has_plain_decimals_as_the_command_has() -> None:
    rows = csv.DictReader(io.StringIO(exported(view(Decimal("0E-9"), Decimal("4.61E-7")), "csv").decode()))
    assert [row["turnover"] for row in rows] == ["0", "0.000000461"]


def test_an_inverse_symbol_has_units_of_its_own() -> None:
    content = json.loads(orjson.dumps(columns(replace(view(Decimal(1)), symbol="BTCUSD"))))
    assert content["units"] == {"price": "USD", "volume": "USD", "turnover": "BTC"}
    assert content["inverse"] is True


@pytest.mark.parametrize(("interval", "limit"), [("1m", EXPORT_BARS), ("auto", MAX_BARS)])
def test_a_span_of_more_bars_than_an_export_holds_is_refused(interval: str, limit: int) -> None:
    app, limits = FastAPI(), []

    async def cut(*_: object, limit: int) -> View:
        limits.append(limit)
        return replace(view(), is_cut=True)

    add_routes(app, cast("Backend", SimpleNamespace(cache=SimpleNamespace(view=cut))))
    [export] = [route.endpoint for route in app.routes if isinstance(route, APIRoute) and route.path == "/api/export"]
    query = f"symbol=BTCUSDT&interval={interval}&start=0&end=4102444800".encode()
    with pytest.raises(InputError, match=f"^an export holds at most {limit} bars, and this span has more$"):
        asyncio.run(export(Request({"type": "http", "query_string": query})))
    assert limits == [limit]


def test_an_export_of_nothing_has_its_header() -> None:
    assert exported(view(), "csv").decode().startswith("symbol,open_time,open,")
