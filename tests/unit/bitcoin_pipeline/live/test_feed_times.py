"""The live feed with times and frames that prove too much: clocks that jump, frames that are held, long absences.

In the drawings `f` is a frame with one trade, `|` a minute's end at 60, `K` the closed kline, `x` a broken connection,
`<` a fresh one. Times are seconds.
"""

from __future__ import annotations

from uuid import UUID

from bitcoin_pipeline.live.symbol_feed import Stage
from tests.support.feeds import BASE_MS, World, live_world, restarted


# (REST's time 2 h ahead, no frame) | x ...       the connection proves by its pings only what the right time allows
def test_what_a_wrong_time_proved_is_forgotten() -> None:
    world = World(start=30.0)
    world.sends_klines = world.rest_has_klines = False
    world.rest_off_ms = 7_200_000
    world.connect()
    world.until(36.0)
    world.rest_off_ms = 0
    world.until(90.0)
    world.trade()
    world.until(110.0)
    assert world.take("heartbeat")[-1].startswith("heartbeat 10")
    world.answers_pings = world.answers_rest = False
    world.trade(lost=True)
    world.until(119.9)
    world.take()
    world.until(126.0)
    assert world.take("minute") == []


# f f x(REST's time is awaited) < f       the time is asked for again on the next connection
def test_a_time_that_is_answered_after_the_connection_s_end_is_awaited_no_more() -> None:
    world = World(start=30.0)
    world.holds_times = True
    world.connect()
    world.until(31.0)
    world.disconnect()
    world.until(31.5)
    world.release_times()
    world.holds_times = False
    world.connect()
    world.until(36.0)
    assert world.stages() == {"BTCUSDT": Stage.LIVE}


# f K f(4 minutes ahead) ? x < R      the hole begins at the clock and not at the odd time
def test_a_trade_ahead_of_the_clock_hides_no_loss() -> None:
    world = live_world()
    world.sends_klines = world.rest_has_klines = False
    world.trade()
    world.until(40.0)
    world.frame("BTC", {**world.trade(lost=True), "T": BASE_MS + 280_000, "i": str(UUID(int=77))})
    world.until(41.0)
    world.trade(lost=True)
    world.disconnect()
    world.reach = 1
    world.until(45.0)
    world.trade(lost=True)
    world.until(46.0)
    world.connect()
    world.until(70.0)
    assert [text for text in world.take("gap") if text.startswith("gap opened BTC 40.")]


# x ......... an hour          one gap, however long the connection is away
def test_an_hour_without_a_connection_is_one_gap() -> None:
    world = live_world()
    world.trade()
    world.until(100.0)
    world.take()
    world.disconnect()
    world.until(3800.0)
    assert world.take("gap") == ["gap opened BTC 60.000-"]
    world.connect()
    world.until(3830.0)
    assert world.take("gap") == ["gap opened BTC 60.000-3800.250"]


# f x(the time is not known yet) < f     frames of the first connection prove nothing on the second one
def test_frames_that_were_held_do_not_join_the_next_connection_to_rest_s_page() -> None:
    world = live_world()
    world.trade()
    again = restarted(world, 40.0)
    again.sends_klines = again.rest_has_klines = False
    again.holds_times = True
    again.until(40.0)
    again.connect()
    again.trade()
    again.until(40.5)
    again.disconnect()
    again.trade(lost=True)
    again.rest_lag_ms = 3000
    again.until(41.0)
    again.connect()
    for second in (41.1, 41.6):
        again.until(second)
        again.trade()
    again.until(43.6)
    assert again.stages() == {"BTCUSDT": Stage.CATCHING_UP}
    again.until(47.0)
    assert again.take("trade") == ["trade BTC 4", "trade BTC 5", "trade BTC 2", "trade BTC 3"]


# f (killed) ... < (REST's time half an hour ahead, no frame)    pings by that time do not prove the open minute
def test_a_time_that_rest_alone_has_shown_closes_no_minute_with_trades() -> None:
    world = live_world()
    world.trade()
    again = restarted(world, 40.0)
    again.sends_klines = again.rest_has_klines = False
    again.rest_off_ms = 1_800_000
    again.connect()
    again.until(58.0)
    assert again.take("minute") == []
    again.rest_off_ms = 0
    again.trade()
    again.until(67.0)
    assert again.take("minute") == ["minute BTC 0.000 2"]
