"""Symbols: which texts are symbols, which are inverse, and their units."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.symbols import Units, is_inverse, parse_symbol, symbols_among, units_of


@pytest.mark.parametrize(
    "text", ["BTCUSDT", "1000PEPEUSDT", "BTCUSD", "BTCUSDM24", "BTCPERP", "BTCUSDT-26DEC25", "BTC-7JUN24"]
)
def test_symbols(text: str) -> None:
    assert parse_symbol(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BT",
        "btcusdt",
        "BTC/USDT",
        "../BTCUSDT",
        "BTCUSDT/",
        "BTC USDT",
        "BTCUSDT\n",
        "BTC.USDT",
        "BTCUSDT-",
        "A" * 31,
        "BTCUSDT?x=1",
        "BTCUSDT%2F",
        "BTC-USDT",
        "\N{CYRILLIC CAPITAL LETTER VE}TCUSDT",
    ],
)
def test_no_symbols(text: str) -> None:
    with pytest.raises(ValueError, match="a symbol is 3 to 30 capital letters and digits"):
        parse_symbol(text)


@pytest.mark.parametrize(
    ("symbol", "inverse"),
    [
        ("BTCUSD", True),
        ("ETHUSD", True),
        ("BTCUSDM24", True),
        ("BTCUSDZ25", True),
        ("BTCUSDT", False),
        ("USDCUSDT", False),
        ("BTCPERP", False),
        ("BTCUSDT-26DEC25", False),
        ("BTC-26DEC25", False),
        ("BTCUSDA24", False),
    ],
)
def test_inverse(symbol: str, inverse: bool) -> None:
    assert is_inverse(symbol) is inverse


def test_symbols_may_be_limited_to_those_that_are_known() -> None:
    parse = symbols_among(("BTCUSDT", "ETHUSDT", "DOGEUSDT"))
    assert parse("ETHUSDT, BTCUSDT,ETHUSDT") == ("ETHUSDT", "BTCUSDT")
    for text in ("SOLUSDT", "BTCUSDT,", ""):
        with pytest.raises(ValueError, match=r"^must be of BTCUSDT, ETHUSDT, DOGEUSDT with commas between, got '"):
            parse(text)


@pytest.mark.parametrize(
    ("symbol", "units"),
    [
        ("BTCUSDT", Units("USDT", "BTC", "USDT")),
        ("1000PEPEUSDT", Units("USDT", "1000PEPE", "USDT")),
        ("BTCUSDT-26DEC25", Units("USDT", "BTC", "USDT")),
        ("BTCPERP", Units("USDC", "BTC", "USDC")),
        ("BTC-7JUN24", Units("USDC", "BTC", "USDC")),
        ("BTCUSD", Units("USD", "USD", "BTC")),
        ("BTCUSDM24", Units("USD", "USD", "BTC")),
    ],
)
def test_units(symbol: str, units: Units) -> None:
    assert units_of(symbol) == units
