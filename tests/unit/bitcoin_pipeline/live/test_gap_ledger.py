"""The ledger of one symbol's gaps: which are opened, ended and closed. Times are seconds after a minute's start."""

from __future__ import annotations

import json
from typing import Any

from bitcoin_pipeline.live.actions import Action, Publish
from bitcoin_pipeline.live.gap_ledger import GapLedger
from bitcoin_pipeline.live.records import Gap, GapState
from bitcoin_pipeline.live.sent_minutes import SentMinutes, Verdict
from bitcoin_pipeline.times import MS_US, SECOND_US
from tests.support.feeds import BASE_MS

MINUTE_0_US = BASE_MS * MS_US


def at(second: float) -> int:
    return MINUTE_0_US + round(second * SECOND_US)


def recorded(actions: list[Action]) -> list[tuple[str, float, float | None]]:
    """State, start and end of each gap record."""
    records: list[dict[str, Any]] = [
        json.loads(record) for action in actions if isinstance(action, Publish) for record in action.records
    ]
    return [
        (
            record["state"],
            (record["from"] - MINUTE_0_US) / SECOND_US,
            None if record["to"] is None else (record["to"] - MINUTE_0_US) / SECOND_US,
        )
        for record in records
    ]


def whole(minutes: SentMinutes, *opened: float) -> None:
    for second in opened:
        minutes.of(at(second)).verdict = Verdict.PROVEN


def test_a_gap_over_many_minutes_is_one_and_is_closed_when_each_of_them_is_whole() -> None:
    minutes = SentMinutes()
    ledger = GapLedger("BTCUSDT", "w1", {}, minutes)
    assert recorded(ledger.open(at(50.0), at(130.0))) == [("opened", 50.0, 130.0)]
    assert [ledger.touches(at(second)) for second in (-60, 0, 60, 120, 180)] == [False, True, True, True, False]
    whole(minutes, 0, 60)
    assert recorded(ledger.close()) == []
    minutes.of(at(120)).verdict = Verdict.LOST
    assert recorded(ledger.close()) == []
    whole(minutes, 120)
    assert recorded(ledger.close()) == [("closed", 50.0, 130.0)]
    assert not ledger.touches(at(60))


def test_a_growing_gap_touches_its_first_minute_until_it_has_an_end() -> None:
    minutes = SentMinutes()
    ledger = GapLedger("BTCUSDT", "w1", {}, minutes)
    ledger.open(at(50.0), None)
    assert [ledger.touches(at(second)) for second in (0, 60)] == [True, False]
    whole(minutes, 0)
    assert recorded(ledger.close()) == []
    assert recorded(ledger.end(at(70.0))) == [("opened", 50.0, 70.0)]
    assert ledger.end(at(90.0)) == []  # an end is set once
    assert [ledger.touches(at(second)) for second in (0, 60)] == [True, True]


def test_a_growing_gap_whose_minutes_are_whole_is_closed_at_its_end() -> None:
    minutes = SentMinutes()
    ledger = GapLedger("BTCUSDT", "w1", {}, minutes)
    ledger.open(at(50.0), None)
    whole(minutes, 0, 60)
    assert recorded(ledger.end(at(70.0))) == [("opened", 50.0, 70.0), ("closed", 50.0, 70.0)]


def test_gaps_have_ids_of_their_own() -> None:
    ledger = GapLedger("BTCUSDT", "w1", {}, SentMinutes())
    actions = ledger.open(at(1), at(1)) + ledger.open(at(1), at(1))
    texts = [action.records[0] for action in actions if isinstance(action, Publish)]
    assert [json.loads(text)["gap_id"] for text in texts] == [
        "BTCUSDT-2026-08-09T21:26:01Z-w1-1",
        "BTCUSDT-2026-08-09T21:26:01Z-w1-2",
    ]
    assert ledger.opened == 2


def test_a_gap_of_an_earlier_worker_is_closed_when_its_minute_is_whole() -> None:
    gap, minutes = Gap("g", "BTCUSDT", at(10.0), at(20.0), GapState.OPENED), SentMinutes()
    ledger = GapLedger("BTCUSDT", "w2", {"g": gap}, minutes)
    whole(minutes, 0)
    assert recorded(ledger.close()) == [("closed", 10.0, 20.0)]


def test_a_growing_gap_of_an_earlier_worker_is_not_ended_before_it_is_closed() -> None:
    gap, minutes = Gap("g", "BTCUSDT", at(10.0), None, GapState.OPENED), SentMinutes()
    ledger = GapLedger("BTCUSDT", "w2", {"g": gap}, minutes)
    assert ledger.growing == gap
    assert ledger.end(at(70.0)) == []
    assert ledger.growing is None
    assert [ledger.touches(at(second)) for second in (0, 60)] == [True, False]
    whole(minutes, 0)
    assert ledger.close() == []
    whole(minutes, 60)
    assert ledger.close() == []  # its worker may be alive and end it itself
    assert recorded(ledger.take_over()) == [("closed", 10.0, 70.0)]
    assert ledger.take_over() == []


def test_a_gap_too_old_to_be_filled_is_released_and_stays_open_in_the_topic() -> None:
    minutes = SentMinutes()
    ledger = GapLedger("BTCUSDT", "w1", {}, minutes)
    ledger.open(at(10.0), at(20.0))
    ledger.forget(at(30.0))
    whole(minutes, 0)
    assert ledger.close() == []
