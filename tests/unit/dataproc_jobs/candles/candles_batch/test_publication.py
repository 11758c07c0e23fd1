"""The ranges of time of a publication's statements, by which BigQuery prunes partitions."""

from __future__ import annotations

import datetime as dt
import re
from itertools import pairwise

from bitcoin_pipeline import names
from candles_batch.publication import MOST_RANGES, range_parameters, replace_sql, time_ranges

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


def test_each_statement_over_candles_has_every_range_as_a_comparison_with_parameters() -> None:
    ranges = time_ranges([day("2020-03-25"), day("2026-11-29")])
    script = replace_sql("p.market.stage_candles", "p.market.stage_ingests", len(ranges))
    reads = re.findall(rf"`{names.CANDLES}` AS stored\s+WHERE (.*)", script)
    assert len(reads) == script.count(f"`{names.CANDLES}` AS stored") == 4
    within = "(stored.open_time >= @from_0 AND stored.open_time < @to_0 OR stored.open_time >= @from_1 AND"
    assert all(within in condition and "@from_2" not in condition for condition in reads)
    assert range_parameters(ranges) == {
        **{"from_0": time("2020-03-25"), "to_0": time("2020-03-26")},
        **{"from_1": time("2026-11-29"), "to_1": time("2026-11-30")},
    }
