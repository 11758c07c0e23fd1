"""The Cloud Function `publish_live` under its real server, between Postgres and the BigQuery stand-in."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any, cast

import flask
import psycopg
import pytest
import requests
from psycopg.rows import dict_row

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.answers import Answer
from bitcoin_pipeline.settings import read_settings
from local.backing.warehouse import create_warehouse
from local.checkout import ROOT
from local.waiting import wait_for
from publish_live.handler import Handler
from publish_live.publication import publish
from publish_live.settings import Settings
from publish_live.warehouse import merge
from tests.support.processes import RunningStack

COLUMNS = ", ".join(schemas.table(names.CANDLES).names)
NOW = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)
SECONDS = 120


class World:
    """A running stack: live candles are written to Postgres, the function is called, BigQuery is read."""

    def __init__(self, running: RunningStack, database: psycopg.Connection[dict[str, Any]]) -> None:
        self.running = running
        self.database = database
        self.warehouse = running.bigquery()
        create_warehouse(self.warehouse)

    def clear(self) -> None:
        self.database.execute("TRUNCATE candles, gaps")
        for table in (names.CANDLES, names.CANDLE_HISTORY):
            self.query(f"TRUNCATE TABLE {table}")

    def write(self, symbol: str, minutes_ago: int, close: str, status: str = "final", **more: object) -> None:
        """Upserts one live candle as Flink does."""
        row = {
            **{"symbol": symbol, "open_time": NOW - dt.timedelta(minutes=minutes_ago), "source": "live"},
            **{"open": "1", "high": "123456789012345678.123456789", "low": "0.000000012", "close": close},
            **{"volume": "5", "turnover": "12345678901234567890123456789.123456789", "trade_count": 2},
            **{"buy_volume": "0", "buy_turnover": "0", "first_trade_id": "a", "last_trade_id": "b", "status": status},
            **more,
        }
        values = ", ".join(f"%({name})s" for name in row)
        update = ", ".join(f"{name} = excluded.{name}" for name in row)
        self.database.execute(
            f"INSERT INTO candles ({', '.join(row)}) VALUES ({values}) "
            f"ON CONFLICT (symbol, open_time, source) DO UPDATE SET {update}",
            row,
        )

    def write_many(self, count: int) -> None:
        """Writes `count` candles of one symbol, a minute apart, up to now."""
        self.database.execute(
            f"INSERT INTO candles ({COLUMNS}) SELECT 'BTCUSDT', %s - n * interval '1 minute', 'live', n, n, n, n, n, "
            "n, n, n, n, 'a', 'b', 'final', NULL, clock_timestamp() FROM generate_series(1, %s) AS n",
            (NOW, count),
        )

    def post(self) -> requests.Response:
        return requests.post(self.running.stack.url("publish_live"), timeout=SECONDS)

    def publish(self) -> dict[str, Any]:
        """Calls the function; returns its answer."""
        response = self.post()
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def query(self, query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.warehouse.query_and_wait(query)]

    def in_postgres(self) -> list[dict[str, Any]]:
        """The rows that BigQuery must hold."""
        return self.database.execute(
            f"SELECT {COLUMNS} FROM candles WHERE status <> 'forming' AND source = 'live' ORDER BY symbol, open_time"
        ).fetchall()

    def published(self, source: str = "live") -> list[dict[str, Any]]:
        return self.query(f"SELECT * FROM {names.CANDLES} WHERE source = '{source}' ORDER BY symbol, open_time")

    def history(self) -> list[dict[str, Any]]:
        return self.query(f"SELECT * FROM {names.CANDLE_HISTORY} ORDER BY replaced_at")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("publish-live")
    services = ("metadata", "bigquery", "postgres", "publish_live")
    with RunningStack(home, services) as running, pytest.MonkeyPatch.context() as patch:
        running.set_environment(patch)
        running.set_up("tables")
        with psycopg.connect("", autocommit=True, row_factory=dict_row) as database:
            database.execute("SET timezone TO 'UTC'")
            yield World(running, database)


@pytest.fixture
def world(stack: World) -> World:
    stack.clear()
    return stack


def test_what_is_not_forming_is_published_as_it_stands(world: World) -> None:
    world.write("BTCUSDT", 1, "2", "forming")
    world.write("BTCUSDT", 2, "0.000000001")
    world.write("BTCUSDT", 3, "2", "partial")
    world.write("DOGEUSDT", 2, "2", "repaired", trade_count=None, buy_volume=None, first_trade_id=None)
    world.write("BTCUSDT", 2, "7", source="kline")
    answer = world.publish()
    newest = max(row["updated_at"] for row in world.in_postgres())
    assert answer == {"sent": 3, "until": newest.isoformat(), "more": False, "busy": False, "pruned": 0}
    published = world.published()
    assert published == world.in_postgres()
    assert [(row["symbol"], row["close"], row["status"], row["trade_count"]) for row in published] == [
        ("BTCUSDT", Decimal(2), "partial", 2),
        ("BTCUSDT", Decimal("0.000000001"), "final", 2),
        ("DOGEUSDT", Decimal(2), "repaired", None),
    ]
    assert published[0]["turnover"] == Decimal("12345678901234567890123456789.123456789")
    assert world.published("kline") == []


def test_a_repeated_call_changes_nothing(world: World) -> None:
    assert world.publish() == {"sent": 0, "until": None, "more": False, "busy": False, "pruned": 0}
    world.write("BTCUSDT", 2, "2")
    assert world.publish()["sent"] == 1
    jobs = {job.job_id for job in world.warehouse.list_jobs() if job.job_id.startswith("publish-live")}
    assert world.publish() == {"sent": 0, "until": None, "more": False, "busy": False, "pruned": 0}
    assert world.published() == world.in_postgres()
    # The repeated call has not started any job that writes.
    assert {job.job_id for job in world.warehouse.list_jobs() if job.job_id.startswith("publish-live")} == jobs


def test_a_candle_that_changes_leaves_its_old_values_in_the_history(world: World) -> None:
    world.write("BTCUSDT", 3, "2", "partial")
    world.write("BTCUSDT", 2, "5")
    world.write("BTCUSDT", 1, "6", "forming")
    assert world.publish()["sent"] == 2
    old = world.in_postgres()[0]
    untouched = world.in_postgres()[1]
    world.write("BTCUSDT", 3, "3", "repaired", trade_count=9)
    world.write("BTCUSDT", 1, "6")
    assert world.publish()["sent"] == 2
    assert [(row["close"], row["status"]) for row in world.published()] == [
        (Decimal(3), "repaired"),
        (Decimal(5), "final"),
        (Decimal(6), "final"),
    ]
    assert world.published()[1] == untouched
    [replaced] = world.history()
    assert replaced.pop("replaced_by").startswith("publish-live-")
    assert replaced.pop("replaced_at") > old["updated_at"]
    assert replaced == old
    world.publish()
    assert len(world.history()) == 1


def test_confirmed_is_copied_and_makes_no_history_alone(world: World) -> None:
    world.write("BTCUSDT", 4, "2", confirmed=True)
    world.write("BTCUSDT", 3, "2", confirmed=False)
    world.write("BTCUSDT", 2, "2")
    assert world.publish()["sent"] == 3
    assert [row["confirmed"] for row in world.published()] == [True, False, None]
    world.write("BTCUSDT", 3, "2", confirmed=True)
    assert world.publish()["sent"] == 1
    assert [row["confirmed"] for row in world.published()] == [True, True, None]
    assert world.published() == world.in_postgres()
    assert world.history() == []


def gaps(world: World) -> list[str]:
    return [row["gap_id"] for row in world.database.execute("SELECT gap_id FROM gaps ORDER BY gap_id")]


# days ago   |37 a b f   |36 c   |35 d   |34 ...   kept: the whole days from 35 days ago on
def test_what_is_old_and_published_leaves_postgres(world: World) -> None:
    day = 1440
    for symbol, minutes_ago, status, written_days_ago in (
        ("A", 37 * day, "final", 37),
        ("B", 37 * day + 5, "partial", 37),
        ("F", 37 * day, "forming", 37),
        ("D", 35 * day - 5, "final", 34),
        ("H", 37 * day, "final", 0),  # of a recording that is played now
    ):
        world.write(symbol, minutes_ago, "2", status, updated_at=NOW - dt.timedelta(days=written_days_ago))
    for gap_id, symbol, minutes_ago, minutes, state in (
        ("1", "B", 37 * day + 5, 1, "opened"),
        ("2", "C", 36 * day + 1440, 0, "closed"),
        ("3", "D", 35 * day - 5, 1, "closed"),
        ("4", "E", 40 * day, None, "opened"),
        ("5", "G", 37 * day, 3 * day, "opened"),
    ):
        opened = NOW - dt.timedelta(minutes=minutes_ago)
        ended = None if minutes is None else opened + dt.timedelta(minutes=minutes)
        world.database.execute("INSERT INTO gaps VALUES (%s, %s, %s, %s, %s)", (gap_id, symbol, opened, ended, state))
    answer = world.publish()
    assert (answer["sent"], answer["pruned"]) == (4, 2)
    assert [row["symbol"] for row in world.published()] == ["A", "B", "D", "H"]
    assert [row["symbol"] for row in world.in_postgres()] == ["D", "H"]
    forming = world.database.execute("SELECT symbol FROM candles WHERE status = 'forming'").fetchall()
    assert forming == [{"symbol": "F"}]
    # A gap goes when it has an end and BigQuery has the candles that it touched.
    assert gaps(world) == ["3", "4", "5"]
    assert world.publish()["pruned"] == 0
    assert [row["symbol"] for row in world.published()] == ["A", "B", "D", "H"]


def test_what_bigquery_lacks_stays_in_postgres(world: World) -> None:
    written_at = NOW - dt.timedelta(days=40)
    for minute in range(3):
        world.write("BTCUSDT", 40 * 1440 - minute, "2", updated_at=written_at)
    now, keep = dt.datetime.now(dt.UTC), dt.timedelta(days=39)
    assert publish(world.warehouse, now, keep * 2)["sent"] == 3
    world.write("ETHUSDT", 1, "2")  # after it, rows that were written 40 days ago count as published
    assert publish(world.warehouse, now, keep * 2)["sent"] == 1
    lost, *_, newest = world.in_postgres()
    world.query(f"DELETE FROM {names.CANDLES} WHERE open_time = '{lost['open_time'].isoformat()}'")
    # Two rows a call, of which one is not in BigQuery.
    for _ in range(2):
        assert publish(world.warehouse, now, keep, rows_per_call=2)["pruned"] == 1
    assert publish(world.warehouse, now, keep, rows_per_call=2)["pruned"] == 0
    assert world.in_postgres() == [lost, newest]


def test_other_sources_stay(world: World) -> None:
    open_time, tomorrow = (NOW - dt.timedelta(minutes=2)).isoformat(), (NOW + dt.timedelta(days=1)).isoformat()
    columns = "symbol, open_time, source, open, high, low, close, volume, turnover, status, updated_at"
    for source in ("archive", "kline"):
        values = f"'BTCUSDT', '{open_time}', '{source}', 1, 1, 1, 1, 1, 1, 'final', '{tomorrow}'"
        world.query(f"INSERT INTO {names.CANDLES} ({columns}) VALUES ({values})")
    before = world.published("archive") + world.published("kline")
    world.write("BTCUSDT", 2, "2")
    world.publish()
    world.write("BTCUSDT", 2, "3", trade_count=3)
    world.publish()
    assert world.published() == world.in_postgres()
    assert world.published("archive") + world.published("kline") == before
    assert [row["source"] for row in world.history()] == ["live"]


def test_what_was_committed_late_is_not_missed(world: World) -> None:
    """A transaction sets `updated_at`, another row is written and published, then the transaction commits."""
    with psycopg.connect("") as late:
        late.execute(
            "INSERT INTO candles (symbol, open_time, open, high, low, close, volume, turnover, status) "
            "VALUES ('BTCUSDT', %s, 1, 1, 1, 1, 1, 1, 'final')",
            (NOW - dt.timedelta(minutes=4),),
        )
        world.write("BTCUSDT", 3, "2")
        assert world.publish()["sent"] == 1
    assert world.publish()["sent"] == 1
    assert world.published() == world.in_postgres()


def test_it_goes_on_after_weeks_of_absence(world: World) -> None:
    month, week = 30 * 1440, 7 * 1440
    world.write("BTCUSDT", month, "1", updated_at=NOW - dt.timedelta(minutes=month))
    assert world.publish()["sent"] == 1
    assert world.publish()["sent"] == 0
    world.write("BTCUSDT", week, "2", updated_at=NOW - dt.timedelta(minutes=week))
    world.write("BTCUSDT", 1, "3")
    assert world.publish()["sent"] == 2
    assert world.published() == world.in_postgres()


def test_a_restored_postgres_writes_no_history_where_values_are_equal(world: World) -> None:
    world.write("BTCUSDT", 3, "2")
    world.write("BTCUSDT", 2, "2")
    world.publish()
    world.database.execute("TRUNCATE candles")
    world.write("BTCUSDT", 3, "2")
    world.write("BTCUSDT", 2, "4")
    assert world.publish()["sent"] == 2
    assert world.published() == world.in_postgres()
    assert [row["close"] for row in world.history()] == [Decimal(2)]


def test_calls_at_once_publish_every_candle_once(world: World) -> None:
    world.write_many(500)
    with ThreadPoolExecutor(2) as pool:
        answers = [call.result() for call in [pool.submit(world.publish) for _ in range(2)]]
    assert sorted(answer["sent"] for answer in answers) == [0, 500]
    assert world.published() == world.in_postgres()
    assert world.history() == []


def test_a_conflict_that_lasts_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("BTCUSDT", 2, "2")
    monkeypatch.setattr("publish_live.warehouse.CONFLICT_TIMEOUT_S", 2)
    handler = Handler(read_settings(Settings, os.environ))
    done = threading.Event()

    def hold() -> None:
        while not done.is_set():
            world.query(f"UPDATE {names.LOCKS} SET locked_at = CURRENT_TIMESTAMP() WHERE TRUE")

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        with flask.Flask("test").test_request_context(method="POST"):
            body, status, _ = cast(Answer, handler.handle(flask.request))
        done.set()
        holding.result()
    assert (status, world.published()) == (503, [])
    assert "concurrent update" in body["error"]
    assert world.publish()["sent"] == 1


def test_an_older_row_never_replaces_a_newer_one(world: World) -> None:
    """The merge of a call is delayed until a later call has published."""
    world.write("BTCUSDT", 2, "2", "partial")
    late = world.in_postgres()
    world.write("BTCUSDT", 2, "3", "repaired")
    world.publish()
    merge(world.warehouse, late, dt.datetime.now(dt.UTC))
    assert world.published() == world.in_postgres()
    assert world.history() == []


def test_a_call_is_bounded_and_the_next_goes_on(world: World) -> None:
    world.write_many(5)
    newest = [row["updated_at"].isoformat() for row in sorted(world.in_postgres(), key=lambda row: row["updated_at"])]
    now, keep = dt.datetime.now(dt.UTC), dt.timedelta(days=35)
    call = partial(publish, world.warehouse, now, keep, rows_per_call=4, rows_per_transaction=2)
    assert call(budget_s=0) == {"sent": 0, "until": None, "more": True, "busy": False, "pruned": 0}
    assert call() == {"sent": 4, "until": newest[3], "more": True, "busy": False, "pruned": 0}
    assert call() == {"sent": 1, "until": newest[4], "more": False, "busy": False, "pruned": 0}
    assert world.published() == world.in_postgres()


def test_a_call_killed_midway_is_made_good_by_the_next(world: World) -> None:
    world.write_many(4500)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(world.post)
        wait_for("the first transaction", lambda: len(world.published()) or call.done(), SECONDS)
        world.running.kill("publish_live")
        assert isinstance(call.exception(SECONDS), requests.ConnectionError)
    kept = len(world.published())
    assert 0 < kept < 4500
    world.running.start("publish_live")
    assert world.publish()["sent"] <= 4500 - 2000
    assert world.published() == world.in_postgres()
    assert world.history() == []


def test_only_post(world: World) -> None:
    response = requests.get(world.running.stack.url("publish_live"), timeout=SECONDS)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


def test_all_faults_of_the_settings_come_at_once_when_the_server_starts() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "GOOGLE", "BIGQUERY"))}
    command = [sys.executable, str(ROOT / "functions" / "publish_live" / "main.py")]
    process = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=60)
    assert process.returncode == 1
    for variable in ("GOOGLE_CLOUD_PROJECT", "BIGQUERY_LOCATION", "PGHOST", "PGUSER", "PGDATABASE"):
        assert f"{variable} is not set" in process.stderr


def test_an_unreachable_service_is_named(world: World) -> None:
    world.write("BTCUSDT", 2, "2")
    world.running.kill("postgres")
    response = world.post()
    assert response.status_code == 503
    assert "Postgres failed" in response.json()["error"]
    world.running.start("postgres")
    world.running.kill("bigquery")
    response = world.post()
    assert response.status_code == 503
    assert "BigQuery failed" in response.json()["error"]
    world.running.start("bigquery")
    assert world.publish()["sent"] == 1
