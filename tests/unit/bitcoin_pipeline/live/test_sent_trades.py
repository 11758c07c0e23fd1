"""Sent trades: each is sent once, and what cannot be sent goes to the dead-letter topic.

In the drawings `f` is a frame with one trade, `p` a ping that is answered, `|` a minute's end at 60, `!` a heartbeat,
`x` a broken connection, `<` a fresh one. Times are seconds.
"""

from __future__ import annotations

import json

from tests.support.feeds import BASE_MS, live_world


def test_a_live_trade_more_than_50_minutes_late_is_not_sent() -> None:
    world = live_world(start=4000.0)
    world.trade(T=BASE_MS + 500_000)
    assert world.take() == ["gap opened BTC 500.000-500.000"]
    assert world.dead[0]["reason"] == "more_than_50_minutes_late"


def test_a_repeated_frame_is_sent_once() -> None:
    world = live_world()
    item = world.trade()
    world.frame("BTC", item)
    assert world.take("trade") == ["trade BTC 1"]
    assert world.state().counts["duplicates"] == 1


def test_the_same_id_with_other_content_goes_to_the_dead_letters() -> None:
    world = live_world()
    item = world.trade()
    world.frame("BTC", {**item, "p": "1"})
    world.frame("BTC", {**item, "seq": 999})  # seq is no content
    assert world.take("trade", "gap") == ["trade BTC 1"]
    assert [letter["reason"] for letter in world.dead] == ["id_with_other_content"]


# f  bad f | one gap of the bad trades' minute is recorded; the others are sent
def test_an_unreadable_trade_makes_its_minute_partial() -> None:
    world = live_world()
    world.until(70.0)
    world.take()
    good, bad = world.trade(lost=True), world.trade(lost=True, v="0.0000000001")
    world.frame("BTC", good, bad, {**bad, "i": "x"})
    assert world.take() == ["trade BTC 1", "gap opened BTC 70.000-70.000"]
    assert [letter["reason"] for letter in world.dead] == ["size_out_of_range"] * 2
    assert json.loads(world.dead[0]["record"])["v"] == "0.0000000001"
