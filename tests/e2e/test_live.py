"""From the websocket to candles in Postgres through every real component, by the command alone.

One stack plays one capture: the real one and an invented market, each also as other symbols whose frames come
duplicated, shuffled within two seconds, split, merged, and all of that; and a symbol that trades once. The stack lives
in another time zone, and the exchange's clock is months away from the machine's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from bitcoin_pipeline.candle import Candle, Source, Status, minute_candles
from bitcoin_pipeline.public_trade import to_trade
from bitcoin_pipeline.times import MINUTE_US, MS_US, SECOND_US, floor_us, iso
from bitcoin_pipeline.trade import Trade
from local.exchange.frames import frames_of
from local.exchange.invented_live import invented_second
from local.stack import read_env_file
from local.waiting import wait_for
from tests.e2e.rows import csv_row
from tests.support.command import Pipeline
from tests.support.disorder import DISORDERS, Frame, interleaved, recorded
from tests.support.whole_path import WholePath

FIXTURES: Final = Path(__file__).parent.parent / "fixtures" / "bybit"
CAPTURE: Final = FIXTURES / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"
DAY: Final = "2026-08-09"
FROM_MS: Final = 1_786_310_790_000
"""2026-08-09T21:26:30Z: the real capture begins half a minute later."""
UNTIL_MS: Final = FROM_MS + 290_000
SPEED: Final = 10
RATE: Final = 6.0
"""Trades a second of each invented symbol."""
BASES: Final = ("BTCUSDT", "ETHUSDT", "1000PEPEUSDT")
"""The first has the real trades."""
QUIET: Final = "QUIETUSDT"
QUIET_US: Final = 5 * MINUTE_US
ON_TIME_US: Final = 2 * SECOND_US


def played_as(symbol: str, base: str, frames: Iterable[Frame]) -> list[Frame]:
    """The same frames as another symbol's, with ids of its own."""
    copies: list[Frame] = json.loads(json.dumps(list(frames)).replace(base, symbol))
    for frame in copies:
        for item in frame["data"]:
            item["i"] = f"{symbol.encode().hex()[:8]}{item['i'][8:]}"
    return copies


def market(base: str) -> list[Frame]:
    """The frames of a base symbol, in order."""
    if base == "BTCUSDT":
        return [json.loads(line) for line in CAPTURE.read_text().splitlines()]
    seconds = range(FROM_MS // 1000, UNTIL_MS // 1000)
    trades = (trade for second in seconds for trade in invented_second(base, second, RATE, seed=4))
    return [json.loads(frame.text) for frame in frames_of(base, trades)]


def frames_by_symbol() -> dict[str, list[tuple[int, Frame]]]:
    """Every symbol's frames as they arrive."""
    only = {"T": FROM_MS, "s": QUIET, "S": "Buy", "v": "0.5", "p": "101.25", "L": "PlusTick", "seq": 1}
    only |= {"i": "00000000-0000-5000-8000-000000000001", "BT": False, "RPI": False}
    found = {QUIET: [(FROM_MS, {"topic": f"publicTrade.{QUIET}", "type": "snapshot", "ts": FROM_MS, "data": [only]})]}
    for base in BASES:
        frames = market(base)
        found[base] = recorded(frames)
        for word, disorder in DISORDERS.items():
            symbol = f"{word}{base}"
            found[symbol] = disorder(played_as(symbol, base, frames))
    return found


SYMBOLS: Final = [symbol for base in BASES for symbol in (base, *(f"{word}{base}" for word in DISORDERS))]


@pytest.fixture(scope="module")
def arrivals() -> dict[str, list[tuple[int, Frame]]]:
    return frames_by_symbol()


@pytest.fixture(scope="module")
def pipeline(
    tmp_path_factory: pytest.TempPathFactory, arrivals: dict[str, list[tuple[int, Frame]]]
) -> Iterator[Pipeline]:
    capture = tmp_path_factory.mktemp("capture") / "frames.jsonl"
    frames = interleaved(arrival for its in arrivals.values() for arrival in its)
    capture.write_text("".join(json.dumps(frame) + "\n" for frame in frames))
    pipeline = Pipeline(tmp_path_factory.mktemp("home"), TZ="Asia/Tokyo")
    try:
        pipeline.done("up", "--capture", str(capture), "--speed", str(SPEED))
        yield pipeline
    finally:
        pipeline.done("down", "--remove-data")


@pytest.fixture(scope="module")
def stack(pipeline: Pipeline) -> WholePath:
    return WholePath(pipeline.home)


def exact(frames: Iterable[Frame]) -> list[Candle]:
    """The candles of all that is in the frames, each id once; the minute in which the market was joined is partial."""
    trades: dict[str, Trade] = {}
    for frame in frames:
        for item in frame["data"]:
            trade = to_trade(item["s"], item)
            trades.setdefault(trade.trade_id, trade)
    return minute_candles(trades.values(), Source.LIVE, partial_minutes=[floor_us(FROM_MS * MS_US)])


# played     21:26:30 ......................................... 21:31:20, then the clock runs on
# minutes    21:26 (joined late)   21:27 (from its start)   ...   21:31 (closed by the clock)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_capture_comes_out_exact(stack: WholePath, arrivals: dict[str, list[tuple[int, Frame]]], symbol: str) -> None:
    expected = exact(frame for _, frame in arrivals[symbol])
    assert [candle.status for candle in expected] == [Status.PARTIAL] + [Status.FINAL] * (len(expected) - 1)

    def stored() -> list[Candle]:
        return [candle for key, candle in sorted(stack.candles().items()) if key[0] == symbol]

    try:
        wait_for(f"{symbol}'s candles to be exact", lambda: stored() == expected, 180, 0.2)
    except TimeoutError:
        assert stored() == expected


def test_disorder_reached_the_topic(stack: WholePath) -> None:
    """Trades that came after the proof of their minute's end have amended their candles above, or they show nothing."""
    late = stack.topic().after_their_minute
    assert [base for base in BASES if late[base]] == []
    assert sum(late[f"SHUFFLED{base}"] for base in BASES) > 0


def test_the_command_prints_them(pipeline: Pipeline, arrivals: dict[str, list[tuple[int, Frame]]]) -> None:
    for symbol in ("BTCUSDT", "MANGLED1000PEPEUSDT"):
        expected = [csv_row(candle) for candle in exact(frame for _, frame in arrivals[symbol])]
        assert pipeline.done("candles", symbol, DAY, "--plane", "live", "--format", "csv").rows == expected
        # The archive has nothing of that day, so the best there is are the live ones.
        assert pipeline.done("candles", symbol, DAY, "--format", "csv").rows == expected


def test_published_candles_stand_in_bigquery(pipeline: Pipeline) -> None:
    environ = read_env_file(pipeline.home / "env")
    live = pipeline.done("candles", "BTCUSDT", DAY, "--plane", "live", "--format", "csv").rows

    def published() -> bool:
        answer = requests.post(environ["PIPELINE_PUBLISH_LIVE_URL"], timeout=120)
        assert answer.status_code == 200, answer.text
        return not answer.json()["busy"]

    for _ in range(2):  # the second call changes nothing
        wait_for("the stack's own scheduled call to end", published, 120, 0.5)
    query = "SELECT source, status, trade_count FROM candles WHERE symbol = 'BTCUSDT' ORDER BY open_time"
    assert pipeline.done("sql", query, "--format", "csv").rows == [
        {"source": "live", "status": row["status"], "trade_count": row["trade_count"]} for row in live
    ]


# trades     21:26:30 |                                        | five minutes and more later
# its minute                                                [     |     ] final within 2 s of the exchange's time
def test_a_quiet_markets_only_trade_is_final_on_time(stack: WholePath) -> None:
    """Measured: Postgres' time of the row's last change, put on the exchange's clock, less the minute's end."""
    wait_for("five quiet minutes", lambda: stack.exchange_us() > FROM_MS * MS_US + QUIET_US, 120, 0.2)
    stack.fault("burst", symbol=QUIET, trades=1)

    def latest_us() -> int:
        return max(time_us for symbol, time_us in stack.candles() if symbol == QUIET)

    wait_for("the forming candle", lambda: latest_us() > FROM_MS * MS_US, 60)
    opened_us = latest_us()
    wait_for("the minute's end", lambda: stack.exchange_us() >= opened_us + MINUTE_US, 90)
    wait_for("the final candle", lambda: stack.finished_at_us(QUIET, opened_us), 60, 0.2)
    late_us = (stack.finished_at_us(QUIET, opened_us) or 0) - opened_us - MINUTE_US
    sys.stdout.write(f"final {late_us / SECOND_US:.3f} s after the minute's end at {iso(opened_us + MINUTE_US)}\n")
    assert 0 < late_us <= ON_TIME_US
    last_us = floor_us(opened_us) + MINUTE_US
    traded = minute_candles(stack.traded(QUIET, last_us), Source.LIVE, partial_minutes=[floor_us(FROM_MS * MS_US)])
    assert [candle for key, candle in sorted(stack.candles().items()) if key[0] == QUIET] == traded
    assert [candle.trade_count for candle in traded] == [1, 1]
