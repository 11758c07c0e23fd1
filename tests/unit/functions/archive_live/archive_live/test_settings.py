"""Settings of `archive_live`: the length of a period."""

from __future__ import annotations

import pytest

from archive_live.settings import Settings
from bitcoin_pipeline.settings import SettingsError, read_settings

ENVIRON = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092", "PIPELINE_LAKE": "lake"}


@pytest.mark.parametrize(("text", "seconds"), [("", 3600), ("1", 1), ("900", 900), ("86400", 86_400)])
def test_a_period_divides_a_day(text: str, seconds: int) -> None:
    assert read_settings(Settings, {**ENVIRON, "ARCHIVE_LIVE_PERIOD_SECONDS": text}).period_s == seconds


@pytest.mark.parametrize("text", ["0", "7", "-60", "1.5", "172800", "h"])
def test_other_periods_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="PERIOD_SECONDS: must be whole seconds that divide a day, got"):
        read_settings(Settings, {**ENVIRON, "ARCHIVE_LIVE_PERIOD_SECONDS": text})
