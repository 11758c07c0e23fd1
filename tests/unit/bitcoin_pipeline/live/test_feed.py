"""The live feed over its connections: starts, reconnects, restarts, unreadable messages, and figures.

In the drawings `f` is a frame with one trade, `|` a minute's end at 60, `K` the closed kline, `x` a broken connection,
`<` a fresh one. Times are seconds.
"""

from __future__ import annotations

import pytest

from bitcoin_pipeline.live.symbol_feed import Stage
from tests.support.feeds import BASE_MS, World, live_world, restarted

KINDS = ("trade", "minute", "gap")


# 30.0 <   31.0 f | K     trade 1, of 29.9, precedes the subscription: the kline shows it, and REST has it
def test_the_minute_of_a_first_start_is_whole_if_rest_reaches_back() -> None:
    world = World(start=29.9)
    world.trade(lost=True)
    world.until(30.0)
    world.connect()
    world.until(31.0)
    world.trade()
    world.until(60.05)
    world.trade()
    world.until(60.1)
    world.trade()
    assert world.take(*KINDS) == ["trade BTC 2", "trade BTC 3", "trade BTC 4"]
    world.until(61.0)
    assert world.take(*KINDS) == ["trade BTC 1000000", "trade BTC 1", "minute BTC 0.000 3 confirmed"]


# as before, and REST lists the last trades only
def test_the_minute_of_a_first_start_is_partial_if_rest_does_not_reach_back() -> None:
    world = World(start=29.9)
    world.reach = 3
    world.trade(lost=True)
    world.until(30.0)
    world.connect()
    for second in (31.0, 60.05, 60.1):
        world.until(second)
        world.trade()
    world.until(61.0)
    assert world.take("gap", "minute") == ["gap opened BTC 0.000-59.999", "minute BTC 0.000 1"]


# without klines, a first start has a gap from its minute's start to the subscription
def test_without_klines_a_first_start_has_a_gap_before_its_subscription() -> None:
    world = World(start=30.0)
    world.sends_klines = world.rest_has_klines = False
    world.refused_klines = {"BTC"}
    world.connect()
    for second in (31.0, 60.05):
        world.until(second)
        world.trade()
    world.until(62.0)
    assert world.take("gap", "minute") == ["gap opened BTC 0.000-31.250", "minute BTC 0.000 1"]


# f   p(not answered) ................ 10 s: disconnected
def test_a_half_open_connection_is_left() -> None:
    world = live_world()
    world.trade()
    world.until(34.2)
    world.answers_pings = False
    world.until(50.0)
    assert world.reports[-2:] == ["disconnecting: a ping was not answered", "disconnected"]
    assert world.stages() == {"BTCUSDT": Stage.WAITING}


# f f f (killed) ? < f | K      the trades of the topic are known by id, the missed one is sent
def test_a_restart_goes_on_from_the_topic() -> None:
    world = live_world()
    for second in (34.0, 34.4, 34.6):
        world.until(second)
        world.trade()
    again = restarted(world, 36.0)
    again.until(35.0)
    again.trade(lost=True)
    again.until(36.0)
    again.connect()
    again.until(39.0)
    assert again.take(*KINDS) == ["trade BTC 4"]
    again.until(61.0)
    assert again.take(*KINDS) == ["minute BTC 0.000 4 confirmed"]


# f (killed) | ? | ? < ...      REST's klines show which minutes were missed, and its trades fill them
def test_a_restart_after_minutes_closes_each_of_them() -> None:
    world = live_world()
    world.until(34.0)
    world.trade()
    again = restarted(world, 150.0)
    for second in (70.0, 130.0):
        again.until(second)
        again.trade(lost=True)
    again.until(150.0)
    again.connect()
    again.until(155.0)
    assert again.take(*KINDS) == [
        "trade BTC 2",
        "trade BTC 3",
        "minute BTC 0.000 1 confirmed",
        "minute BTC 60.000 1 confirmed",
    ]
    assert [text for text in again.asked if "klines" in text] == ["BTC klines 0.000"]


# as before, and REST lists the last trade only: one gap over all that was missed
def test_a_restart_beyond_rest_s_reach_opens_one_gap_for_all_minutes() -> None:
    world = live_world()
    world.until(34.0)
    world.trade()
    again = restarted(world, 250.0)
    again.reach = 2
    for second in (50.0, 70.0, 130.0, 230.0, 240.0, 245.0):
        again.until(second)
        again.trade(lost=True)
    again.until(250.0)
    again.connect()
    again.until(330.0)
    assert again.take(*KINDS) == [
        "trade BTC 6",
        "trade BTC 7",
        "gap opened BTC 0.000-239.999",
        "minute BTC 0.000 1",
        "minute BTC 240.000 2 confirmed",
    ]


# killed after x: the open gap of the dead worker is closed by the next one, once the kline agrees
def test_a_gap_of_a_dead_worker_is_closed_if_its_minute_is_whole() -> None:
    world = live_world()
    world.reach = 1
    world.until(35.0)
    world.trade()
    world.until(36.0)
    world.trade(lost=True)
    for second in (60.05, 60.1):
        world.until(second)
        world.trade()
    world.until(61.0)
    assert world.take("gap") == ["gap opened BTC 0.000-59.999"]
    again = restarted(world, 65.0)
    again.until(65.0)
    again.connect()
    again.until(75.0)
    assert again.take(*KINDS) == ["trade BTC 2", "minute BTC 0.000 2 confirmed", "gap closed BTC 0.000-59.999"]


# ETH was received by the worker before and is no longer wanted
def test_a_symbol_that_is_dropped_from_the_list_has_a_gap() -> None:
    world = live_world("BTC", "ETH")
    world.until(34.0)
    world.trade("ETH")
    again = World("BTC", start=40.0, tail=world.tail(), token="w2")  # noqa: S106  # no secret
    again.connect()
    again.until(45.0)
    assert again.take("gap") == ["gap opened ETH 0.000-"]
    once_more = World("BTC", start=50.0, tail=again.tail(), token="w3")  # noqa: S106  # no secret
    once_more.connect()
    once_more.until(55.0)
    assert once_more.take("gap") == []


# x ............ < R K       one gap that grows, ends at the return, and is closed by the klines
def test_a_feed_that_is_away_has_one_gap() -> None:
    world = live_world()
    world.until(34.0)
    world.trade()
    world.disconnect()
    world.take()
    for second in (50.0, 100.0, 160.0):
        world.until(second)
        world.trade(lost=True)
    assert world.take("gap") == ["gap opened BTC 34.000-"]
    world.until(170.0)
    world.connect()
    world.until(171.0)
    assert world.take("trade", "gap") == ["trade BTC 2", "trade BTC 3", "trade BTC 4"]
    world.until(180.0)
    assert world.take(*KINDS) == [
        "minute BTC 0.000 2 confirmed",
        "minute BTC 60.000 1 confirmed",
        "gap opened BTC 34.000-170.250",
    ]
    world.until(181.0)
    assert world.take(*KINDS) == ["minute BTC 120.000 1 confirmed", "gap closed BTC 34.000-170.250"]


# ETH is refused:   BTC f f f | f f f    BTC goes on; ETH has one gap, however long it lasts
def test_a_refused_symbol_has_one_gap_and_the_others_go_on() -> None:
    world = World("BTC", "ETH", start=58.0)
    world.refused = {"ETH"}
    world.connect()
    for tenth in range(580, 4250, 2):
        world.until(tenth / 10)
        world.trade("BTC")
    sent = world.take("gap", "minute")
    assert [text for text in sent if "ETH" in text] == ["gap opened ETH 60.000-"]
    assert len([text for text in sent if text.endswith(" confirmed")]) == 7
    assert "refused ETHUSDT" in world.reports


def test_a_symbol_that_the_exchange_has_closed_has_ended_and_has_no_gap() -> None:
    world = World("BTC", "ETH", start=58.0)
    world.refused, world.status = {"ETH"}, "Closed"
    world.connect()
    world.until(200.0)
    assert world.take("gap") == []
    assert world.stages()["ETHUSDT"] is Stage.ENDED
    assert world.reports.count("symbol has ended ETHUSDT") == 1


# f  garbage(hides a trade)  f
def test_what_garbage_hides_is_caught_up_with() -> None:
    world = live_world()
    world.trade()
    world.until(34.0)
    world.trade(lost=True)
    world.receive('{"topic":"publicTrade.BTCUSDT","type":"snap')
    world.take()
    assert world.stages() == {"BTCUSDT": Stage.CATCHING_UP}
    world.until(34.1)
    world.trade()
    world.until(36.0)
    assert sorted(world.take("trade")) == ["trade BTC 2", "trade BTC 3"]
    assert world.dead[0]["reason"].startswith("not JSON")
    assert world.stages() == {"BTCUSDT": Stage.LIVE}


def test_an_unexpected_message_disturbs_nothing() -> None:
    world = live_world()
    world.receive('{"topic":"tickers.BTCUSDT","data":{}}')
    assert world.stages() == {"BTCUSDT": Stage.LIVE}
    assert [letter["reason"] for letter in world.dead] == ["a message of no expected kind"]


def test_a_lone_surrogate_stops_nothing() -> None:
    world = live_world()
    world.receive('"\\ud800"')
    world.trade(p="\ud800")
    assert [letter["record"][:9] for letter in world.dead] == ['"\\ud800"', '{"T": 178']


# REST's time is two hours ahead, once or for good: frames uphold the clock
@pytest.mark.parametrize("seconds", [31, 600])
def test_a_wrong_time_of_rest_moves_nothing(seconds: int) -> None:
    world = live_world()
    world.rest_off_ms = 7_200_000
    for second in range(34, 34 + seconds):
        world.until(float(second))
        world.trade()
    world.rest_off_ms = 0
    world.until(34.0 + seconds + 60)
    assert world.dead == []
    assert world.take("gap") == []


def test_a_wrong_time_at_the_start_moves_nothing() -> None:
    world = World(start=30.0)
    world.rest_off_ms = 7_200_000
    world.connect()
    for second in (31, 32, 33, 34, 60.05, 60.1):
        world.until(float(second))
        world.trade()
    world.until(62.0)
    assert world.take("minute", "gap") == ["minute BTC 0.000 5 confirmed"]


def test_a_first_frame_from_the_future_moves_nothing() -> None:
    world = World(start=30.0)
    world.connect()
    item = world.trade(lost=True, T=BASE_MS + 86_400_000 * 365)
    world.traded["BTC"].remove(item)
    world.frame("BTC", item, sent=86_400.0 * 365)
    for second in (31.0, 32.0, 60.05):
        world.until(second)
        world.trade()
    world.until(61.0)
    assert [letter["reason"] for letter in world.dead] == ["from_the_future"]
    assert world.take(*KINDS)[-1] == "minute BTC 0.000 3 confirmed"


def test_reconnecting_takes_longer_each_time_and_anew_after_a_heartbeat() -> None:
    world = World()
    assert [world.feed.disconnected("refused", world.clock())[0] for _ in range(8)] == [
        seconds * 1_000_000 for seconds in (1, 2, 4, 8, 16, 32, 60, 60)
    ]
    world.connect()
    world.until(34.0)
    assert world.feed.disconnected("broken", world.clock())[0] == 1_000_000


@pytest.mark.parametrize("start", [30.0, 59.0])
def test_lag_and_age(start: float) -> None:
    world = live_world(start=start)
    world.trade()
    world.until(start + 4)
    lag_ms = world.state().lag_ms
    assert lag_ms is not None
    assert 0 <= lag_ms < 2000
    age_us = world.state().heartbeat_age_us
    assert age_us is not None
    assert age_us < 2_000_000


def test_many_symbols_are_asked_about_at_the_permitted_pace() -> None:
    names = [f"S{number}" for number in range(100)]
    world = live_world(*names)
    world.disconnect()
    world.until(34.0)
    world.connect()
    for tenth in range(341, 441):
        world.until(tenth / 10)
    times = [float(text.split()[1]) for text in world.asked]
    assert max(sum(1 for other in times if time <= other < time + 1) for time in times) <= 20
    assert world.take("gap") == []
