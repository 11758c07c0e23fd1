"""Times: microseconds, days, intervals."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_pipeline.times import (
    DAY_US,
    MINUTE_US,
    Instant,
    day_of,
    day_start_us,
    days,
    floor_us,
    from_datetime,
    iso,
    parse_day,
    parse_interval,
    to_datetime,
)


@pytest.mark.parametrize(
    ("time_us", "minute_us"),
    [(0, 0), (59_999_999, 0), (60_000_000, 60_000_000), (60_000_001, 60_000_000), (-1, -MINUTE_US)],
)
def test_minute_of_a_time(time_us: int, minute_us: int) -> None:
    assert floor_us(time_us) == minute_us


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("1m", 1), ("60s", 1), ("5m", 5), ("15m", 15), ("1h", 60), ("90m", 90), ("4h", 240), ("24h", 1440), ("1d", 1440)],
)
def test_intervals(text: str, minutes: int) -> None:
    assert parse_interval(text) == minutes * MINUTE_US


@pytest.mark.parametrize(
    "text", ["", "m", "0m", "7m", "30s", "90s", "2d", "1w", "-5m", "5M", "5 m", "01m", "1m\n", "1.5h"]
)
def test_no_intervals(text: str) -> None:
    with pytest.raises(ValueError, match="interval must divide one day"):
        parse_interval(text)


def test_every_interval_meets_midnight() -> None:
    for minutes in range(1, 1441):
        try:
            interval_us = parse_interval(f"{minutes}m")
        except ValueError:
            assert 1440 % minutes
        else:
            assert DAY_US % interval_us == 0


@pytest.mark.parametrize(
    "text", ["2020-3-25", "20200325", "2020-03-25T00:00", "2020-W13-3", " 2020-03-25", "2020-03-25\n"]
)
def test_a_day_has_one_form(text: str) -> None:
    with pytest.raises(ValueError, match="a day is written YYYY-MM-DD"):
        parse_day(text)


def test_a_day_exists() -> None:
    assert parse_day("2024-02-29") == dt.date(2024, 2, 29)
    with pytest.raises(ValueError, match="no such day: 2023-02-29"):
        parse_day("2023-02-29")


def test_days_include_both_ends() -> None:
    assert list(days(dt.date(2024, 2, 28), dt.date(2024, 3, 1))) == [
        dt.date(2024, 2, 28),
        dt.date(2024, 2, 29),
        dt.date(2024, 3, 1),
    ]
    assert list(days(dt.date(2024, 1, 2), dt.date(2024, 1, 1))) == []


def test_a_day_holds_its_first_and_last_microsecond() -> None:
    start_us = day_start_us(dt.date(2020, 3, 25))
    assert start_us == 1_585_094_400_000_000
    assert {day_of(start_us), day_of(start_us + DAY_US - 1)} == {dt.date(2020, 3, 25)}
    assert day_of(start_us - 1) == dt.date(2020, 3, 24)


@given(st.integers(min_value=0, max_value=10**17))
def test_datetimes_are_exact(time_us: int) -> None:
    assert from_datetime(to_datetime(time_us)) == time_us


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(TypeError):
        from_datetime(dt.datetime(2020, 3, 25))  # noqa: DTZ001  # naive is the point


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (1_585_132_560_000_000, "2020-03-25T10:36:00Z"),
        (1_585_132_572_982_200, "2020-03-25T10:36:12.9822Z"),
        (1_585_132_572_000_001, "2020-03-25T10:36:12.000001Z"),
    ],
)
def test_iso(time_us: int, text: str) -> None:
    assert iso(time_us) == text


def test_an_instant_is_not_a_time() -> None:
    """The type checker refuses a UTC time as an instant: without the error, the unused `ignore` would be one."""

    def age_us(read_at: Instant, now: Instant) -> int:
        return now - read_at

    assert age_us(Instant(5), Instant(7)) == 2
    time_us = from_datetime(dt.datetime(2026, 8, 9, tzinfo=dt.UTC))
    assert age_us(time_us, Instant(7)) < 0  # type: ignore[arg-type]
