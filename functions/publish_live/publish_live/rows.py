"""A live candle as Postgres holds it, and the version of such a row.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

Row = dict[str, Any]
"""A row of Postgres' table `candles`."""

RowVersion = tuple[str, dt.datetime, dt.datetime]
"""Symbol, open time and updated_at; rows with the same version are equal."""


def row_version(row: Row) -> RowVersion:
    """The version of a row."""
    return row["symbol"], row["open_time"], row["updated_at"]
