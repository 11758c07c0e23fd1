"""Heartbeats: what proves a time, when the heartbeat is sent, and what precedes it.

In the drawings `f` is a frame with one trade, `p` a ping that is answered, `|` a minute's end at 60, `!` a heartbeat,
`x` a broken connection, `<` a fresh one. Times are seconds.
"""

from __future__ import annotations

import json
from typing import Any

from bitcoin_pipeline.times import MINUTE_US, Instant
from tests.support.feeds import BASE_MS, World, last_heartbeat, live_world


# f(33.5) f(33.5, the same T)   the heartbeat after the first proves 33.499: the second may still come
def test_a_frame_proves_up_to_the_millisecond_before_its_last_trade() -> None:
    world = live_world()
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
    world = live_world(start=50.0)
    world.until(60.2)
    assert float(last_heartbeat(world).split()[1]) < 59.999
    world.until(60.3)
    assert world.take() == ["heartbeat 60.000 BTC"]


# f f f f | f(60.010)          the heartbeat that closes the minute waits for no tick
def test_a_frame_past_the_minute_closes_it_at_once() -> None:
    world = live_world(start=50.0)
    for second in (58.0, 58.5, 59.0, 59.5, 59.9):
        world.until(second)
        world.trade()
    world.until(60.01)
    world.take()
    world.trade()
    assert world.take() == ["trade BTC 6", "heartbeat 60.009 BTC"]


# BTC f f f | f(60.010) f(60.300)      ETH is quiet: another symbol's frame proves it up to 250 ms before
def test_a_quiet_symbol_is_proven_by_the_others_frames_with_a_margin() -> None:
    world = live_world("BTC", "ETH", start=50.0)
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


# f(T = 2 hours ahead)         the trade is sent, and moves no heartbeat
def test_an_absurd_time_moves_nothing() -> None:
    world = live_world()
    world.trade(T=BASE_MS + 7_200_000)
    world.until(40.0)
    found = world.take()
    assert found[0] == "trade BTC 1"
    assert all(float(text.split()[1]) < 40 for text in found[1:])


# the feed's clock of the exchange is 1.5 s behind: the frame does not count until REST confirms its time
def test_a_frame_ahead_of_the_clock_counts_once_rest_confirms_it() -> None:
    world = live_world()
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


# ETH is refused:   BTC f f f | f f f    BTC goes on; a gap of each minute of ETH precedes its first heartbeat
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


def test_no_minute_is_passed_without_proof_or_gap() -> None:
    """Each minute of a symbol that a heartbeat passes is proven by naming the symbol, or recorded as a gap."""
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
