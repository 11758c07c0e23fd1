"""Silent symbols: REST shows whether nothing is traded, or trades are kept back.

In the drawings `f` is a frame with one trade, `p` a ping that is answered, `|` a minute's end at 60, `!` a heartbeat,
`x` a broken connection, `<` a fresh one. Times are seconds.
"""

from __future__ import annotations

from uuid import UUID

from bitcoin_pipeline.bybit.frames import PlainTrade
from bitcoin_pipeline.live.actions import AskRecentTrades
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.silence_check import CHECKED_TRADES, SilenceCheck
from bitcoin_pipeline.times import MS_US, Instant
from tests.support.feeds import last_heartbeat, live_world


# ETH f  x(58) x(59.5) | p        pings are answered, yet ETH's trades are kept back: its minute waits for REST
#      trade 2    trade 3  < disconnected; the catch-up sends them
def test_a_silenced_symbol_is_not_taken_for_a_quiet_one() -> None:
    world = live_world("BTC", "ETH", start=50.0)
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


# As before, and REST serves the last trade only: what lies between may be missing, so a gap is opened.
def test_a_silenced_symbol_that_rest_cannot_bring_back_gets_a_gap() -> None:
    world = live_world(start=50.0)
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


# As before, in a burst: every trade in REST's answer is later than the time in question, so an earlier one may be
# missing.
def test_a_silenced_burst_is_not_taken_for_a_quiet_market() -> None:
    world = live_world(start=50.0)
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


# p   p   p   p |  p          REST fails: the pings suffice as proof, a second later
def test_without_rest_a_silent_market_is_proven_by_pings_alone() -> None:
    world = live_world(start=50.0)
    world.until(59.0)
    world.answers_rest = False
    world.until(61.2)
    assert [text for text in world.take() if float(text.split()[1]) >= 59.999] == []
    world.until(61.4)
    assert float(last_heartbeat(world).split()[1]) >= 60


def test_rest_is_asked_about_a_quiet_symbol_once_a_minute_and_never_about_a_busy_one() -> None:
    world = live_world("BTC", "ETH", start=50.0)
    world.asked = []
    for second in range(54, 190):
        world.until(second + 0.05)
        world.trade("BTC")
    assert [text.split(".")[0] for text in world.asked] == ["ETH 60", "ETH 120", "ETH 180"]


# The check alone. Times of trades are milliseconds.


def trade(time_ms: int) -> PlainTrade:
    return PlainTrade("BTCUSDT", str(UUID(int=time_ms)), time_ms * MS_US, 0, "Buy", "1", "1", "1")


def asked(up_to_ms: int) -> SilenceCheck:
    check = SilenceCheck("BTCUSDT", 100 * MS_US, FeedTimes())
    assert check.ask(up_to_ms * MS_US, Instant(0)) == [AskRecentTrades("BTCUSDT", Instant(0), CHECKED_TRADES)]
    assert check.ask(up_to_ms * MS_US, Instant(1)) == []
    assert check.awaits(Instant(0))
    return check


def test_known_and_later_trades_prove_that_nothing_is_missing() -> None:
    check = asked(200)
    page = [trade(90), trade(150), trade(201)]
    assert check.missing(page, 0, {trade(150).trade_id}, lambda _: False) == []
    assert (check.whole_us, check.is_open) == (200 * MS_US, False)


def test_an_unknown_trade_is_missing_unless_it_is_accounted_for() -> None:
    check = asked(200)
    page = [trade(120), trade(150)]
    assert check.missing(page, 0, set(), lambda time_us: time_us == 120 * MS_US) == [150 * MS_US]
    assert check.whole_us == 100 * MS_US
    assert check.missing(page, 150 * MS_US, set(), lambda _: False) == []  # the symbol's own frames prove it


def test_rest_is_asked_again_a_while_after_it_failed() -> None:
    check = asked(200)
    check.failed(Instant(0))
    assert check.ask(200, Instant(199 * MS_US)) == []
    assert check.ask(200, Instant(200 * MS_US)) != []
