"""kill -9 of everything on the live path while trades come: at the end the candles are the exchange's own trades."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator

import psutil
import psycopg
import pytest
import requests
from psycopg.rows import dict_row

from bitcoin_pipeline.candle import Candle, Source, Status, minute_candles
from bitcoin_pipeline.public_trade import to_trade
from bitcoin_pipeline.times import MINUTE_US, from_datetime
from local.stack import read_env_file
from local.waiting import wait_for
from tests.support.command import Pipeline

TARGETS = ("producer", "kafka", "taskmanager", "jobmanager", "postgres")
SECONDS = float(os.environ.get("CHAOS_SECONDS", "150"))
"""How long trades come; `make chaos` runs longer."""

PAUSE = 20.0
"""Between two kills."""

VALUES = (
    *("open", "high", "low", "close", "volume", "turnover", "trade_count", "buy_volume", "buy_turnover"),
    *("first_trade_id", "last_trade_id"),
)


@pytest.fixture
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A stack with the invented market at real time."""
    pipeline = Pipeline(tmp_path_factory.mktemp("home"))
    pipeline.done("up")
    try:
        yield pipeline
    finally:
        pipeline.done("down", "--remove-data")


# trades   |||||||||||||||||||||||||||||||||||||||||||||||||||| (silence from here on)
# killed      producer   kafka   taskmanager   jobmanager   postgres   ... and the connection is dropped
# rows     partial (joined late) | final or, where REST could not reach back, partial with its gap | ...
def test_candles_survive_kills(pipeline: Pipeline, record_property: Callable[[str, object], None]) -> None:
    environ = read_env_file(pipeline.home / "env")
    exchange, symbols = environ["BYBIT_REST_URL"], environ["PIPELINE_SYMBOLS"].split(",")
    wait_for("the first candles", lambda: len(stored(environ, symbols)) >= len(symbols), 120)
    rng = random.Random(7)
    targets: list[str] = []
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline or len(targets) < len(TARGETS):
        target = TARGETS[len(targets) % len(TARGETS)] if len(targets) < len(TARGETS) else rng.choice(TARGETS)
        kill(pipeline, target)
        targets.append(target)
        if len(targets) % 2 == 0:
            requests.post(f"{exchange}/control/faults", json={"fault": "drop"}, timeout=10).raise_for_status()
        until = time.monotonic() + PAUSE
        wait_for("the next kill", lambda until=until: time.monotonic() >= until, PAUSE + 5, pause=0.5)  # type: ignore[misc]
    closing_us = played_until(exchange) // MINUTE_US * MINUTE_US

    # Minutes that were over when the last kill had been got over: nothing more may come for them.
    wait_for("the market to pass that minute", lambda: played_until(exchange) >= closing_us + MINUTE_US, 120)
    truth = {
        (candle.symbol, candle.open_time_us): candle
        for symbol in symbols
        for candle in exchange_candles(exchange, symbol)
        if candle.open_time_us < closing_us
    }

    def rows() -> dict[tuple[str, int], dict[str, object]]:
        return {key: row for key, row in stored(environ, symbols).items() if key[1] < closing_us}

    def closed() -> bool:
        found = rows()
        return set(found) >= joined(truth, found) and all(row["status"] != Status.FORMING for row in found.values())

    wait_for("every minute to be closed", closed, 180)
    found, gaps = rows(), stored_gaps(environ)
    whole = {key for key, row in found.items() if row["status"] in (Status.FINAL, Status.REPAIRED)}
    different = [
        (key, name, found[key][name], getattr(truth[key], name))
        for key in sorted(whole)
        for name in VALUES
        if found[key][name] != getattr(truth[key], name)
    ]
    figures = {"killed": targets, "candles": len(found), "whole": len(whole), "differences": len(different)}
    record_property("figures", figures)
    assert different == [], figures
    # A minute is partial only where a gap says why.
    assert {key for key in found if key not in whole} <= gaps
    first = min(time_us for _, time_us in found)
    after_first = [key for key in found if key[1] > first]
    assert after_first
    assert len([key for key in after_first if key in whole]) * 2 >= len(after_first)


def joined(truth: Iterable[tuple[str, int]], found: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """The minutes of `truth` from the one on in which the feed was joined."""
    first = min((time_us for _, time_us in found), default=0)
    return {key for key in truth if key[1] > first}


def kill(pipeline: Pipeline, target: str) -> None:
    """SIGKILL of a service and of its children."""
    wait_for(f"{target} to run", lambda: pipeline.pid(target), 60)
    service = psutil.Process(pipeline.pid(target))
    for process in (service, *service.children(recursive=True)):
        os.kill(process.pid, signal.SIGKILL)


def played_until(exchange: str) -> int:
    """The exchange's time, microseconds."""
    answer = requests.get(f"{exchange}/v5/market/time", timeout=10).json()
    return int(answer["result"]["timeNano"]) // 1000


def exchange_candles(exchange: str, symbol: str) -> list[Candle]:
    """The candles of all trades that the exchange has made."""
    answer = requests.get(f"{exchange}/control/trades", params={"symbol": symbol}, timeout=60)
    trades = []
    for line in answer.text.splitlines():
        item = json.loads(line)
        wire = {"s": symbol, "i": item["id"], "T": item["T"], "seq": item["seq"]}
        wire |= {"p": item["price"], "v": item["size"], "S": item["side"]}
        trades.append(to_trade(symbol, wire))
    return minute_candles({trade.trade_id: trade for trade in trades}.values(), Source.LIVE)


def stored(environ: dict[str, str], symbols: list[str]) -> dict[tuple[str, int], dict[str, object]]:
    """Every live candle in Postgres by symbol and open time; none while the server is away."""
    try:
        with psycopg.connect(conninfo(environ), row_factory=dict_row) as connection:
            rows = connection.execute("SELECT * FROM candles WHERE symbol = ANY(%s)", (symbols,)).fetchall()
    except psycopg.OperationalError:
        return {}
    return {(row["symbol"], from_datetime(row["open_time"])): row for row in rows}


def stored_gaps(environ: dict[str, str]) -> set[tuple[str, int]]:
    """Symbol and minute of every gap in Postgres."""
    with psycopg.connect(conninfo(environ), row_factory=dict_row) as connection:
        rows = connection.execute("SELECT symbol, from_time FROM gaps").fetchall()
    return {(row["symbol"], from_datetime(row["from_time"]) // MINUTE_US * MINUTE_US) for row in rows}


def conninfo(environ: dict[str, str]) -> str:
    """Libpq's variables as a connection string."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE", "passfile": "PGPASSFILE"}
    return psycopg.conninfo.make_conninfo("", **{name: environ[variable] for name, variable in names.items()})
