"""The live feed over its connections: starts, reconnects, restarts, unreadable messages, and figures.

In the drawings `f` is a frame with one trade, `p` a ping that is answered, `|` a minute's end at 60, `!` a heartbeat,
`x` a broken connection, `<` a fresh one. Times are seconds.
"""

from __future__ import annotations

import pytest

from bitcoin_pipeline.live.symbol_feed import Stage
from tests.support.feeds import World, last_heartbeat, live_world


# 30.0 <   31.0 f(trade 2)     trade 1, of 29.9, precedes the subscription
# The first minute was not heard from its start, so it is partial.
def test_a_first_start_sends_nothing_older_and_records_a_gap_of_its_minute() -> None:
    world = World(start=29.9)
    world.trade(lost=True)
    world.until(30.0)
    world.connect()
    world.until(31.0)
    world.trade()
    world.until(32.0)
    sent = world.take()
    assert sent[0] == "gap opened BTC 0.000-30.050"
    assert [text for text in sent if text.startswith("trade")] == ["trade BTC 2"]
    assert world.events == ["gap.opened BTC"]


# 59.9 <  first frame 59.95  |  REST answers only at 60.2: the frame proves a subscription before the minute's end
def test_the_first_frame_proves_that_the_subscription_was_on() -> None:
    world = World(start=59.9)
    world.answers_rest = False
    world.connect()
    world.until(59.95)
    world.trade()
    world.until(60.2)
    world.answers_rest = True
    world.until(63.0)
    assert world.take("gap") == ["gap opened BTC 0.000-59.950"]


# f   p(not answered) ................ 10 s: disconnected, no heartbeat in between
def test_a_half_open_connection_proves_nothing_and_is_left() -> None:
    world = live_world()
    world.trade()
    world.until(34.2)
    world.take()
    world.answers_pings = False
    world.until(50.0)
    assert world.take("heartbeat") == []
    assert world.reports[-2:] == ["disconnecting: a ping was not answered", "disconnected"]
    assert world.stages() == {"BTCUSDT": Stage.WAITING}


# a new worker on the topic of a killed one: the ids since the last heartbeat are known, the missed trade is sent
def test_a_restart_goes_on_from_the_topic() -> None:
    world = live_world()
    for second in (34.0, 34.4, 34.6):
        world.until(second)
        world.trade()
    tail = world.tail()
    assert tail.proven_us("BTCUSDT") is not None
    again = World(start=36.0, tail=tail)
    again.traded = world.traded
    again.number = world.number
    again.now_ms = 35_000
    again.trade(lost=True)
    again.until(36.0)
    again.connect()
    again.until(38.0)
    assert again.take("trade", "gap") == ["trade BTC 4"]
    assert again.take() == []
    again.until(39.0)
    assert last_heartbeat(again).endswith("BTC")


# f  garbage(hides a trade)  f     the garbage may have been trades: nothing is proven before REST has answered
def test_what_garbage_hides_is_caught_up_with() -> None:
    world = live_world()
    world.trade()
    world.until(34.0)
    world.trade(lost=True)
    world.receive('{"topic":"publicTrade.BTCUSDT","type":"snap')
    world.take()
    world.until(34.1)
    assert world.stages() == {"BTCUSDT": Stage.CATCHING_UP}
    world.trade()
    world.until(35.5)
    assert world.take()[:2] == ["trade BTC 2", "trade BTC 3"]
    assert world.dead[0]["reason"].startswith("not JSON")
    assert world.stages() == {"BTCUSDT": Stage.LIVE}


def test_an_unexpected_message_disturbs_nothing() -> None:
    world = live_world()
    world.receive('{"topic":"tickers.BTCUSDT","data":{}}')
    assert world.stages() == {"BTCUSDT": Stage.LIVE}
    assert [letter["reason"] for letter in world.dead] == ["a message of no expected kind"]


def test_reconnecting_takes_longer_each_time_and_anew_after_a_heartbeat() -> None:
    world = World()
    assert [world.feed.disconnected("refused")[0] for _ in range(8)] == [
        seconds * 1_000_000 for seconds in (1, 2, 4, 8, 16, 32, 60, 60)
    ]
    world.connect()
    world.until(34.0)
    assert world.feed.disconnected("broken")[0] == 1_000_000


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
