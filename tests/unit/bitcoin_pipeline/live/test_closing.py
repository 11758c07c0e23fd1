"""When a minute is closed: by the exchange's kline, by REST's recent trades, or by the connection's own proof.

In the drawings `f` is a frame with one trade, `?` a trade whose frame is lost, `K` the closed kline, `R` a request to
REST, `|` a minute's end, `x` a broken connection, `<` a fresh one. Times are seconds; the minute ends at 60.
"""

from __future__ import annotations

import pytest

from tests.support.feeds import BASE_MS, World, live_world

KINDS = ("trade", "minute", "gap")


def at(world: World, *seconds: float, lost: bool = False) -> None:
    """A trade at each of these seconds."""
    for second in seconds:
        world.until(second)
        world.trade(lost=lost)


# f f | f K        the record follows the minute's trades, as soon as the kline is there
def test_a_minute_whose_kline_agrees_is_confirmed_at_once() -> None:
    world = live_world()
    at(world, 40.0, 59.9, 60.05)
    world.until(60.19)
    assert world.take(*KINDS) == ["trade BTC 1", "trade BTC 2", "trade BTC 3"]
    world.until(60.2)
    assert world.take(*KINDS) == ["minute BTC 0.000 2 confirmed"]
    assert world.asked == []


def test_a_minute_without_trades_has_no_record() -> None:
    world = live_world()
    world.until(130.0)
    assert world.take(*KINDS) == []
    assert world.state().counts["confirmed"] >= 3


# f x ... < R f | K       a reconnect within the minute leaves no gap: the kline is the proof
def test_a_reconnect_in_a_confirmed_minute_opens_no_gap() -> None:
    world = live_world()
    at(world, 34.0)
    world.disconnect()
    at(world, 36.0, 37.0, lost=True)
    world.until(38.0)
    world.connect()
    at(world, 40.0)
    world.until(61.0)
    assert world.take(*KINDS) == [
        "trade BTC 1",
        "trade BTC 2",
        "trade BTC 3",
        "trade BTC 4",
        "minute BTC 0.000 4 confirmed",
    ]


# f ? ? f | f f K R        pings are answered all the while, and both neighbours of the silence came
def test_a_silence_within_a_minute_is_seen_and_filled() -> None:
    world = live_world()
    at(world, 34.0)
    at(world, 35.0, 36.0, lost=True)
    at(world, 37.0, 60.05, 60.1)
    world.take()
    world.until(60.45)
    assert world.take(*KINDS) == []  # late frames have their time
    world.until(60.55)
    assert world.take(*KINDS) == ["trade BTC 2", "trade BTC 3", "minute BTC 0.000 4 confirmed"]
    assert world.asked == ["BTC 60.500"]


# f | f K f(late)          the late frame makes the minute whole, and REST need not be asked
def test_a_late_frame_makes_the_minute_whole() -> None:
    world = live_world()
    at(world, 34.0)
    world.until(59.9)
    late = world.trade(lost=True)
    world.until(60.3)
    world.take()
    world.frame("BTC", late)
    assert world.take(*KINDS) == ["trade BTC 2", "minute BTC 0.000 2 confirmed"]
    world.until(70.0)
    assert world.asked == []


# ? ? (10 later trades) | K R          REST's page begins after what is missing: the gap reaches to the page's start
def test_what_rest_no_longer_lists_is_a_gap_before_the_minutes_record() -> None:
    world = live_world()
    world.reach = 10
    at(world, 34.0)
    at(world, 35.0, lost=True)
    at(world, *(50.0 + place for place in range(9)), 60.1, 60.2, 60.3)
    world.take()
    world.until(60.55)
    assert world.take(*KINDS) == ["gap opened BTC 0.000-53.000", "minute BTC 0.000 10"]
    assert world.state().counts["lost"] == 1


# as before, and then the lost frame comes: the trade, the record, the end of the gap
def test_a_gap_that_is_filled_later_is_closed_behind_the_new_record() -> None:
    world = live_world()
    world.reach = 1
    at(world, 34.0)
    world.until(35.0)
    lost = world.trade(lost=True)
    at(world, 60.05, 60.1)
    world.until(61.0)
    assert world.take(*KINDS)[-2:] == ["gap opened BTC 0.000-59.999", "minute BTC 0.000 1"]
    world.frame("BTC", lost)
    assert world.take(*KINDS) == ["trade BTC 2", "minute BTC 0.000 2 confirmed", "gap closed BTC 0.000-59.999"]
    assert world.events == ["gap.opened BTC", "gap.closed BTC"]


def test_without_rest_a_missing_trade_is_a_gap_after_a_while() -> None:
    world = live_world()
    at(world, 34.0)
    at(world, 35.0, lost=True)
    world.answers_rest = False
    at(world, 60.05, 60.1)
    world.until(75.15)
    world.take()
    world.until(75.2)
    assert world.take(*KINDS) == ["gap opened BTC 0.000-59.999", "minute BTC 0.000 1"]


# K(more than all trades)      REST lists what we have: the kline counts something else
@pytest.mark.parametrize("off", [10**9, -(10**5)])
def test_a_kline_that_differs_from_all_trades_leaves_the_minute_whole_and_not_confirmed(off: int) -> None:
    world = live_world()
    world.kline_off = off
    at(world, 34.0, 35.0, 60.05, 60.1)
    world.take()
    world.until(61.0)
    assert world.take(*KINDS) == ["minute BTC 0.000 2"]
    assert world.state().counts["kline_differs"] == (off > 0)
    assert world.state().counts["lost"] == 0
    assert world.reports[-1] == "minute not confirmed BTCUSDT"


# as before, while REST's data are old: that they lack a trade shows nothing
def test_old_data_of_rest_prove_nothing() -> None:
    world = live_world()
    world.rest_lag_ms = 3500
    at(world, 34.0)
    at(world, 59.0, lost=True)
    at(world, 60.05, 60.1)
    world.until(62.5)
    world.take()
    world.until(64.5)
    assert world.take(*KINDS) == ["trade BTC 2", "minute BTC 0.000 2 confirmed"]


# f | f (no K) R       the websocket's kline is lost, REST's is as good
def test_a_kline_that_does_not_come_is_asked_of_rest() -> None:
    world = live_world()
    world.sends_klines = False
    at(world, 34.0, 60.05)
    world.until(61.95)
    world.take()
    world.until(62.1)
    assert world.take(*KINDS) == ["minute BTC 0.000 1 confirmed"]
    assert world.asked == ["BTC klines 0.000"]


# f | f (no K, no R)   the minute is closed by proof; the kline that comes later confirms it
def test_without_klines_a_minute_is_closed_by_proof_and_confirmed_later() -> None:
    world = live_world()
    world.sends_klines = world.rest_has_klines = False
    at(world, 34.0, 60.05)
    world.until(65.0)
    assert world.take(*KINDS) == ["trade BTC 1", "trade BTC 2", "minute BTC 0.000 1"]
    world.kline("BTC", 0.0)
    assert world.take(*KINDS) == ["minute BTC 0.000 1 confirmed"]


# f ? | f (no K) ... K         what a late kline shows to be missing reopens the minute
def test_a_late_kline_reopens_a_minute_that_lacks_something() -> None:
    world = live_world()
    world.sends_klines = world.rest_has_klines = False
    at(world, 34.0)
    at(world, 35.0, lost=True)
    at(world, 60.05, 60.1)
    world.until(66.0)
    assert world.take(*KINDS)[-1] == "minute BTC 0.000 1"
    world.reach = 1
    world.kline("BTC", 0.0)
    world.until(67.0)
    assert world.take(*KINDS) == ["gap opened BTC 0.000-59.999"]


# refused klines: the minute closes by the feed's own proof, as soon as that reaches the end
def test_with_refused_klines_the_proof_closes_the_minute() -> None:
    world = live_world()
    at(world, 34.0)
    world.until(40.0)
    world.disconnect()
    world.sends_klines = world.rest_has_klines = False
    world.refused_klines = {"BTC"}
    world.connect()
    at(world, 47.0, 60.01)
    world.until(60.1)
    assert world.take(*KINDS) == ["trade BTC 1", "trade BTC 2", "trade BTC 3", "minute BTC 0.000 2"]
    assert "klines refused BTCUSDT" in world.reports


# f | p        no kline, and the symbol is silent before the end: REST shows that nothing is missing
def test_a_silent_symbol_without_klines_waits_for_rest() -> None:
    world = live_world()
    world.refused_klines = {"BTC"}
    world.sends_klines = world.rest_has_klines = False
    world.disconnect()
    world.connect()
    at(world, 47.0)
    at(world, 59.0, lost=True)
    world.asked.clear()
    world.until(60.5)
    assert world.take(*KINDS) == ["trade BTC 1", "trade BTC 2", "minute BTC 0.000 2"]
    assert len(world.asked) == 1


# f x < (REST does not reach back, no klines)      what lies between may be missing
def test_without_klines_what_rest_cannot_bring_back_is_a_gap() -> None:
    world = live_world()
    world.sends_klines = world.rest_has_klines = False
    world.refused_klines = {"BTC"}
    world.reach = 3
    at(world, 34.0)
    world.disconnect()
    at(world, 35.0, 36.0, 37.0, 38.0, 39.0, lost=True)
    world.connect()
    at(world, 40.0)
    world.until(45.0)
    assert world.take(*KINDS) == ["trade BTC 1", "trade BTC 4", "trade BTC 5", "trade BTC 6", "trade BTC 7"]
    at(world, 60.01)
    assert world.take(*KINDS) == ["trade BTC 8"]
    world.until(60.1)
    assert world.take(*KINDS) == ["gap opened BTC 34.000-39.000", "minute BTC 0.000 5"]


# a rejected trade: its minute may lack it
def test_a_trade_that_cannot_be_read_makes_its_minute_partial() -> None:
    world = live_world()
    at(world, 34.0)
    world.until(35.0)
    world.trade(p="much")
    at(world, 60.05, 60.1)
    world.kline_off = 10**9
    world.until(61.0)
    assert world.take("gap", "minute") == ["gap opened BTC 35.000-35.000", "minute BTC 0.000 1"]
    assert [letter["reason"] for letter in world.dead] == ["unreadable_price"]


def test_a_late_trade_of_a_confirmed_minute_amends_the_record() -> None:
    world = live_world()
    at(world, 34.0, 60.05)
    world.until(61.0)
    world.take()
    world.trade(T=BASE_MS + 40_000)
    assert world.take(*KINDS) == ["trade BTC 3", "minute BTC 0.000 2"]


def test_a_repeated_trade_changes_nothing() -> None:
    world = live_world()
    at(world, 34.0)
    item = world.traded["BTC"][-1]
    at(world, 60.05)
    for second in (60.1, 61.0, 400.0):  # the ids of the minute are forgotten by then
        world.until(second)
        world.frame("BTC", item)
    assert world.take(*KINDS) == [
        "trade BTC 1",
        "trade BTC 2",
        "minute BTC 0.000 1 confirmed",
        "minute BTC 60.000 1 confirmed",
    ]
    assert world.state().counts["duplicates"] == 3
    assert world.dead == []


# K(closed, too early) f f ?      a kline that is called closed before the minute's end proves nothing
def test_a_closed_kline_before_its_minute_s_end_counts_for_nothing() -> None:
    world = live_world()
    world.trade()
    world.kline("BTC", 0.0)
    world.until(50.0)
    world.trade()
    world.until(60.1)
    assert world.take("minute", "gap") == []
    world.until(61.0)
    assert world.take("minute", "gap") == ["minute BTC 0.000 2 confirmed"]


# ? f f | K(short) ... 1,000 later trades, of which REST's page is full      what was lost is sought no longer
def test_the_ids_of_a_lost_minute_are_kept_as_long_as_rest_may_list_it() -> None:
    for later, reasons in ((100, []), (1000, ["more_than_50_minutes_late"])):
        world = live_world()
        world.reach = 1
        lost = world.trade(lost=True)
        at(world, 35.0, 60.05, 61.0)
        world.until(100.0)
        world.frame("BTC", *(world.trade(lost=True) for _ in range(later)))
        world.until(241.0)
        world.frame("BTC", lost)
        assert [letter["reason"] for letter in world.dead] == reasons
