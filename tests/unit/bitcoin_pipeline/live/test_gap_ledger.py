"""Gaps: which are opened, widened and closed, and what is sent again into them.

In the drawings `f` is a frame with one trade, `p` a ping that is answered, `|` a minute's end at 60, `!` a heartbeat,
`x` a broken connection, `<` a fresh one. Times are seconds.
"""

from __future__ import annotations

from bitcoin_pipeline.live.symbol_feed import Stage
from tests.support.feeds import BASE_MS, World, live_world


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


# ETH is lost for a minute, then accepted again, and REST still knows all of it: its gaps are closed
def test_a_symbol_that_comes_back_whole_closes_its_gaps() -> None:
    world = live_world("BTC", "ETH", start=50.0)
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


# ETH away for an hour while BTC goes on: what is more than 50 minutes behind the last heartbeat is not sent
def test_what_is_more_than_50_minutes_behind_is_a_gap() -> None:
    world = live_world("BTC", "ETH", start=0.0)
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
