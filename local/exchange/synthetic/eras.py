"""The forms in which Bybit has written its archive files over the years.

Part of the exchange simulator. The forms are those of `bitcoin_pipeline.bybit.archive`. The days on which an era began
and on which files turned to oldest first are not documented: they are chosen here, and no other code relies on them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Era:
    """The form of files from the day `start` on.

    `time_decimals`: decimals of a timestamp in seconds. `descending`: rows are newest first. `spelled_as_floats`:
    numbers are written 6500.0 and 0.1, not 6500.00 and 0.10. `has_rpi`: files have a column RPI.
    """

    name: str
    start: dt.date
    time_decimals: int
    descending: bool
    spelled_as_floats: bool
    has_rpi: bool


ERAS: Final = (
    Era("2019", dt.date(2019, 10, 1), 6, descending=True, spelled_as_floats=True, has_rpi=False),
    Era("2022", dt.date(2022, 1, 1), 0, descending=True, spelled_as_floats=True, has_rpi=False),
    Era("2023", dt.date(2023, 1, 1), 3, descending=False, spelled_as_floats=False, has_rpi=False),
    Era("2025", dt.date(2025, 1, 1), 4, descending=False, spelled_as_floats=False, has_rpi=False),
    Era("2025-09", dt.date(2025, 9, 1), 4, descending=False, spelled_as_floats=False, has_rpi=True),
)
"""Every era, the oldest first."""


def era_of(day: dt.date) -> Era:
    """The era of a day; days before the first era belong to it."""
    return next((era for era in reversed(ERAS) if era.start <= day), ERAS[0])


def era_named(name: str) -> Era:
    """The era called `name`. Raises ValueError, which lists the valid names, for any other name."""
    for era in ERAS:
        if era.name == name:
            return era
    raise ValueError(f"era must be one of {', '.join(era.name for era in ERAS)}, got {name!r}")
