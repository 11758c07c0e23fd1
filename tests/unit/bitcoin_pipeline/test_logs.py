"""A line of the log: one JSON object, for any values of its fields."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

from bitcoin_pipeline.logs import log_line


def test_an_event_is_one_line_of_json() -> None:
    assert log_line("INFO", "file stored", symbol="BTCUSDT", bytes=7) == (
        '{"severity": "INFO", "message": "file stored", "symbol": "BTCUSDT", "bytes": 7}\n'
    )


def test_what_json_does_not_have_is_its_text() -> None:
    line = log_line("ERROR", "x", day=dt.date(2020, 3, 25), price=Decimal("1.50"), reason="two\nlines")
    assert line.count("\n") == 1
    fields = json.loads(line)
    assert (fields["day"], fields["price"], fields["reason"]) == ("2020-03-25", "1.50", "two\nlines")
