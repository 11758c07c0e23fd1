"""The trade history: last trades newest first, the exchange's klines, every trade in a file, and bounded memory."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from local.checkout import ROOT
from local.exchange.live.frames import read_capture
from local.exchange.live.history import TradeHistory
from local.exchange.live.klines import MINUTE_MS

CAPTURE = ROOT / "tests" / "fixtures" / "bybit" / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"


def trade(trade_id: str, time_ms: int, price: str, size: str = "1", **other: Any) -> dict[str, Any]:
    return {"T": time_ms, "s": "BTCUSDT", "S": "Buy", "v": size, "p": price, "i": trade_id, "seq": 7, **other}


def test_the_real_capture_makes_the_exchanges_own_kline(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path)
    for frame in read_capture(CAPTURE):
        history.add(frame.trades)
    assert history.counts() == {"BTCUSDT": 56}
    # The first is the exchange's own kline of that minute at 21:27:40.441, which includes the capture's last trade.
    assert list(history.klines("BTCUSDT", 0, 1786310860441)) == [
        ["1786310820000", "65114.2", "65114.3", "65113.1", "65114.3", "7.035", "458078.3588"],
        ["1786310760000", "65114.2", "65114.2", "65114.2", "65114.2", "0.004", "260.4568"],
    ]


def test_a_kline_opens_at_the_previous_close_which_counts_for_high_and_low(tmp_path: Path) -> None:
    #  minute     0            1    2     3
    #  trades     10 12 11     -    8 9   now
    history = TradeHistory(tmp_path)
    history.add([trade("a", 0, "10"), trade("b", 1, "12"), trade("c", 59_999, "11")])
    history.add([trade("d", 2 * MINUTE_MS, "8", "0.5"), trade("e", 2 * MINUTE_MS + 1, "9", "0.25")])
    assert list(history.klines("BTCUSDT", 0, 3 * MINUTE_MS + 5)) == [
        ["180000", "9", "9", "9", "9", "0", "0"],
        ["120000", "11", "11", "8", "9", "0.75", "6.25"],
        ["60000", "11", "11", "11", "11", "0", "0"],
        ["0", "10", "12", "10", "11", "3", "33"],
    ]
    assert list(history.klines("ETHUSDT", 0, 3 * MINUTE_MS)) == []
    assert [kline[0] for kline in history.klines("BTCUSDT", 1, 2 * MINUTE_MS - 1)] == ["60000"]
    assert [kline[0] for kline in history.klines("BTCUSDT", 120_000, 120_000)] == ["120000"]
    assert list(history.klines("BTCUSDT", 130_000, 170_000)) == []


def test_a_late_trade_counts_in_its_own_minute(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path)
    history.add([trade("a", 10, "10"), trade("b", MINUTE_MS, "20"), trade("c", 5, "3"), trade("d", 11, "12")])
    assert list(history.klines("BTCUSDT", 0, MINUTE_MS)) == [
        ["60000", "12", "20", "12", "20", "1", "20"],
        ["0", "10", "12", "3", "12", "3", "25"],
    ]


def test_sums_are_exact(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path)
    history.add([trade(str(n), n, "0.000012345", "123456789012345.678901234") for n in range(3)])
    assert next(history.klines("BTCUSDT", 0, 0))[5:] == ["370370367037037.036703702", "4572222181.07222221810720119"]


def test_recent_trades_are_the_last_thousand_newest_first(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path)
    history.add(trade(str(n), n // 2, "1") for n in range(1500))
    recent = [item["i"] for item in history.recent("BTCUSDT", 1000)]
    assert recent == [str(n) for n in range(1499, 499, -1)]
    assert [item["i"] for item in history.recent("BTCUSDT", 2)] == ["1499", "1498"]
    assert history.recent("ETHUSDT", 5) == []
    assert history.counts() == {"BTCUSDT": 1500}


def test_the_file_has_every_trade_once(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path / "played")
    assert history.file("BTCUSDT") is None
    history.add([trade("a", 5, "10.50", "0.10"), trade("b", 6, "11", seq=None), trade("a", 5, "10.50", "0.10")])
    log = history.file("BTCUSDT")
    assert log is not None
    assert [json.loads(line) for line in log.read_text().splitlines()] == [
        {"id": "a", "symbol": "BTCUSDT", "T": 5, "seq": 7, "price": "10.50", "size": "0.10", "side": "Buy"},
        {"id": "b", "symbol": "BTCUSDT", "T": 6, "seq": None, "price": "11", "size": "1", "side": "Buy"},
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"p": "0"},
        {"p": "x"},
        {"p": 5},
        {"v": None},
        {"T": "5"},
        {"S": "buy"},
        {"i": 4},
        {"s": "../BTCUSDT"},
        {"s": ""},
        {"s": None},
    ],
)
def test_what_is_no_trade_is_skipped(tmp_path: Path, change: dict[str, Any]) -> None:
    history = TradeHistory(tmp_path)
    history.add([trade("a", 5, "10") | change])
    assert history.counts() == {}
    assert list(tmp_path.iterdir()) == []


def test_minutes_are_kept_for_three_days(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path)
    history.add(trade(str(n), n * MINUTE_MS, "1") for n in range(5000))
    assert len(list(history.klines("BTCUSDT", 0, 4999 * MINUTE_MS))) == 4320


def test_a_trade_of_an_absurd_time_does_not_make_klines_endless(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path)
    now_ms = 1786310860441
    history.add([trade("a", 1, "10"), trade("b", 10**17, "20"), trade("c", now_ms, "30")])
    assert [kline[4] for kline in islice(history.klines("BTCUSDT", 0, now_ms), 3)] == ["30", "10", "10"]
    assert [kline[0] for kline in history.klines("BTCUSDT", now_ms - MINUTE_MS, now_ms)] == ["1786310820000"]


def test_stale_data_lack_the_newest_trades_and_their_volume(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path)
    history.add([trade("a", 10, "10"), trade("b", 59_000, "20", "0.5"), trade("c", MINUTE_MS + 5, "30")])
    assert [item["i"] for item in history.recent("BTCUSDT", 1000, 58_999)] == ["a"]
    assert [item["i"] for item in history.recent("BTCUSDT", 1, 59_000)] == ["b"]
    # At 60.5 s, with data that are 3 s old, the closed minute is the newest one and lacks a trade.
    (stale,) = history.klines("BTCUSDT", 0, 60_500, 57_500)
    assert (stale[0], stale[5:]) == ("0", ["1", "10"])
    assert [kline[5] for kline in history.klines("BTCUSDT", 0, 60_500)] == ["1", "1.5"]


def test_the_minute_within_which_a_recording_begins_has_no_kline_of_its_trades(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path, whole_from_ms=MINUTE_MS)
    history.add([trade("a", 50_000, "10"), trade("b", MINUTE_MS, "20"), trade("c", 2 * MINUTE_MS, "30")])
    assert [kline[0] for kline in history.klines("BTCUSDT", 0, 2 * MINUTE_MS)] == ["120000", "60000"]


def test_a_played_kline_stands_where_the_recording_began_within_the_minute(tmp_path: Path) -> None:
    history = TradeHistory(tmp_path)
    history.add([trade("a", 50_000, "10"), trade("b", MINUTE_MS, "10")])
    played = {"start": 0, "open": "9", "high": "12", "low": "8", "close": "10", "volume": "7.5", "turnover": "70"}
    history.add_klines("BTCUSDT", [played, {**played, "start": MINUTE_MS, "volume": "0.5"}, {"start": 5}])
    history.add_klines("ETHUSDT", [played])
    assert list(history.klines("BTCUSDT", 0, MINUTE_MS)) == [
        ["60000", "10", "10", "10", "10", "1", "10"],
        ["0", "9", "12", "8", "10", "7.5", "70"],
    ]
