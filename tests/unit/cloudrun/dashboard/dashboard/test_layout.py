"""The page's configuration, which the tests of its modules take for theirs."""

from __future__ import annotations

import json

import pytest

from bitcoin_pipeline.candle import Status
from dashboard.layout import config
from dashboard.settings import opening_symbol
from local.checkout import ROOT


def test_the_tests_of_the_modules_have_the_configuration_that_the_server_delivers() -> None:
    known = json.loads((ROOT / "tests" / "support" / "page_config.json").read_text())
    assert config("BTCUSDT") == known


@pytest.mark.parametrize(
    ("symbols", "opening"),
    [(("1000PEPEUSDT", "BTCUSDT"), "BTCUSDT"), (("SOLUSDT", "ETHUSDT"), "SOLUSDT"), ((), "BTCUSDT")],
)
def test_a_page_opens_with_a_symbol_that_is_configured(symbols: tuple[str, ...], opening: str) -> None:
    symbol = opening_symbol(symbols)
    assert (symbol, config(symbol)["symbol"]) == (opening, opening)


def test_a_status_is_found_by_its_doubt() -> None:
    assert [config("BTCUSDT")["statuses"][status.doubt] for status in Status] == [str(status) for status in Status]
