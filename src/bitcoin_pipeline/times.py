"""Times as integer microseconds UTC, minutes, days and intervals; and the type of a monotonic clock's readings.

Two clocks, two spellings: a name that ends in `_us` is microseconds UTC or a duration in microseconds, an `int`; an
`Instant` is named `now` or ends in `_at`. Part of the core; any module may import it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Final, NewType

MS_US: Final = 1_000
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
DAY_US: Final = 86_400 * SECOND_US

Instant = NewType("Instant", int)
"""A reading of one process's monotonic clock, in microseconds from an arbitrary start.

It is comparable only with readings of the same process. The difference of two instants, and an instant plus a duration,
are plain integers; `Instant(now + duration_us)` states that such a sum is an instant again. Only the entry point that
reads the clock makes an instant of another number.
"""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNIT_US = {"s": SECOND_US, "m": MINUTE_US, "h": 60 * MINUTE_US, "d": DAY_US}


def floor_us(time_us: int, interval_us: int = MINUTE_US) -> int:
    """The start of the interval that holds `time_us`; a boundary belongs to the interval it opens."""
    return time_us - time_us % interval_us


def parse_interval(text: str) -> int:
    """Microseconds of an interval such as `1m`, `15m`, `4h`, `1d`.

    Raises ValueError unless it is a whole number of minutes that divides a day, which keeps every
    interval aligned to UTC midnight.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,4})([smhd])", text)
    interval_us = int(match[1]) * _UNIT_US[match[2]] if match else 0
    if not interval_us or interval_us % MINUTE_US or DAY_US % interval_us:
        raise ValueError(f"interval must divide one day and be whole minutes, such as 1m, 15m, 4h or 1d, got {text}")
    return interval_us


def day_start_us(day: dt.date) -> int:
    """Microseconds at UTC midnight that opens `day`."""
    return (day - _EPOCH.date()).days * DAY_US


def day_of(time_us: int) -> dt.date:
    """The UTC day that holds `time_us`."""
    return to_datetime(time_us).date()


def parse_day(text: str) -> dt.date:
    """The day written as `YYYY-MM-DD`. Raises ValueError for any other text."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(f"a day is written YYYY-MM-DD, got {text!r}")
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"no such day: {text}") from None


def days(start: dt.date, end: dt.date) -> Iterator[dt.date]:
    """Every day from `start` to `end`, both included."""
    for offset in range((end - start).days + 1):
        yield start + dt.timedelta(days=offset)


def to_datetime(time_us: int) -> dt.datetime:
    """`time_us` as an aware UTC datetime, exact."""
    return _EPOCH + dt.timedelta(microseconds=time_us)


def from_datetime(time: dt.datetime) -> int:
    """Integer microseconds since the epoch of an aware datetime, exact."""
    return (time - _EPOCH) // dt.timedelta(microseconds=1)


def iso(time_us: int) -> str:
    """`2020-03-25T10:36:00Z`, with a fraction only where there is one: `2020-03-25T10:36:12.9822Z`."""
    seconds, micros = divmod(time_us, SECOND_US)
    fraction = f".{micros:06d}".rstrip("0") if micros else ""
    return f"{to_datetime(seconds * SECOND_US):%Y-%m-%dT%H:%M:%S}{fraction}Z"
