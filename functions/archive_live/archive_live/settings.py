"""Settings of the function `archive_live`.

Its modules and tests import it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bitcoin_pipeline.broker import BrokerSettings
from bitcoin_pipeline.settings import setting
from bitcoin_pipeline.times import DAY_US, SECOND_US


def _seconds(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not int(text) or DAY_US // SECOND_US % int(text):
        raise ValueError(f"must be whole seconds that divide a day, got {text!r}")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BrokerSettings):
    """The settings that the environment holds."""

    lake: str = setting("PIPELINE_LAKE", "the bucket that holds trades_live/")
    period_s: int = setting(
        "ARCHIVE_LIVE_PERIOD_SECONDS", "length of the periods at which partitions are cut", _seconds, 3600
    )
