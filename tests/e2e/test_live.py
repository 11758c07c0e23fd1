"""From the websocket to candles in Postgres through every real component, by the command alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bitcoin_pipeline.candle import Source, minute_candles
from bitcoin_pipeline.public_trade import to_trade
from bitcoin_pipeline.times import floor_us
from bitcoin_pipeline.trade import Trade
from local.stack import read_env_file
from local.waiting import wait_for
from tests.e2e.rows import csv_row
from tests.support.command import Pipeline

FIXTURES = Path(__file__).parent.parent / "fixtures" / "bybit"
CAPTURE = FIXTURES / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"
DAY = "2026-08-09"


def trades_in(frames: list[dict[str, Any]]) -> list[Trade]:
    """Every trade in the frames, each id once."""
    trades = (to_trade(item["s"], item) for frame in frames for item in frame["data"])
    return list({(trade.symbol, trade.trade_id): trade for trade in trades}.values())


def played_as(symbol: str, frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same frames as another symbol's, with ids of its own."""
    text = json.dumps(frames).replace("BTCUSDT", symbol)
    copies = json.loads(text)
    for frame in copies:
        for item in frame["data"]:
            item["i"] = f"{symbol.encode().hex()[:8]}{item['i'][8:]}"
    return list(copies)


@pytest.fixture(scope="module")
def frames() -> list[dict[str, Any]]:
    """The real capture, and the same market as two other symbols', interleaved."""
    real = [json.loads(line) for line in CAPTURE.read_text().splitlines()]
    together = [real, played_as("ETHUSDT", real), played_as("SOLUSDT", real)]
    return [frame for same_time in zip(*together, strict=True) for frame in same_time]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, frames: list[dict[str, Any]]) -> Iterator[Pipeline]:
    capture = tmp_path_factory.mktemp("capture") / "frames.jsonl"
    capture.write_text("".join(json.dumps(frame) + "\n" for frame in frames))
    pipeline = Pipeline(tmp_path_factory.mktemp("home"))
    pipeline.done("up", "--capture", str(capture), "--speed", "0")
    try:
        yield pipeline
    finally:
        pipeline.done("down", "--remove-data")


# recorded   21:26:59.680 ........ 21:27:42
# minutes    21:26 (joined late)   21:27 (from its start, and closed by the clock that runs on)
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
def test_a_capture_comes_out_exact(pipeline: Pipeline, frames: list[dict[str, Any]], symbol: str) -> None:
    trades = [trade for trade in trades_in(frames) if trade.symbol == symbol]
    first_minute = min(floor_us(trade.time_us) for trade in trades)
    expected = [csv_row(item) for item in minute_candles(trades, Source.LIVE, partial_minutes=[first_minute])]
    assert [row["status"] for row in expected] == ["partial", "final"]

    def printed() -> list[dict[str, str]]:
        return pipeline.done("candles", symbol, DAY, "--plane", "live", "--format", "csv").rows

    wait_for(f"{symbol}'s candles to be exact", lambda: printed() == expected, 120)
    # The archive has nothing of that day, so the best there is are the live ones.
    assert pipeline.done("candles", symbol, DAY, "--format", "csv").rows == expected


def test_published_candles_stand_in_bigquery(pipeline: Pipeline) -> None:
    environ = read_env_file(pipeline.home / "env")
    live = pipeline.done("candles", "BTCUSDT", DAY, "--plane", "live", "--format", "csv").rows
    for _ in range(2):  # the second call changes nothing
        answer = requests.post(environ["PIPELINE_PUBLISH_LIVE_URL"], timeout=120)
        assert answer.status_code == 200, answer.text
    query = "SELECT source, status, trade_count FROM candles WHERE symbol = 'BTCUSDT' ORDER BY open_time"
    assert pipeline.done("sql", query, "--format", "csv").rows == [
        {"source": "live", "status": row["status"], "trade_count": row["trade_count"]} for row in live
    ]
