"""The dashboard's settings, which the environment supplies.

Part of the dashboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bitcoin_pipeline.broker import BrokerSettings
from bitcoin_pipeline.settings import parse_port, setting, whole
from bitcoin_pipeline.symbols import parse_symbols

_USUAL: Final = "BTCUSDT"


def opening_symbol(symbols: Sequence[str]) -> str:
    """The symbol of a page whose URL names none: BTCUSDT, or the first of `symbols` where it is not one of them."""
    return _USUAL if _USUAL in symbols or not symbols else symbols[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BrokerSettings):
    """The settings. libpq reads PGHOST and its other variables itself; here PGHOST is only required."""

    project: str = setting("GOOGLE_CLOUD_PROJECT", "the project of the dataset market")
    location: str = setting("BIGQUERY_LOCATION", "the location of the dataset market, such as EU")
    postgres_host: str = setting("PGHOST", "Postgres' address")
    symbols: tuple[str, ...] = setting(
        "PIPELINE_SYMBOLS", "offered even before they have data", parse_symbols, ("BTCUSDT",)
    )
    cache_rows: int = setting(
        "DASHBOARD_CACHE_ROWS", "rows of history held in DuckDB", whole("rows", 999_999_999, least=1), 1_000_000
    )
    host: str = setting("HOST", "where the server listens", str, "127.0.0.1")
    port: int = setting("PORT", "its port", parse_port, 8080)
