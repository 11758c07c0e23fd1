"""Trades on their way to the topic: sent once, and rejected where they cannot be sent. Times are seconds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bitcoin_pipeline.bybit.exchange_clock import ExchangeClock
from bitcoin_pipeline.bybit.frames import parse_trade
from bitcoin_pipeline.bybit.session_times import SessionTimes
from bitcoin_pipeline.live.account import Account
from bitcoin_pipeline.live.actions import DeadLetter
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.records import dead_letter_record
from bitcoin_pipeline.live.sent_minutes import SentMinutes
from bitcoin_pipeline.live.trade_sender import TradeSender
from bitcoin_pipeline.times import Instant
from tests.support.feeds import BASE_MS, World, live_world

HOUR_MS = 3_600_000
MEGABYTE = 1_000_000


def reasons(world: World) -> list[str]:
    return [letter["reason"] for letter in world.dead]


def test_a_trade_from_the_future_is_rejected_and_its_minute_waits_for_the_kline() -> None:
    world = live_world()
    item = world.trade(lost=True, T=BASE_MS + 48 * HOUR_MS)
    world.traded["BTC"].remove(item)
    world.frame("BTC", item)
    for second in (34.0, 60.05, 60.1):
        world.until(second)
        world.trade()
    world.until(61.0)
    assert reasons(world) == ["from_the_future"]
    assert world.take("trade", "minute", "gap") == [
        *(f"trade BTC {number}" for number in (2, 3, 4)),
        "minute BTC 0.000 1 confirmed",
    ]
    assert world.state().counts["future"] == 1


def test_a_trade_from_the_future_makes_its_arrival_s_minute_partial_without_a_kline() -> None:
    world = live_world()
    world.sends_klines = world.rest_has_klines = False
    item = world.trade(lost=True, T=BASE_MS + 48 * HOUR_MS)
    world.traded["BTC"].remove(item)
    world.frame("BTC", item)
    for second in (34.0, 60.05):
        world.until(second)
        world.trade()
    world.until(67.0)
    assert world.take("minute", "gap") == ["gap opened BTC 33.000-33.000", "minute BTC 0.000 1"]


@pytest.mark.parametrize("behind_ms", [HOUR_MS, 8 * 24 * HOUR_MS, BASE_MS + 33_000 - 1])
def test_a_trade_that_is_far_behind_is_rejected(behind_ms: int) -> None:
    world = live_world()
    item = world.trade(lost=True, T=BASE_MS + 33_000 - behind_ms)
    world.traded["BTC"].remove(item)
    world.frame("BTC", item)
    for second in (34.0, 60.05, 60.1):
        world.until(second)
        world.trade()
    world.until(130.0)
    assert reasons(world) == ["more_than_50_minutes_late"]
    sent = world.take("minute", "gap")
    assert [text for text in sent if text.startswith("minute")] == [
        "minute BTC 0.000 1 confirmed",
        "minute BTC 60.000 2 confirmed",
    ]
    # A real late trade is missing in its candle; a time before the topic's retention is no real one.
    gaps = [text for text in sent if text.startswith("gap")]
    assert gaps == (["gap opened BTC -3567.000--3567.000"] if behind_ms == HOUR_MS else [])


def test_an_id_with_other_content_is_rejected_and_makes_nothing_partial() -> None:
    world = live_world()
    world.until(34.0)
    item = world.trade()
    world.frame("BTC", {**item, "p": "1"})
    for second in (60.05, 60.1):
        world.until(second)
        world.trade()
    world.until(61.0)
    assert reasons(world) == ["id_with_other_content"]
    assert world.take("minute", "gap") == ["minute BTC 0.000 1 confirmed"]


def test_another_seq_is_no_other_content() -> None:
    world = live_world()
    item = world.trade()
    world.frame("BTC", {**item, "seq": 0})
    assert reasons(world) == []
    assert world.state().counts["duplicates"] == 1


@pytest.mark.parametrize("seq", ["seven", None, 7001.0, -1])
def test_a_seq_of_another_form_is_reported_once(seq: Any) -> None:
    world = live_world()
    for _ in range(3):
        world.frame("BTC", {**world.trade(lost=True), "seq": seq})
    assert world.take("trade") == [f"trade BTC {number}" for number in (1, 2, 3)]
    assert world.reports.count("seq of another form BTCUSDT") == 1
    assert reasons(world) == []


def deep(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize("price", ["9" * 1_200_000, "\x00" * 1_200_000, "\ud800" * 1_200_000, '"' * 1_200_000])
def test_no_dead_letter_is_too_large_for_the_broker(price: str) -> None:
    world = live_world()
    world.frame("BTC", {**world.trade(lost=True), "p": price})
    assert len(world.dead) == 1
    assert len(dead_letter_record(price, price)) < MEGABYTE


def test_an_item_that_is_nested_too_deeply_stops_nothing() -> None:
    times, clock = FeedTimes(), ExchangeClock(SessionTimes(rest_alone_us=0))
    clock.start(Instant(0))
    for _ in range(2):
        clock.answer(BASE_MS * 1000, Instant(0), Instant(0))
    sender = TradeSender("BTCUSDT", SentMinutes(), Account(times), clock, times)
    [letter] = sender.send([parse_trade("BTCUSDT", {"T": BASE_MS, "p": deep(100_000)})], Instant(0))
    assert isinstance(letter, DeadLetter)
    assert json.loads(letter.record)["record"] == "an item that JSON cannot hold: RecursionError"
