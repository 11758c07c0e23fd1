"""What `pipeline up --source bybit` takes from the environment, and what it leaves to the deployables."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitcoin_pipeline.settings import SettingsError
from local.services import PORTS, Stack
from local.stack import bybit_chosen

PORT_OF_EACH = dict.fromkeys(PORTS, 1234)


def exchange_variables(stack: Stack) -> dict[str, str]:
    names = ("BYBIT_", "PIPELINE_SYMBOLS", "PIPELINE_SIMULATOR_URL")
    return {name: value for name, value in stack.environ().items() if name.startswith(names)}


def test_without_a_choice_every_address_is_the_deployables_own_default() -> None:
    stack = Stack(Path("/home"), PORT_OF_EACH, bybit=bybit_chosen({"PATH": "/bin"}))
    assert exchange_variables(stack) == {"PIPELINE_SYMBOLS": "BTCUSDT"}
    assert "exchange" not in {service.name for service in stack.services()}


def test_every_address_and_the_symbols_may_be_chosen() -> None:
    chosen = {
        "PIPELINE_SYMBOLS": "BTCUSDT,PEPEUSDT",
        "BYBIT_WS_URL": "wss://ws.example/v5/public/linear",
        "BYBIT_REST_URL": "https://rest.example",
        "BYBIT_ARCHIVE_URL": "https://archive.example",
        "BYBIT_LISTING_URL": "https://listing.example/bucket/",
        "BYBIT_BAN_SECONDS": "900",
    }
    stack = Stack(Path("/home"), PORT_OF_EACH, bybit=bybit_chosen({**chosen, "PATH": "/bin"}))
    assert exchange_variables(stack) == chosen


def test_wrong_choices_are_told_at_once() -> None:
    wrong = {"PIPELINE_SYMBOLS": "btc-usdt", "BYBIT_WS_URL": "https://ws.example", "BYBIT_REST_URL": "rest.example"}
    with pytest.raises(SettingsError) as told:
        bybit_chosen(wrong)
    assert [part.split(":")[0] for part in str(told.value).split("; ")] == list(wrong)
