"""Sources of frames: the synthetic market by its seed, a day of the archive, a recording."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from itertools import groupby, islice, takewhile
from pathlib import Path

import pytest

from local.checkout import ROOT
from local.exchange.archive.folder import Folder
from local.exchange.live.frames import Frame, frames_of, read_frame
from local.exchange.live.sources import Capture, SyntheticMarket, read_days, symbols_of
from local.exchange.synthetic.profiles import SYMBOLS, further_symbols
from local.exchange.synthetic.second import burst_around_price, synthetic_second

REAL = ROOT / "tests" / "fixtures" / "bybit"
START_MS = 1_786_310_820_000


def frames(seconds: int, seed: int = 0, rate: float = 400.0) -> list[Frame]:
    market = SyntheticMarket(("BTCUSDT", "DOGEUSDT"), rate, seed)
    return trade_frames(market, seconds)


def trade_frames(market: SyntheticMarket, seconds: int, from_ms: int = START_MS) -> list[Frame]:
    """The frames of trades up to so many seconds after START_MS."""
    played = takewhile(lambda frame: frame.time_ms < START_MS + seconds * 1000, market.frames(from_ms))
    return [frame for frame in played if frame.trades]


def test_the_same_seed_gives_the_same_market_from_any_time_on() -> None:
    whole = frames(3)
    assert whole == frames(3)
    assert whole != frames(3, seed=1)
    market = SyntheticMarket(("BTCUSDT", "DOGEUSDT"), 400.0, 0)
    later = trade_frames(market, 3, START_MS + 1500)
    assert later == [frame for frame in whole if frame.trades[0]["T"] >= START_MS + 2000]


def test_synthetic_frames_have_the_exchanges_form() -> None:
    for frame in frames(2):
        assert read_frame(frame.text, 0) == frame
        times = [trade["T"] for trade in frame.trades]
        assert times == sorted(times)
        assert times[-1] - times[0] <= 5
        assert frame.time_ms == times[-1] + 1
        assert {f"publicTrade.{trade['s']}" for trade in frame.trades} == {frame.topic}
    times = [frame.time_ms for frame in frames(2)]
    assert times == sorted(times)


def test_symbols_have_equal_shares_of_the_rate() -> None:
    counts = dict.fromkeys(("publicTrade.BTCUSDT", "publicTrade.DOGEUSDT"), 0)
    for frame in frames(20):
        counts[frame.topic] += len(frame.trades)
    # Poisson: 4000 each, within four standard deviations.
    assert all(3750 < trades < 4250 for trades in counts.values()), counts


def test_an_order_sweeps_the_book() -> None:
    trades = list(synthetic_second("BTCUSDT", START_MS // 1000, 2000.0, 0))
    assert len({trade["i"] for trade in trades}) == len(trades)
    longest = 0
    for _, group in groupby(trades, key=lambda trade: trade["seq"]):
        order = list(group)
        longest = max(longest, len(order))
        prices = [Decimal(trade["p"]) for trade in order]
        assert prices == sorted(prices, reverse=order[0]["S"] == "Sell")
        assert len({(trade["T"], trade["S"]) for trade in order}) == 1
    assert longest > 3


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_prices_and_sizes_are_of_the_symbol(symbol: str) -> None:
    for trade in synthetic_second(symbol, START_MS // 1000, 300.0, 0):
        assert Decimal(trade["p"]) > 0
        assert Decimal(trade["v"]) > 0
        assert "E" not in trade["p"] + trade["v"]


def test_a_burst_has_exactly_its_number_of_trades_within_a_second() -> None:
    trades = list(burst_around_price("ANYUSDT", "12.345", START_MS, 5000, 1))
    assert len(trades) == 5000
    assert {START_MS <= trade["T"] < START_MS + 1000 for trade in trades} == {True}
    assert all(abs(Decimal(trade["p"]) - Decimal("12.345")) < Decimal("0.5") for trade in trades)
    assert list(burst_around_price("ANYUSDT", "12.345", START_MS, 5000, 2)) != trades


def test_a_burst_of_the_synthetic_market_is_part_of_its_next_second() -> None:
    market = SyntheticMarket(("BTCUSDT", "DOGEUSDT"), 400.0, 0)
    played = market.frames(START_MS)
    before = next(played)
    market.burst("BTCUSDT", 5000)
    market.burst("BTCUSDT", 10)
    rest = list(takewhile(lambda frame: frame.time_ms < START_MS + 3000, played))
    trades = [trade for frame in [before, *rest] for trade in frame.trades if trade["s"] == "BTCUSDT"]
    times = [trade["T"] for trade in trades]
    assert times == sorted(times)
    quiet = [trade["i"] for frame in frames(3) for trade in frame.trades if trade["s"] == "BTCUSDT"]
    added = {trade["i"]: trade["T"] for trade in trades if trade["i"] not in set(quiet)}
    assert len(trades) == len({trade["i"] for trade in trades}) == len(quiet) + 5010
    assert {time // 1000 for time in added.values()} == {START_MS // 1000 + 1}


def test_a_frame_has_at_most_1024_trades_and_the_next_may_share_its_time() -> None:
    trades = [{"T": 5, "i": str(number)} for number in range(2050)]
    assert [(len(frame.trades), frame.time_ms) for frame in frames_of("X", trades)] == [(1024, 6), (1024, 6), (2, 6)]
    apart = [{"T": time} for time in (0, 5, 6, 11, 12)]
    assert [len(frame.trades) for frame in frames_of("X", apart)] == [2, 2, 1]


def test_a_real_day_is_played_in_matching_order() -> None:
    days = asyncio.run(read_days(Folder(REAL).path, [("BTCUSDT", dt.date(2020, 3, 25))]))
    assert symbols_of(days.topics) == ["BTCUSDT"]
    played = [frame for frame in days.frames(0) if frame.trades]
    trades = [trade for frame in played for trade in frame.trades]
    assert len(trades) == 2693
    assert [trade["seq"] for trade in trades] == list(range(1, 2694))
    assert trades[0] == {
        "T": 1585132572982,
        "s": "BTCUSDT",
        "S": "Sell",
        "v": "0.001",
        "p": "6500",
        "L": "ZeroPlusTick",
        "i": "1876995b-1ff2-53fa-903d-b1e22e987196",
        "BT": False,
        "RPI": False,
        "seq": 1,
    }
    assert sum(Decimal(trade["v"]) for trade in trades) == Decimal("1809.52")
    assert days.first_ms == played[0].time_ms == 1585132572983


def test_what_cannot_be_played_is_refused(tmp_path: Path) -> None:
    day = dt.date(2020, 3, 26)
    with pytest.raises(ValueError, match=r"the archive has no BTCUSDT2020-03-26\.csv\.gz"):
        asyncio.run(read_days(Folder(tmp_path).path, [("BTCUSDT", day)]))
    (tmp_path / "BTCUSDT2020-03-26.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match=r"BTCUSDT2020-03-26\.csv\.gz is broken"):
        asyncio.run(read_days(Folder(tmp_path).path, [("BTCUSDT", day)]))
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(ValueError, match="a capture holds one websocket frame a line"):
        Capture(empty)


def test_a_capture_is_played_unchanged_and_never_back_in_time(tmp_path: Path) -> None:
    lines = ['{"topic":"publicTrade.B", "ts":5,"data":[]}', "{broken", '{"topic":"publicTrade.A","ts":3,"data":[]}']
    path = tmp_path / "capture.jsonl"
    path.write_text("\n\n".join(lines) + "\r\n")
    capture = Capture(path)
    assert symbols_of(capture.topics) == ["A", "B"]
    assert capture.first_ms == 5
    assert [(frame.text, frame.time_ms) for frame in islice(capture.frames(0), 9)] == [(line, 5) for line in lines]


def test_five_hundred_symbols_trade_in_frames_of_a_few_trades() -> None:
    symbols = further_symbols(500)
    market = SyntheticMarket(symbols, 5000.0, 0)
    found = trade_frames(market, 1)
    trades = [trade for frame in found for trade in frame.trades]
    assert 4700 < len(trades) < 5300
    assert len({trade["s"] for trade in trades}) > 480
    assert len(trades) / len(found) < 3
    assert {frame.topic for frame in found} <= {f"publicTrade.{symbol}" for symbol in symbols}
    assert (symbols[0], symbols[-1]) == ("X001USDT", "X500USDT")
