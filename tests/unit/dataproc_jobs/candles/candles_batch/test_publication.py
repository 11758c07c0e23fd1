"""The statements of a publication, without BigQuery."""

from __future__ import annotations

import datetime as dt
import re

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.bigquery import open_in_days
from candles_batch.publication import replace_sql


def test_each_statement_over_candles_compares_open_times_with_every_range() -> None:
    in_days, values = open_in_days([dt.date(2020, 3, 25), dt.date(2026, 11, 29)])
    script = replace_sql("p.market.stage_candles", "p.market.stage_ingests", in_days)
    reads = re.findall(rf"`{names.CANDLES}` AS stored\s+WHERE (.*)", script)
    assert len(reads) == script.count(f"`{names.CANDLES}` AS stored") == 4
    within = "(stored.open_time >= @from_0 AND stored.open_time < @to_0 OR stored.open_time >= @from_1 AND"
    assert all(within in condition and "@from_2" not in condition for condition in reads)
    assert [str(value) for value in values.values()] == [
        *("2020-03-25 00:00:00+00:00", "2020-03-26 00:00:00+00:00"),
        *("2026-11-29 00:00:00+00:00", "2026-11-30 00:00:00+00:00"),
    ]
