"""The arguments of the data commands: symbols and days."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import typer

from local.command.arguments import span_of, symbols_and_days

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 1, 31)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("BTCUSDT", "2024-01-01"), (["BTCUSDT"], FIRST, FIRST)),
        (("ethusdt,BTCUSDT,EthUSDT", "2024-01-01", "2024-01-31"), (["ETHUSDT", "BTCUSDT"], FIRST, LAST)),
        (("ETHUSDT,BTCUSDT,ETHUSDT", "2024-01-01", "2024-01-31"), (["ETHUSDT", "BTCUSDT"], FIRST, LAST)),
    ],
)
def test_symbols_and_days(words: tuple[str, ...], expected: object) -> None:
    assert symbols_and_days(words, None) == expected


def test_a_symbol_may_be_in_small_letters() -> None:
    assert span_of("btcusdt", "2024-01-01", None).symbol == "BTCUSDT"


def test_symbols_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "symbols"
    file.write_text("BTCUSDT\nETHUSDT, SOLUSDT\n\n")
    assert symbols_and_days(["2024-01-01", "2024-01-31"], file) == (["BTCUSDT", "ETHUSDT", "SOLUSDT"], FIRST, LAST)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("BTCUSDT",), r"the arguments are SYMBOLS START \[END\], got BTCUSDT"),
        (("2024-01-01", "2024-01-31"), "a symbol is 3 to 30 capital letters and digits"),
        (("BTCUSDT,bt", "2024-01-01"), "a symbol is 3 to 30 capital letters and digits such as BTCUSDT, got 'BT'"),
        (("BTCUSDT", "2024-01-31", "2024-01-01"), "must not be before START 2024-01-31, got 2024-01-01"),
        (("BTCUSDT", "2024-01-01", "2024-01-31", "now"), "the arguments are SYMBOLS"),
    ],
)
def test_wrong_arguments(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        symbols_and_days(words, None)


def test_a_file_of_symbols_that_is_absent_or_empty(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="No such file"):
        symbols_and_days(["2024-01-01"], tmp_path / "absent")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(typer.BadParameter, match="a symbol is 3 to 30"):
        symbols_and_days(["2024-01-01"], tmp_path / "empty")
    (tmp_path / "symbols").write_text("BTCUSDT\n")
    with pytest.raises(typer.BadParameter, match=r"the arguments are START \[END\] with --symbols-file"):
        symbols_and_days(["ETHUSDT", "2024-01-01", "2024-01-31"], tmp_path / "symbols")
