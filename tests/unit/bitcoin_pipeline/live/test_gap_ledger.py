"""Gaps: which are opened, widened and closed, and what is sent again into them.

In the drawings `f` is a frame with one trade, `p` a ping that is answered, `|` a minute's end at 60, `!` a heartbeat,
`x` a broken connection, `<` a fresh one. Times are seconds.
"""

from __future__ import annotations

import json
from typing import Any

from bitcoin_pipeline.live.actions import Action, Publish
from bitcoin_pipeline.live.gap_ledger import GapLedger
from bitcoin_pipeline.live.symbol_feed import Stage
from bitcoin_pipeline.times import MINUTE_US, MS_US, SECOND_US
from tests.support.feeds import BASE_MS, World, live_world


# 30 < f(30.05) ..... x <      the first minute is filled from REST: what it lacked, and nothing a second time
def test_a_first_minute_that_rest_still_knows_is_repaired() -> None:
    world = World(start=30.0)
    world.traded["BTC"][0]["T"] = BASE_MS - 1  # the minute before: REST reaches back past this one's start
    world.trade(lost=True)
    world.connect()
    world.now_ms += 20
    world.trade()
    world.until(36.0)
    assert world.take("trade", "gap") == ["gap opened BTC 0.000-30.020", "trade BTC 2"]
    world.disconnect()
    world.connect()
    world.until(39.0)
    assert world.take("trade", "gap") == ["trade BTC 1", "gap closed BTC 0.000-30.020"]
    assert world.events == ["gap.opened BTC", "gap.closed BTC"]


# 30 < x < x <                 REST does not reach the minute's start: what it gave the first time is not sent again
def test_a_first_minute_that_rest_knows_in_part_is_filled_once() -> None:
    world = World(start=30.0)
    world.connect()
    world.until(36.0)
    assert world.take("trade", "gap") == ["gap opened BTC 0.000-30.050"]
    for filled in (["trade BTC 1000000"], []):
        world.disconnect()
        world.connect()
        world.until(world.now_ms / 1000 + 5)
        assert world.take("trade", "gap") == filled


# 30 < f f f (first minute) x < .. what came live between two gaps of one minute is not sent again
def test_what_came_between_two_gaps_of_a_minute_is_not_sent_again() -> None:
    world = World("BTC", "ETH", start=10.0)
    world.connect()
    for second in range(12, 25):
        world.until(second)
        world.trade("ETH")
        world.trade("BTC")
    world.refused = {"ETH"}
    world.disconnect()
    world.connect()
    for second in range(26, 35):
        world.until(second)
        world.trade("ETH")
        world.trade("BTC")
    world.refused = set()
    world.until(50)
    world.trade("ETH")
    sent = [text for text in world.take() if text.startswith("trade ETH")]
    assert len(sent) == len(set(sent)) == 23


# ETH is lost for a minute, then accepted again, and REST still serves all of its trades: its gaps are closed
def test_a_symbol_that_comes_back_whole_closes_its_gaps() -> None:
    world = live_world("BTC", "ETH", start=50.0)
    world.trade("ETH")
    world.until(55.0)
    world.disconnect()
    world.refused = {"ETH"}
    world.take()
    world.connect()
    for second in range(56, 64):
        world.until(second)
        world.trade("BTC")
        world.trade("ETH")
    assert [text.split("-")[0] for text in world.take("gap")] == ["gap opened ETH 53.751", "gap opened ETH 60.000"]
    world.refused = set()
    for second in range(64, 90):
        world.until(second)
        world.trade("BTC")
        if world.stages()["ETHUSDT"] is Stage.LIVE:
            break
    world.trade("ETH")
    world.until(world.now_ms / 1000 + 3)
    sent = world.take()
    closed = [text for text in sent if text.startswith("gap closed")]
    assert [text.split()[2] for text in closed] == ["ETH", "ETH"]
    assert len([text for text in sent if text.startswith("trade ETH")]) == 9
    assert sent[-1].endswith("BTC ETH")
    # Every trade of a gap stands before the record that closes it.
    assert max(place for place, text in enumerate(sent) if text in closed) < len(sent) - 1


# ETH away for an hour while BTC goes on: what is more than 50 minutes behind the last heartbeat is not sent
def test_what_is_more_than_50_minutes_behind_is_a_gap() -> None:
    world = live_world("BTC", "ETH", start=0.0)
    world.until(5.0)
    world.disconnect()
    world.refused = {"ETH"}
    world.connect()
    for minute in range(62):
        world.until(10 + 60 * minute)
        world.trade("ETH")
        world.trade("BTC")
    sent = world.take("gap")
    # A gap that has become too old to be filled is recorded again, with its end.
    assert sent[:3] == ["gap opened ETH 3.001-", "gap opened ETH 60.000-", "gap opened ETH 120.000-"]
    assert [text for text in sent if not text.endswith("-")][-1] == "gap opened ETH 660.000-720.000"
    world.refused = set()
    world.until(3740)
    sent = world.take("gap", "trade")
    assert sent[:3] == ["gap opened ETH 3720.000-", "gap opened ETH 720.000-780.000", "trade ETH 27"]
    assert next(text for text in sent if "closed" in text) == "gap closed ETH 780.000-840.000"
    assert [text for text in sent if "trade" in text] == [f"trade ETH {number}" for number in range(27, 125, 2)]
    assert {text.split(" ")[1] for text in sent[sent.index("trade ETH 123") :]} == {"ETH", "closed"}


# The ledger alone. Times are seconds after MINUTE.

MINUTE_0_US = BASE_MS * MS_US


def at(second: float) -> int:
    return MINUTE_0_US + round(second * SECOND_US)


def ledger(accounted: float | None) -> GapLedger:
    return GapLedger("BTCUSDT", "w1", None if accounted is None else at(accounted), {})


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


def test_a_gap_over_a_minutes_end_is_two() -> None:
    gaps = ledger(58.0)
    assert recorded(gaps.lose_up_to(at(61.5))) == [("opened", 58.001, 60.0), ("opened", 60.0, 61.5)]
    assert gaps.accounted_us == at(58.0)
    assert [gaps.covers(at(second)) for second in (58.0, 58.001, 61.5, 61.501)] == [False, True, True, False]
    assert gaps.lose_up_to(at(58.0)) == []


def test_a_heartbeat_that_passes_over_opens_a_gap_without_an_end_once() -> None:
    gaps = ledger(10.0)
    assert recorded(gaps.pass_over(at(11.0))) == [("opened", 10.001, None)]
    assert recorded(gaps.pass_over(at(12.0))) == []
    assert gaps.accounted_us == at(12.0)
    assert gaps.covers(at(3600.0))


def test_a_catch_up_closes_what_it_reaches_and_ends_the_rest() -> None:
    gaps = ledger(50.0)
    gaps.pass_over(at(70.0))
    assert recorded(gaps.settle(at(55.0), at(0.0), at(71.0))) == [
        ("opened", 50.001, 55.0),
        ("closed", 60.0, 71.0),
    ]
    assert gaps.opened == 2


def test_a_rejected_trade_keeps_its_minutes_gap_open() -> None:
    gaps = ledger(50.0)
    assert recorded(gaps.reject(at(51.0))) == [("opened", 51.0, 51.0)]
    assert gaps.reject(at(52.0)) == []
    assert (gaps.covers(at(52.0)), gaps.is_doubtful(at(52.0))) == (False, True)
    assert recorded(gaps.settle(at(10.0), at(0.0), at(60.0))) == []


def test_records_in_open_gaps_are_kept_until_no_gap_is_open() -> None:
    gaps = ledger(50.0)
    gaps.lose_up_to(at(55.0))
    gaps.keep({"inside": b'{"time":%d}' % at(54.0), "after": b'{"time":%d}' % at(56.0)})
    assert set(gaps.kept_records) == {"inside"}
    assert gaps.forget(at(59.0)) == []
    assert gaps.kept_records == {}


def test_a_gap_too_old_to_be_filled_gets_its_minutes_end() -> None:
    gaps = ledger(50.0)
    gaps.pass_over(at(55.0))
    assert recorded(gaps.forget(MINUTE_0_US + MINUTE_US)) == [("opened", 50.001, 60.0)]
    assert not gaps.covers(at(55.0))


def test_what_was_wrongly_proven_is_retracted() -> None:
    gaps = ledger(50.0)
    gaps.prove(at(55.0))
    gaps.retract(at(52.0))
    assert gaps.accounted_us == at(52.0)
    gaps.retract(at(54.0))
    assert gaps.accounted_us == at(52.0)
