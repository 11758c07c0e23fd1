"""What the environment of `pipeline up` decides of the invented market."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.settings import SettingsError, read_settings
from local.exchange.invented_live import SYMBOLS
from local.services import Invented
from local.stack import invented_chosen


def test_only_what_differs_from_the_default_is_a_choice() -> None:
    environ = {"PIPELINE_SYMBOLS": ",".join(SYMBOLS), "PIPELINE_INVENTED_RATE": "1000", "PATH": "/bin"}
    assert invented_chosen(environ) == {"PIPELINE_INVENTED_RATE": "1000"}
    assert read_settings(Invented, invented_chosen(environ)) == Invented(SYMBOLS, 1000.0, 0)


def test_wrong_choices_are_told_at_once() -> None:
    wrong = {"PIPELINE_SYMBOLS": "BTCUSDT,NOPE", "PIPELINE_INVENTED_RATE": "fast", "PIPELINE_CLOCK_OFFSET_MS": "0.5"}
    with pytest.raises(SettingsError) as told:
        invented_chosen(wrong)
    assert [part.split(":")[0] for part in str(told.value).split("; ")] == list(wrong)
