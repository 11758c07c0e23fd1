"""Heartbeats: when they are sent, and what they state. Times are seconds."""

from __future__ import annotations

from bitcoin_pipeline.times import Instant
from tests.support.feeds import BASE_MS, World, last_heartbeat, live_world


# f(33.5) f(33.5, the same T)   the heartbeat after the first proves 33.499: the second may still come
def test_a_frame_proves_up_to_the_millisecond_before_its_last_trade() -> None:
    world = live_world()
    for second in (33.4, 33.8, 34.2, 34.6, 35.0, 35.4):
        world.until(second)
        world.take()
        world.trade()
    world.until(36.5)
    beats = world.take("heartbeat")
    assert beats
    assert beats[0] == "heartbeat 35.399 BTC"


def test_a_silent_market_is_proven_by_pings() -> None:
    world = live_world()
    world.until(38.0)
    assert 35.0 < float(last_heartbeat(world).split()[1]) < 37.8


# f(T = 2 hours ahead)         it moves no heartbeat
def test_an_absurd_time_moves_nothing() -> None:
    world = live_world()
    world.trade(T=BASE_MS + 7_200_000)
    world.until(40.0)
    assert all(float(text.split()[1]) < 40 for text in world.take("heartbeat"))


def test_a_frame_of_a_wrong_time_proves_nothing_beyond_the_clock() -> None:
    world = live_world()
    world.until(34.0)
    before = world.clock
    world.clock = lambda: Instant(before() - 900_000)  # type: ignore[method-assign]
    world.now_ms += 900
    world.trade()  # 0.9 s ahead of the clock
    world.clock = before  # type: ignore[method-assign]
    world.now_ms -= 900
    world.until(34.4)
    assert all(float(text.split()[1]) < 34.4 for text in world.take("heartbeat"))


def test_a_heartbeat_names_the_live_symbols() -> None:
    world = World("BTC", "ETH", start=30.0)
    world.refused = {"ETH"}
    world.connect()
    world.until(36.0)
    assert last_heartbeat(world).split()[2:] == ["BTC"]
    world.refused = set()
    world.until(100.0)
    assert last_heartbeat(world).split()[2:] == ["BTC", "ETH"]


def test_one_a_second() -> None:
    world = live_world()
    world.take()
    world.until(43.0)
    assert 9 <= len(world.take("heartbeat")) <= 10
