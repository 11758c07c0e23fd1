"""The judge of the simulation finds what is planted, and nothing where the topic is right."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.support.simulated.judge import Appended, Made, Verdict, judge

BASE_S = 1_786_310_760
"""2026-08-09T21:26:00Z."""
END_MS = (BASE_S + 600) * 1000


def us(second: float) -> int:
    return round((BASE_S + second) * 1_000_000)


def made(second: float) -> Made:
    return Made(f"t{second:g}", "BTCUSDT", us(second), Decimal(2), Decimal(20))


def trade(second: float) -> dict[str, Any]:
    return {"type": "trade", "symbol": "BTCUSDT", "id": f"t{second:g}", "time": us(second)}


def minute(second: float, count: int, *, confirmed: bool = False, volume: int | None = None) -> dict[str, Any]:
    sums = 2 * count if volume is None else volume
    return {
        **{"type": "minute", "symbol": "BTCUSDT", "open_time": us(second), "trade_count": count},
        **{"volume": str(sums), "turnover": str(20 * count), "confirmed": confirmed},
    }


def gap(name: str, from_s: float, to_s: float | None, state: str = "opened") -> dict[str, Any]:
    to_us = None if to_s is None else us(to_s)
    return {"type": "gap", "gap_id": name, "symbol": "BTCUSDT", "from": us(from_s), "to": to_us, "state": state}


def verdict(trades: list[float], *records: dict[str, Any]) -> Verdict:
    """The verdict on records that were appended 200 s and more after BASE_S, one a second."""
    appended = [
        Appended((BASE_S + 200 + place) * 1000, json.dumps(record).encode()) for place, record in enumerate(records)
    ]
    return judge([[], appended], map(made, trades), END_MS)


def texts(found: Verdict) -> list[str]:
    return [violation.text for violation in found.violations]


def test_a_topic_that_is_right_has_no_violation_and_its_figures_are_counted() -> None:
    found = verdict(
        [1, 2, 61, 121, 181],
        *(trade(1), trade(2), minute(0, 2, confirmed=True)),
        *(trade(61), gap("a", 62, 130), minute(60, 1)),
        # The trade at 121 s is lost, and its minute is in the gap; it has no trade, so no row.
        *(gap("b", 180, None), trade(181), minute(180, 1), gap("b", 180, 185), gap("b", 180, 185, "closed")),
    )
    assert texts(found) == []
    assert (found.minutes, found.complete, found.confirmed, found.lost, found.needless) == (3, 2, 1, 1, 1)


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([trade(1), minute(0, 1)], "minute 2026-08-09T21:26:00Z is complete with 1 of 2 trades"),
        ([minute(0, 1), trade(1), trade(2)], "minute 2026-08-09T21:26:00Z is complete with 1 of 2 trades"),
        # Complete for a moment only, between the end of a gap and the start of the next one.
        (
            [gap("a", 0, 59), trade(1), minute(0, 1), gap("a", 0, 59, "closed"), gap("b", 0, 59), trade(2)],
            "gap a is closed and lacks 1 trades, such as 2026-08-09T21:26:02Z",
        ),
        ([trade(1), gap("a", 70, None), minute(0, 1)], "minute 2026-08-09T21:26:00Z is complete with 1 of 2 trades"),
        ([trade(1)], "minute 2026-08-09T21:26:00Z never ended: it has 1 of 2 trades, its record counts None"),
        ([trade(1), trade(2), minute(0, 3)], "minute 2026-08-09T21:26:00Z never ended: it has 2 of 2 trades"),
        ([trade(1), trade(2), trade(3), minute(0, 2)], "trade t3 of 1786310763000000 was not made"),
        (
            [trade(1), trade(2), minute(0, 2, confirmed=True, volume=3)],
            "minute 2026-08-09T21:26:00Z is confirmed with (2, Decimal('3'), Decimal('40')) where the exchange made",
        ),
        (
            [gap("a", 0, 59), trade(1), minute(0, 1, confirmed=True)],
            "minute 2026-08-09T21:26:00Z is confirmed with (1, Decimal('2'), Decimal('20')) where the exchange made",
        ),
        ([trade(1), trade(2), minute(0, 2), gap("a", 0, None, "closed")], "gap a is closed without an end"),
        ([trade(1), trade(2), minute(0, 2), gap("a", 0, 900, "closed")], "gap a is closed with its end in the future"),
        (
            [trade(1), trade(2), minute(0, 2), gap("a", 1, 2), gap("a", 1, 2, "closed"), gap("a", 1, 2)],
            "gap a is opened again",
        ),
    ],
)
def test_what_is_planted_is_found(records: list[dict[str, Any]], text: str) -> None:
    assert [found for found in texts(verdict([1, 2], *records)) if found.startswith(text)] != []


def test_a_gap_with_an_end_touches_all_its_minutes_and_one_without_its_first() -> None:
    lost = [1.0, 2.0, 61.0, 62.0, 121.0, 122.0]
    records = [record for second in (0, 60, 120) for record in (trade(second + 1), minute(second, 1))]
    assert texts(verdict(lost, gap("a", 2, 122), *records)) == []
    assert len(texts(verdict(lost, gap("a", 2, 100), *records))) == 1
    assert len(texts(verdict(lost, gap("a", 2, None), *records))) == 2
    assert len(texts(verdict(lost, *records))) == 3


def test_a_record_with_a_higher_count_makes_the_minute_incomplete_until_the_trades_are_there() -> None:
    assert texts(verdict([1, 2], gap("a", 0, 59), trade(1), minute(0, 1), minute(0, 2), trade(2))) == []
    late = verdict([1, 2], gap("a", 0, 59), trade(1), minute(0, 2), gap("a", 0, 59, "closed"), trade(2))
    assert texts(late) == ["gap a is closed and lacks 1 trades, such as 2026-08-09T21:26:02Z"]


def test_the_last_minutes_need_not_be_over() -> None:
    assert texts(verdict([541, 542], trade(541))) == []
    assert len(texts(verdict([420, 421], trade(420)))) == 1
