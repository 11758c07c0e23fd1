"""The rejected rows of one day, as an object of the lake.

Part of the candles job; its modules import it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from bitcoin_pipeline.bybit.rejected_rows import RejectedRow
from bitcoin_pipeline.ingests import SymbolDay


def quarantine_lines(item: SymbolDay, rejected: Iterable[RejectedRow]) -> bytes:
    """One JSON object a line: symbol, date, the row's number in the file, the reason, the row's text."""
    day = {"symbol": item.symbol, "date": item.day.isoformat()}
    lines = (json.dumps({**day, "row": row.row, "reason": row.reason, "text": row.text}) for row in rejected)
    return "".join(f"{line}\n" for line in lines).encode()
