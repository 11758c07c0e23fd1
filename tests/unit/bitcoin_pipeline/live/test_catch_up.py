"""Catch-up: what was traded while a symbol was not received is found, or becomes a gap.

In the drawings `f` is a frame with one trade, `p` a ping that is answered, `|` a minute's end at 60, `!` a heartbeat,
`x` a broken connection, `<` a fresh one. Times are seconds.
"""

from __future__ import annotations

from uuid import UUID

from bitcoin_pipeline.bybit.frames import PlainTrade
from bitcoin_pipeline.live.actions import AskRecentTrades
from bitcoin_pipeline.live.catch_up import CatchUp
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.symbol_feed import Stage
from bitcoin_pipeline.times import MS_US, SECOND_US, Instant
from tests.support.feeds import BASE_MS, World, last_heartbeat, live_world


# f f x  (two trades)  <  REST reaches back: both are sent, nothing is missing, no gap
def test_a_disconnect_within_rest_s_reach_leaves_no_trace() -> None:
    world = live_world()
    for second in (33.5, 34.0, 34.5, 35.0, 35.5):
        world.until(second)
        world.trade()
    world.disconnect()
    world.until(36.0)
    world.trade()
    world.until(37.0)
    world.trade()
    world.take()
    world.until(38.0)
    world.connect()
    assert world.take() == []
    world.until(38.2)
    world.trade()
    world.until(41.0)
    assert world.take("trade", "gap") == ["trade BTC 6", "trade BTC 7", "trade BTC 8"]


# f x | (30 trades)  <         REST serves the last 10 only: the gaps of the minutes that lack a part precede the trades
def test_a_disconnect_beyond_rest_s_reach_is_a_gap() -> None:
    world = live_world(start=50.0)
    world.until(118.0)
    world.trade()
    world.until(118.3)
    world.reach = 10
    proven = last_heartbeat(world)
    world.disconnect()
    for tenth in range(30):
        world.until(119.0 + tenth / 10)
        world.trade()
    world.until(122.5)
    world.connect()
    world.until(125.0)
    assert proven == "heartbeat 117.999 BTC"
    # 10 trades from 121.0 on; one more of 121.0 itself may have been cut off.
    assert world.take("gap", "trade") == [
        "gap opened BTC 118.000-120.000",
        "gap opened BTC 120.000-121.000",
        *(f"trade BTC {number}" for number in range(22, 32)),
    ]


# x <  REST is asked at once, and again until its page holds the first trade that came over the socket
def test_the_page_has_to_meet_the_first_buffered_trade() -> None:
    world = live_world()
    world.trade()
    world.disconnect()
    world.until(34.0)
    missed = world.trade()
    known = world.traded["BTC"]
    known.remove(missed)  # REST is behind
    world.until(35.0)
    world.connect()
    world.until(35.1)
    buffered = world.trade()
    known.remove(buffered)
    world.take()
    world.asked.clear()
    world.until(35.6)
    assert world.take("trade", "heartbeat") == []
    known += [missed, buffered]
    world.until(36.0)
    assert world.take("trade") == ["trade BTC 2", "trade BTC 3"]
    # At once (taken away above), a second after the answer, and then every 200 ms.
    assert world.asked == ["BTC 36.000"]


# < (an item that is no object waits in the buffer)
def test_an_item_that_is_no_trade_disturbs_no_catch_up() -> None:
    world = World()  # in its first minute, so that they lie in a gap
    world.connect()
    world.until(33.0)
    world.disconnect()
    world.connect()
    item = world.trade(lost=True)
    world.frame("BTC", item, None, 7, {"T": item["T"]}, {**item, "i": []})
    world.until(37.0)
    assert world.take("trade") == ["trade BTC 1000000", "trade BTC 1"]
    assert len(world.dead) == 4


# x ...... 2 hours away ...... <  nothing passed over it meanwhile, and REST reaches back: all is sent
def test_a_long_outage_of_a_quiet_market_leaves_no_gap() -> None:
    world = live_world()
    world.trade()
    world.until(34.5)
    world.disconnect()
    world.now_ms += 7_200_000
    world.trade()
    world.take()
    world.connect()
    world.until(world.now_ms / 1000 + 3)
    assert world.take("trade", "gap") == ["trade BTC 2"]


# x < REST fails: after half a minute the catch-up ends in a gap, and the symbol goes live
def test_without_rest_the_catch_up_ends_in_a_gap() -> None:
    world = live_world()
    world.trade()
    world.until(35.0)
    world.disconnect()
    world.until(36.0)
    world.answers_rest = False
    world.connect()
    world.until(37.0)
    world.trade()
    world.until(65.9)
    assert world.take("trade", "gap") == ["trade BTC 1"]
    world.until(66.1)
    assert world.take("gap", "trade") == ["gap opened BTC 33.751-37.000", "trade BTC 2"]
    assert world.stages() == {"BTCUSDT": Stage.LIVE}


def test_too_much_waiting_for_a_catch_up_ends_the_connection() -> None:
    world = World(times=FeedTimes(buffered=3))
    world.connect()
    world.until(33.0)
    world.disconnect()
    world.answers_rest = False
    world.connect()
    for _ in range(4):
        world.trade()
    assert world.reports[-2:] == ["disconnecting: more than 3 trades of BTCUSDT wait for its catch-up", "disconnected"]


# The catch-up alone: the subscription was answered at the instant 0. Times are seconds.


def instant(second: float) -> Instant:
    return Instant(round(second * SECOND_US))


def trade(number: int) -> PlainTrade:
    """The trade of second `number` after BASE_MS."""
    time_us = BASE_MS * MS_US + number * SECOND_US
    return PlainTrade("BTCUSDT", str(UUID(int=number)), time_us, number, "Buy", "1", "1", "1")


def begun(*buffered: int) -> CatchUp:
    catch_up = CatchUp("BTCUSDT", FeedTimes())
    catch_up.begin(instant(0))
    catch_up.buffer += map(trade, buffered)
    return catch_up


def test_page_and_buffer_meet_in_a_common_trade() -> None:
    catch_up = begun(5, 6)
    assert catch_up.ask(instant(0)) == [AskRecentTrades("BTCUSDT", instant(0))]
    assert catch_up.ask(instant(0.1)) == []
    assert not catch_up.take_page([trade(2), trade(3)], instant(0), instant(0.1))
    assert catch_up.ask(instant(0.2)) == []
    assert catch_up.ask(instant(0.3)) == [AskRecentTrades("BTCUSDT", instant(0.3))]
    assert catch_up.take_page([trade(3), trade(4), trade(5)], instant(0.3), instant(0.4))
    assert catch_up.page == [trade(number) for number in (2, 3, 4, 5)]
    assert catch_up.reach_us == trade(2).time_us


def test_pages_with_trades_between_them_reach_back_to_the_later_one_only() -> None:
    catch_up = begun(5, 6)
    catch_up.ask(instant(0))
    catch_up.take_page([trade(1), trade(2)], instant(0), instant(0.1))
    catch_up.ask(instant(0.3))
    assert catch_up.take_page([trade(4), trade(5)], instant(0.3), instant(0.4))
    assert catch_up.reach_us == trade(4).time_us


def test_frames_from_before_the_answer_do_not_meet_a_page() -> None:
    catch_up = CatchUp("BTCUSDT", FeedTimes())
    catch_up.buffer.append(trade(5))
    catch_up.begin(instant(0))
    catch_up.ask(instant(0))
    assert not catch_up.take_page([trade(4), trade(5)], instant(0), instant(0.1))
    assert catch_up.ask(instant(0.9)) == []  # with nothing buffered, REST needs a second to have all
    assert catch_up.ask(instant(1)) != []
    assert catch_up.take_page([trade(4), trade(5)], instant(1), instant(1.1))


def test_an_answer_to_an_earlier_request_is_ignored() -> None:
    catch_up = begun(5)
    catch_up.ask(instant(0))
    catch_up.begin_again(instant(1))
    catch_up.ask(instant(1))
    assert not catch_up.take_page([trade(5)], instant(0), instant(1.1))
    assert catch_up.page == []
    catch_up.buffer.append(trade(6))
    assert catch_up.take_page([trade(5), trade(6)], instant(1), instant(1.2))


def test_it_gives_up_once_the_subscriptions_time_is_known() -> None:
    catch_up = begun()
    assert not catch_up.give_up(instant(31))
    catch_up.saw_server_time(trade(9).time_us, instant(0))
    assert not catch_up.give_up(instant(29.9))
    assert catch_up.give_up(instant(30))
    assert catch_up.reach_us == trade(9).time_us
