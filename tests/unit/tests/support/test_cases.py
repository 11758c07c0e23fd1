"""The form of the conformance cases: a mistake in a case is an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cases import load_cases, parse_case

TRADE = {"id": 1, "at": "00:00:00.000", "side": "Buy", "price": "1", "size": "1"}
CASE = {
    "question": "?",
    "symbol": "BTCUSDT",
    "date": "2024-01-02",
    "planes": ["archive", "live"],
    "trades": [TRADE],
    "candles": [],
}


def test_there_are_cases_for_both_planes() -> None:
    assert len(load_cases("archive")) > len(load_cases("live")) > 5


def test_a_case_as_a_file_of_the_archive() -> None:
    assert parse_case("x", CASE).archive_text().splitlines()[1] == (
        "1704153600.000,BTCUSDT,Buy,1,1,ZeroMinusTick,00000000-0000-0000-0000-000000000001,2.4725004e+11,nan,-1,0"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candels": []}, r"unknown \['candels'\]"),
        ({"planes": ["spark"]}, "planes are archive and live"),
        ({"planes": []}, "planes are archive and live"),
        ({"file": {"header": "", "rows": []}}, "either trades or a file"),
        ({"trades": [{"id": 1}]}, r"missing \['at', 'price', 'side', 'size'\]"),
        ({"trades": [{**TRADE, "at": "00:00:00.0001"}]}, "the live feed has milliseconds"),
        ({"file_order": [0, 0]}, "each of 0 to 0 once"),
        ({"arrival": []}, "each of 0 to 0 once"),
        ({"rejected": [{"row": 0, "reason": "bad"}]}, "not a valid Reason"),
        ({"rejected": [{"row": 0, "reason": "other_day"}]}, "none of them rejected"),
        ({"candles": [{"open_time": "00:00"}]}, "missing"),
        ({"longer": {"5m": [{"open_time": "00:00"}]}}, "missing"),
    ],
)
def test_a_mistake_in_a_case_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_case("x", CASE | change)
