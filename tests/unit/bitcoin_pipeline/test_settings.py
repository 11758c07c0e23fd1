"""Settings: read from an environment that is handed in, all faults at once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bitcoin_pipeline.settings import SettingsError, read_settings, setting
from bitcoin_pipeline.times import parse_interval


@dataclass(frozen=True, slots=True)
class Example:
    lake: str = setting("LAKE", "bucket of the lake")
    retries: int = setting("RETRIES", "how often to try again", int)
    interval_us: int = setting("INTERVAL", "length of a candle", parse_interval, 60_000_000)


def test_settings_are_parsed_and_defaults_hold() -> None:
    assert read_settings(Example, {"LAKE": "lake", "RETRIES": "3", "OTHER": "x"}) == Example("lake", 3, 60_000_000)
    assert read_settings(Example, {"LAKE": "lake", "RETRIES": "3", "INTERVAL": "1h"}).interval_us == 3_600_000_000


def test_all_faults_come_in_one_message() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(Example, {"LAKE": "", "RETRIES": "many", "INTERVAL": "7m"})
    assert str(error.value).split("; ") == [
        "LAKE is not set (bucket of the lake)",
        "RETRIES: invalid literal for int() with base 10: 'many' (how often to try again)",
        "INTERVAL: interval must divide one day and be whole minutes, such as 1m, 15m, 4h or 1d, got 7m "
        "(length of a candle)",
    ]


def test_an_empty_variable_takes_the_default() -> None:
    assert read_settings(Example, {"LAKE": "lake", "RETRIES": "3", "INTERVAL": ""}).interval_us == 60_000_000
