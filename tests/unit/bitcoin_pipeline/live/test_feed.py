"""The feed: what goes into the topic, and when, under everything that can happen to a connection.

In the drawings `f` is a frame with one trade, `p` a ping that is answered, `|` a minute's end at 60, `!` a heartbeat,
`x` a broken connection, `<` a fresh one. Times are seconds.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.records import Heartbeat, heartbeat_record
from bitcoin_pipeline.live.symbol_feed import Stage
from bitcoin_pipeline.live.tail import Tail
from bitcoin_pipeline.times import MINUTE_US, Instant
from tests.support.feeds import BASE_MS, World


def live(*symbols: str, start: float = 30.0) -> World:
    """A feed whose symbols are all live, some seconds after it went on where another one stopped a second before."""
    heartbeat = Heartbeat(
        (BASE_MS + round(start * 1000) - 1000) * 1000, tuple(f"{s}USDT" for s in symbols or ["BTC"]), 0, 0
    )
    tail = Tail()
    tail.add(0, heartbeat_record(heartbeat))
    world = World(*symbols, start=start, tail=tail)
    world.connect()
    world.until(start + 3)
    assert set(world.stages().values()) == {Stage.LIVE}
    assert world.take("gap", "trade") == []
    return world


def last_heartbeat(world: World) -> str:
    return world.take("heartbeat")[-1]


# 30.0 <   31.0 f(trade 2)     trade 1, of 29.9, was before our time
# The first minute was not heard from its start, so it is partial.
def test_a_first_start_sends_nothing_older_and_tells_of_its_minute() -> None:
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


# 59.9 <  first frame 59.95  |  REST answers only at 60.2: the frame says that the subscription was on before the minute
def test_the_first_frame_tells_when_the_subscription_was_on() -> None:
    world = World(start=59.9)
    world.answers_rest = False
    world.connect()
    world.until(59.95)
    world.trade()
    world.until(60.2)
    world.answers_rest = True
    world.until(63.0)
    assert world.take("gap") == ["gap opened BTC 0.000-59.950"]


# f(33.5) f(33.5, the same T)   the heartbeat after the first says 33.499: the second was still to come
def test_a_frame_proves_up_to_the_millisecond_before_its_last_trade() -> None:
    world = live()
    world.until(34.0)
    world.take()
    world.until(35.3)
    world.trade()
    world.trade(lost=True)
    assert world.take("trade") == ["trade BTC 1"]
    world.frame("BTC", world.traded["BTC"][-1])  # the same T, one frame later
    world.until(35.35)
    assert world.take() == ["trade BTC 2"]
    world.until(36.2)
    assert world.take("heartbeat") == ["heartbeat 35.299 BTC"]


# p   p   p   p |  p          nothing is traded, and the minute's end is proven all the same, 250 ms after it
def test_a_silent_market_is_proven_by_pings() -> None:
    world = live(start=50.0)
    world.until(60.2)
    assert float(last_heartbeat(world).split()[1]) < 59.999
    world.until(60.3)
    assert world.take() == ["heartbeat 60.000 BTC"]


# f f f f | f(60.010)          the heartbeat that closes the minute waits for no tick
def test_a_frame_past_the_minute_closes_it_at_once() -> None:
    world = live(start=50.0)
    for second in (58.0, 58.5, 59.0, 59.5, 59.9):
        world.until(second)
        world.trade()
    world.until(60.01)
    world.take()
    world.trade()
    assert world.take() == ["trade BTC 6", "heartbeat 60.009 BTC"]


# BTC f f f | f(60.010) f(60.300)      ETH is quiet: another symbol's frame proves it up to 250 ms before
def test_a_quiet_symbol_is_proven_by_the_others_frames_with_a_margin() -> None:
    world = live("BTC", "ETH", start=50.0)
    world.until(59.9)
    world.trade()
    world.until(60.01)
    world.take()
    world.trade()
    assert world.take() == ["trade BTC 2"]
    world.until(60.24)
    world.take()
    world.trade()
    assert world.take() == ["trade BTC 3"]
    world.now_ms = 60_250
    world.trade()
    assert world.take() == ["trade BTC 4", "heartbeat 60.000 BTC ETH"]


# ETH f  x(58) x(59.5) | p        pings are answered, yet ETH's trades are kept back: its minute waits for REST's word
#      trade 2    trade 3  < hung up; the bridge brings them
def test_a_silenced_symbol_is_not_taken_for_a_quiet_one() -> None:
    world = live("BTC", "ETH", start=50.0)
    world.until(55.0)
    world.trade("ETH")
    for second in (58.0, 59.5):
        world.until(second)
        world.trade("ETH", lost=True)
    world.take()
    world.until(60.3)
    assert [text for text in world.take("heartbeat") if float(text.split()[1]) >= 59.999] == []
    assert world.reports[-2] == "disconnecting: trades of ETHUSDT come over REST, and not over the websocket"
    world.connect()
    world.until(62.0)
    sent = world.take("trade", "heartbeat", "gap")
    assert sent[:2] == ["trade ETH 2", "trade ETH 3"]
    assert sent[2].endswith("BTC ETH")
    assert float(sent[2].split()[1]) > 60
    assert world.state().counts["silent"] == 1


# As before, and REST knows the last trade only: what lies between may be missing, so the minute is in doubt.
def test_a_silenced_symbol_that_rest_cannot_bring_back_gets_a_gap() -> None:
    world = live(start=50.0)
    world.until(55.0)
    world.trade()
    for second in (58.0, 59.5):
        world.until(second)
        world.trade(lost=True)
    world.reach = 1
    world.until(60.3)
    world.connect()
    world.until(62.0)
    assert world.take("trade", "gap") == ["trade BTC 1", "gap opened BTC 55.000-59.500", "trade BTC 3"]


# As before, in a burst: the trades that REST tells of have all come after what was asked about, so something may lie
# before them.
def test_a_silenced_burst_is_not_taken_for_a_quiet_market() -> None:
    world = live(start=50.0)
    world.until(59.5)
    world.trade(lost=True)
    world.until(60.2)
    for _ in range(300):
        world.trade(lost=True)
    world.until(60.3)
    assert world.take("heartbeat")[-1] < "heartbeat 59.999"
    assert world.reports[-2] == "disconnecting: trades of BTCUSDT come over REST, and not over the websocket"
    world.connect()
    world.until(62.0)
    assert world.take("trade")[:2] == ["trade BTC 1", "trade BTC 2"]


# p   p   p   p |  p          REST is away: the pings' word is enough, a second later
def test_without_rest_a_silent_market_is_proven_by_pings_alone() -> None:
    world = live(start=50.0)
    world.until(59.0)
    world.answers_rest = False
    world.until(61.2)
    assert [text for text in world.take() if float(text.split()[1]) >= 59.999] == []
    world.until(61.4)
    assert float(last_heartbeat(world).split()[1]) >= 60


def test_rest_is_asked_about_a_quiet_symbol_once_a_minute_and_never_about_a_busy_one() -> None:
    world = live("BTC", "ETH", start=50.0)
    world.asked = []
    for second in range(54, 190):
        world.until(second + 0.05)
        world.trade("BTC")
    assert [text.split(".")[0] for text in world.asked] == ["ETH 60", "ETH 120", "ETH 180"]


# f   p(not answered) ................ 10 s: hung up, no heartbeat in between
def test_a_half_open_connection_proves_nothing_and_is_left() -> None:
    world = live()
    world.trade()
    world.until(34.2)
    world.take()
    world.answers_pings = False
    world.until(50.0)
    assert world.take("heartbeat") == []
    assert world.reports[-2:] == ["disconnecting: a ping was not answered", "disconnected"]
    assert world.stages() == {"BTCUSDT": Stage.WAITING}


# f(T = 2 hours ahead)         the trade is sent, no heartbeat believes it
def test_an_absurd_time_moves_nothing() -> None:
    world = live()
    world.trade(T=BASE_MS + 7_200_000)
    world.until(40.0)
    found = world.take()
    assert found[0] == "trade BTC 1"
    assert all(float(text.split()[1]) < 40 for text in found[1:])


# our clock of the exchange is 1.5 s behind: the frame does not count until REST confirms its time
def test_a_frame_ahead_of_the_clock_counts_once_rest_confirms_it() -> None:
    world = live()
    world.until(34.0)
    world.answers_rest = False
    before = world.clock
    world.clock = lambda: Instant(before() - 1_500_000)  # type: ignore[method-assign]
    world.now_ms += 1500
    world.trade()
    world.until(35.6)
    world.until(36.4)
    assert float(last_heartbeat(world).split()[1]) < 35
    world.answers_rest = True
    world.until(36.6)
    world.clock = before  # type: ignore[method-assign]
    world.until(37.0)
    assert float(last_heartbeat(world).split()[1]) >= 35.499


# f f x  (two trades)  <  REST reaches back: both are sent, nothing is missing, no gap
def test_a_disconnect_that_rest_bridges_leaves_no_trace() -> None:
    world = live()
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


# f x | (30 trades)  <         REST knows the last 10 only: the minutes that lack a part are told before the trades
def test_a_disconnect_that_rest_cannot_bridge_is_a_gap() -> None:
    world = live(start=50.0)
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
    world = live()
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


# a new worker on the topic of a killed one: the ids since the last heartbeat are known, the missed trade is sent
def test_a_restart_goes_on_from_the_topic() -> None:
    world = live()
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


# < (an item that is no object waits in the buffer)
def test_an_item_that_is_no_trade_disturbs_no_bridge() -> None:
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


def test_a_heartbeat_in_some_partitions_only_proves_nothing_more() -> None:
    tail = Tail()
    beat = '{"type":"heartbeat","time":%d,"symbols":["BTCUSDT"],"lag_ms":0,"reconnects":0}'
    tail.add(0, (beat % 2_000_000).encode())
    tail.add(1, (beat % 1_000_000).encode())
    assert (tail.proven_us("BTCUSDT"), tail.last_heartbeat_us) == (1_000_000, 2_000_000)
    tail.begin(2)
    assert tail.proven_us("BTCUSDT") is None
    tail.add(2, b"not a record")
    tail.add(2, b'{"type":"trade"}')
    assert tail.proven_us("ETHUSDT") is None


# ETH is refused:   BTC f f f | f f f    BTC goes on; each minute of ETH is told of before the heartbeat passes over it
def test_a_refused_symbol_gets_gaps_and_the_others_go_on() -> None:
    world = World("BTC", "ETH", start=58.0)
    world.refused = {"ETH"}
    world.connect()
    for tenth in range(580, 1250, 2):
        world.until(tenth / 10)
        world.trade("BTC")
    sent = world.take("heartbeat", "gap")
    assert sent[0] == "gap opened BTC 0.000-58.000"
    assert [text for text in sent if "ETH" in text] == [
        "gap opened ETH 0.000-",
        "gap opened ETH 60.000-",
        "gap opened ETH 120.000-",
    ]
    first_past = next(place for place, text in enumerate(sent) if text.startswith("heartbeat 60."))
    assert sent[first_past - 1] == "gap opened ETH 60.000-"
    assert "refused ETHUSDT" in world.reports


# ETH is lost for a minute, then accepted again, and REST still knows all of it: its gaps are closed
def test_a_symbol_that_comes_back_whole_closes_its_gaps() -> None:
    world = live("BTC", "ETH", start=50.0)
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


# x ...... 2 hours away ...... <  nothing passed over it meanwhile, and REST reaches back: all is sent
def test_a_long_outage_of_a_quiet_market_is_bridged() -> None:
    world = live()
    world.trade()
    world.until(34.5)
    world.disconnect()
    world.now_ms += 7_200_000
    world.trade()
    world.take()
    world.connect()
    world.until(world.now_ms / 1000 + 3)
    assert world.take("trade", "gap") == ["trade BTC 2"]


# ETH away for an hour while BTC goes on: what is more than 50 minutes behind the last heartbeat is not sent
def test_what_is_more_than_50_minutes_behind_is_a_gap() -> None:
    world = live("BTC", "ETH", start=0.0)
    world.until(5.0)
    world.disconnect()
    world.refused = {"ETH"}
    world.connect()
    for minute in range(62):
        world.until(10 + 60 * minute)
        world.trade("ETH")
        world.trade("BTC")
    sent = world.take("gap")
    # A gap that has become too old to be filled is told again, with its end.
    assert sent[:3] == ["gap opened ETH 3.001-", "gap opened ETH 60.000-", "gap opened ETH 120.000-"]
    assert [text for text in sent if not text.endswith("-")][-1] == "gap opened ETH 660.000-720.000"
    world.refused = set()
    world.until(3740)
    sent = world.take("gap", "trade")
    assert sent[:3] == ["gap opened ETH 3720.000-", "gap opened ETH 720.000-780.000", "trade ETH 27"]
    assert next(text for text in sent if "closed" in text) == "gap closed ETH 780.000-840.000"
    assert [text for text in sent if "trade" in text] == [f"trade ETH {number}" for number in range(27, 125, 2)]
    assert {text.split(" ")[1] for text in sent[sent.index("trade ETH 123") :]} == {"ETH", "closed"}


def test_a_live_trade_more_than_50_minutes_late_is_not_sent() -> None:
    world = live(start=4000.0)
    world.trade(T=BASE_MS + 500_000)
    assert world.take() == ["gap opened BTC 500.000-500.000"]
    assert world.dead[0]["reason"] == "more_than_50_minutes_late"


def test_a_repeated_frame_is_sent_once() -> None:
    world = live()
    item = world.trade()
    world.frame("BTC", item)
    assert world.take("trade") == ["trade BTC 1"]
    assert world.state().counts["duplicates"] == 1


def test_the_same_id_with_other_content_goes_to_the_dead_letters() -> None:
    world = live()
    item = world.trade()
    world.frame("BTC", {**item, "p": "1"})
    world.frame("BTC", {**item, "seq": 999})  # seq is no content
    assert world.take("trade", "gap") == ["trade BTC 1"]
    assert [letter["reason"] for letter in world.dead] == ["id_with_other_content"]


# f  bad f | the bad trade's minute lacks a part, once told; the others are sent
def test_an_unreadable_trade_makes_its_minute_partial() -> None:
    world = live()
    world.until(70.0)
    world.take()
    good, bad = world.trade(lost=True), world.trade(lost=True, v="0.0000000001")
    world.frame("BTC", good, bad, {**bad, "i": "x"})
    assert world.take() == ["trade BTC 1", "gap opened BTC 70.000-70.000"]
    assert [letter["reason"] for letter in world.dead] == ["size_out_of_range"] * 2
    assert json.loads(world.dead[0]["record"])["v"] == "0.0000000001"


# f  garbage(hides a trade)  f     what the garbage was, nobody knows: REST is asked, and nothing is proven before
def test_garbage_is_bridged() -> None:
    world = live()
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


def test_a_message_that_nobody_asked_for_disturbs_nothing() -> None:
    world = live()
    world.receive('{"topic":"tickers.BTCUSDT","data":{}}')
    assert world.stages() == {"BTCUSDT": Stage.LIVE}
    assert [letter["reason"] for letter in world.dead] == ["a message of no expected kind"]


# x < REST is lost: after half a minute the bridge ends in a gap, and the feed goes on
def test_without_rest_the_bridge_ends_in_a_gap() -> None:
    world = live()
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


def test_too_much_waiting_for_a_bridge_ends_the_connection() -> None:
    world = World(times=FeedTimes(buffered=3))
    world.connect()
    world.until(33.0)
    world.disconnect()
    world.answers_rest = False
    world.connect()
    for _ in range(4):
        world.trade()
    assert world.reports[-2:] == ["disconnecting: more than 3 trades of BTCUSDT wait for its catch-up", "disconnected"]


def test_reconnecting_takes_longer_each_time_and_anew_after_a_heartbeat() -> None:
    world = World()
    assert [world.feed.disconnected("refused")[0] for _ in range(8)] == [
        seconds * 1_000_000 for seconds in (1, 2, 4, 8, 16, 32, 60, 60)
    ]
    world.connect()
    world.until(34.0)
    assert world.feed.disconnected("broken")[0] == 1_000_000


def test_no_minute_is_passed_without_proof_or_gap() -> None:
    """Whatever happens: each minute of a symbol that a heartbeat passes is proven by its name or told as a gap."""
    world = World("BTC", "ETH", start=10.0)
    world.connect()
    for step in range(400):
        world.until(10 + step)
        world.trade("BTC")
        if step % 3 == 0:
            world.trade("ETH")
        if step % 37 == 0:
            world.disconnect()
            world.refused = {"ETH"} if step % 2 else set()
            world.reach = 5 if step % 74 else 1000
            world.connect()
    accounted: dict[str, float] = {}
    gaps: dict[str, set[int]] = {"BTCUSDT": set(), "ETHUSDT": set()}
    for record in map(json.loads, world.records):
        _account(record, accounted, gaps)
    assert accounted["BTCUSDT"] > BASE_MS * 1000 + 400_000_000


def _account(record: dict[str, Any], accounted: dict[str, float], gaps: dict[str, set[int]]) -> None:
    if record["type"] == "gap":
        gaps[record["symbol"]].add(record["from"] // MINUTE_US)
    if record["type"] == "heartbeat":
        for symbol, minutes in gaps.items():
            if symbol not in record["symbols"]:
                assert record["time"] // MINUTE_US in minutes
            else:
                accounted[symbol] = record["time"]


@pytest.mark.parametrize("start", [30.0, 59.0])
def test_lag_and_age(start: float) -> None:
    world = live(start=start)
    world.trade()
    world.until(start + 4)
    lag_ms = world.state().lag_ms
    assert lag_ms is not None
    assert 0 <= lag_ms < 2000
    age_us = world.state().heartbeat_age_us
    assert age_us is not None
    assert age_us < 2_000_000
