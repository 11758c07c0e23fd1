"""The dashboard on a real Postgres: validation of requests, streams that end in good order, upstreams that are away."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final

import psutil
import psycopg
import pytest
import requests

from local.checkout import ROOT
from local.waiting import wait_for
from tests.support.live import conninfo
from tests.support.processes import RunningStack

PATIENCE_SECONDS: Final = 60
NEWEST_S: Final = 1_786_310_760


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Postgres with an hour of one symbol, and the dashboard; neither Kafka nor BigQuery answers."""
    with RunningStack(tmp_path_factory.mktemp("dashboard"), ("metadata", "postgres")) as running:
        running.set_up("tables")
        with psycopg.connect(conninfo(running)) as connection:
            connection.execute(
                """
                INSERT INTO candles (symbol, open_time, open, high, low, close, volume, turnover, trade_count, status)
                SELECT 'BTCUSDT', to_timestamp(%(newest)s - 60 * n), 100, 101, 99, 100 + n / 1000.0, 1.5, 150, 3,
                  CASE n WHEN 0 THEN 'forming' ELSE 'final' END
                FROM generate_series(0, 59) AS n
                """,
                {"newest": NEWEST_S},
            )
            connection.execute(
                """
                INSERT INTO candles (symbol, open_time, open, high, low, close, volume, turnover, trade_count, status)
                SELECT 'ADAUSDT', to_timestamp(%(newest)s + at), 1, 1, 1, 1, 1, 1, 1, 'forming'
                FROM unnest(ARRAY[-60, 0, 60, 172800]) AS at
                """,
                {"newest": NEWEST_S},
            )
            connection.execute("INSERT INTO feed_status VALUES ('ADAUSDT', to_timestamp(%s + 30), 0, 0)", (NEWEST_S,))
        running.start("dashboard")
        yield running


def get(stack: RunningStack, path: str, **query: object) -> requests.Response:
    address = f"{stack.stack.url('dashboard')}{path}"
    return requests.get(address, params={name: str(value) for name, value in query.items()}, timeout=PATIENCE_SECONDS)


def test_live_candles_are_served_while_history_is_away(stack: RunningStack) -> None:
    answer = get(stack, "/api/candles", symbol="BTCUSDT", span=3600).json()
    assert answer["bars"]["t"] == [NEWEST_S - 60 * n for n in range(59, -1, -1)]
    assert answer["bars"]["close"][-3:] == [100.002, 100.001, 100]
    assert answer["interval"] == "1m"
    assert answer["newest"] == NEWEST_S
    assert answer["age_s"] is None
    assert answer["fault"]


def test_a_minute_of_the_future_is_not_the_newest(stack: RunningStack) -> None:
    answer = get(stack, "/api/candles", symbol="ADAUSDT", span=3600).json()
    assert answer["newest"] == NEWEST_S + 60
    assert answer["bars"]["t"] == [NEWEST_S - 60, NEWEST_S, NEWEST_S + 60]


def test_longer_bars_are_served(stack: RunningStack) -> None:
    bars = get(stack, "/api/candles", symbol="BTCUSDT", span=3600, interval="15m").json()["bars"]
    assert sum(bars["trade_count"]) == 180
    assert [t % 900 for t in bars["t"]] == [0] * len(bars["t"])
    assert bars["buy_volume"] == [None] * len(bars["t"])


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, "symbol is missing"),
        ({"symbol": "btc"}, "symbol: a symbol is 3 to 30 capital letters and digits such as BTCUSDT, got 'btc'"),
        ({"symbol": "A" * 10_000}, "symbol: a symbol is"),
        ({"symbol": "../../x"}, "symbol: a symbol is"),
        ({"symbol": "BTCUSDT';--"}, "symbol: a symbol is"),
        ({"symbol": "BTCUSDT", "interval": "7m"}, "interval must be one of 1m, 5m, 15m, 1h, 4h, 1d, auto, got '7m'"),
        ({"symbol": "BTCUSDT", "start": "-1"}, "start: must be whole seconds since 1970, at most 4102444800, got '-1'"),
        ({"symbol": "BTCUSDT", "end": "1e9"}, "end: must be whole seconds"),
        ({"symbol": "BTCUSDT", "end": "9999999999"}, "end: must be whole seconds"),
        ({"symbol": "BTCUSDT", "start": 10, "end": 10}, "start must be before end, got 10 and 10"),
        ({"symbol": "BTCUSDT", "slide": "yes"}, "slide must be one of 1, 0, got 'yes'"),
    ],
)
def test_wrong_parameters_are_refused(stack: RunningStack, query: dict[str, object], error: str) -> None:
    answer = get(stack, "/api/candles", **query)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(error)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"symbol": "BTCUSDT"}, "start is missing"),
        (
            {"symbol": "BTCUSDT", "start": 0, "end": 60, "format": "xls"},
            "format must be one of csv, parquet, got 'xls'",
        ),
    ],
)
def test_wrong_exports_are_refused(stack: RunningStack, query: dict[str, object], error: str) -> None:
    answer = get(stack, "/api/export", **query)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_nothing_is_exported_while_a_part_of_it_cannot_be_read(stack: RunningStack) -> None:
    answer = get(stack, "/api/export", symbol="BTCUSDT", interval="1m", start=NEWEST_S - 3540, end=NEWEST_S + 60)
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("history cannot be read now: ")


def test_an_unknown_path_of_the_api_is_refused(stack: RunningStack) -> None:
    answer = get(stack, "/api/orders")
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no /api/orders"})


def test_health_reports_each_upstream(stack: RunningStack) -> None:
    assert get(stack, "/live").json() == {"status": "live"}

    def reported() -> dict[str, Any] | None:
        health: dict[str, Any] = get(stack, "/ready").json()
        return health if health["trades"] != "ok" else None

    health = wait_for("the fault of the trades", reported, PATIENCE_SECONDS)
    assert health["live"] == "ok"


def test_the_page_loads_nothing_from_elsewhere(stack: RunningStack) -> None:
    answer = get(stack, "/")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "lightweight-charts-5.2.1.js" in answer.text


def test_a_module_is_served_compressed_and_kept_by_the_browser(stack: RunningStack) -> None:
    [address] = re.findall(r'"modulepreload"[^>]* href="([^"]+/chart.js)"', get(stack, "/").text)
    answer = get(stack, address)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_open_gaps_are_reported(stack: RunningStack) -> None:
    with psycopg.connect(conninfo(stack)) as connection:
        connection.execute("INSERT INTO feed_status VALUES ('SOLUSDT', to_timestamp(1786310790.5), 250, 2)")
        connection.execute(
            """
            INSERT INTO gaps (gap_id, symbol, from_time, to_time, state)
            SELECT 'g' || n, 'SOLUSDT', to_timestamp(%(newest)s + 60 * n), NULL,
              CASE n WHEN 0 THEN 'closed' ELSE 'opened' END
            FROM generate_series(0, 2) AS n
            """,
            {"newest": NEWEST_S},
        )
    viewer = Viewer(stack, symbol="SOLUSDT", interval="1m")

    def reported() -> dict[str, Any] | None:
        states = [event["state"] for event in viewer.events if "proven" in event.get("state", {})]
        return states[-1] if states else None

    state = wait_for("the feed's state", reported, PATIENCE_SECONDS)
    assert [state[name] for name in ("proven", "lag", "reconnects", "gaps")] == [1_786_310_790_500, 250, 2, 2]
    assert state["gaps_since"] == NEWEST_S + 60


def test_a_commit_that_took_long_is_read(stack: RunningStack) -> None:
    def write(open_s: int, stamped: str) -> None:
        with psycopg.connect(conninfo(stack)) as connection:
            connection.execute(
                "INSERT INTO candles (symbol, open_time, open, high, low, close, volume, turnover, trade_count, status,"
                " updated_at) VALUES ('XRPUSDT', to_timestamp(%s), 1, 1, 1, 1, 1, 1, 1, 'final',"
                " clock_timestamp() - %s::interval)",
                (open_s, stamped),
            )

    def newest() -> int | None:
        found: int | None = get(stack, "/api/candles", symbol="XRPUSDT").json()["newest"]
        return found

    write(NEWEST_S, "0 s")
    wait_for("the first minute", lambda: newest() == NEWEST_S, PATIENCE_SECONDS)
    write(NEWEST_S + 60, "10 s")
    wait_for("the minute that was stamped before it", lambda: newest() == NEWEST_S + 60, PATIENCE_SECONDS)


class Viewer:
    """A stream, read in a thread until it ends."""

    def __init__(self, stack: RunningStack, **query: object) -> None:
        address = f"{stack.stack.url('dashboard')}/api/stream"
        headers = {"Accept-Encoding": "gzip"}
        self._answer = requests.get(address, params=query, headers=headers, stream=True, timeout=PATIENCE_SECONDS)  # type: ignore[arg-type]
        self.events: list[Any] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._answer.iter_lines(chunk_size=1):
            if line.startswith(b"data: "):
                self.events.append(json.loads(line[6:]))
        self.ended.set()

    def wait_for(self, name: str) -> Any:
        def found() -> Any:
            return next((event for event in self.events if name in event), None)

        return wait_for(f"an event {name}", found, PATIENCE_SECONDS)


def test_a_commit_is_pushed_and_sigterm_ends_the_stream(stack: RunningStack) -> None:
    viewer = Viewer(stack, symbol="BTCUSDT", interval="1m")
    viewer.wait_for("reset")
    wait_for(
        "word of the tape",
        lambda: any(event.get("state", {}).get("trades") for event in viewer.events),
        PATIENCE_SECONDS,
    )
    with psycopg.connect(conninfo(stack)) as connection:
        connection.execute("UPDATE candles SET trade_count = 4, close = 100.75 WHERE status = 'forming'")
    bar = viewer.wait_for("bar")["bar"]
    assert bar[:8] == [NEWEST_S, 100, 101, 99, 100.75, 1.5, 150, 4]
    process = stack.processes.pop("dashboard")
    process.send_signal(signal.SIGTERM)
    assert viewer.ended.wait(PATIENCE_SECONDS)
    assert process.wait(PATIENCE_SECONDS) == 0
    phrases = [json.loads(line)["message"] for line in stack.log("dashboard").splitlines() if line.startswith("{")]
    assert phrases[-2:] == ["dashboard stops", "dashboard stopped"]
    stack.start("dashboard")


def rewrite(stack: RunningStack, minutes_ago: int, close: str, stamped: str) -> None:
    """Change a row as it would stand on another server: with another time of writing."""
    with psycopg.connect(conninfo(stack)) as connection:
        connection.execute("ALTER TABLE candles DISABLE TRIGGER guard_candle")
        connection.execute(
            f"UPDATE candles SET close = %s, updated_at = {stamped} WHERE open_time = to_timestamp(%s)",
            (close, NEWEST_S - 60 * minutes_ago),
        )
        connection.execute("ALTER TABLE candles ENABLE TRIGGER guard_candle")


def closes(stack: RunningStack) -> list[float]:
    found: list[float] = get(stack, "/api/candles", symbol="BTCUSDT", span=3600).json()["bars"]["close"]
    return found


def test_a_clock_that_ran_ahead_hides_nothing(stack: RunningStack) -> None:
    rewrite(stack, 3, "100.125", "now() + interval '1 hour'")
    wait_for("the row of a later hour", lambda: closes(stack)[-4] == 100.125, PATIENCE_SECONDS)
    rewrite(stack, 2, "100.25", "now()")
    wait_for("the row after it", lambda: closes(stack)[-3] == 100.25, PATIENCE_SECONDS)


def test_after_a_lost_connection_all_recent_rows_are_read_again(stack: RunningStack) -> None:
    rewrite(stack, 5, "100.375", "now() - interval '1 day'")
    with psycopg.connect(conninfo(stack)) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    wait_for("what the server holds now", lambda: closes(stack)[-6] == 100.375, PATIENCE_SECONDS)


def test_a_broker_that_goes_away_is_reported_and_comes_back(stack: RunningStack) -> None:
    def trades() -> str:
        state: str = get(stack, "/ready").json()["trades"]
        return state

    stack.start("kafka")
    stack.set_up("topics")
    wait_for("trades", lambda: trades() == "ok", PATIENCE_SECONDS)
    stack.kill("kafka")
    wait_for("the fault of the trades", lambda: trades() != "ok", PATIENCE_SECONDS)
    stack.start("kafka")
    wait_for("trades again", lambda: trades() == "ok", PATIENCE_SECONDS)


def test_upstreams_that_hang_are_reported_and_do_not_delay_the_end(stack: RunningStack) -> None:
    processes = [psutil.Process(stack.processes["postgres"].pid)]
    processes += processes[0].children(recursive=True)
    viewer = Viewer(stack, symbol="BTCUSDT", interval="1m")
    viewer.wait_for("reset")
    with socket.create_server(("127.0.0.1", stack.stack.ports["bigquery"])):  # accepts the query and never answers
        wait_for("a query to BigQuery", lambda: "still being read" in history_fault(stack), PATIENCE_SECONDS)
        try:
            for process in processes:
                process.suspend()
            wait_for("Postgres' silence", lambda: "no answer" in get(stack, "/ready").json()["live"], PATIENCE_SECONDS)
            wait_for("its age", lambda: any(event.get("state", {}).get("postgres") for event in viewer.events), 5)
            dashboard = stack.processes.pop("dashboard")
            dashboard.send_signal(signal.SIGTERM)
            assert dashboard.wait(10) == 0  # the time that Cloud Run allows
            assert viewer.ended.wait(PATIENCE_SECONDS)
        finally:
            for process in processes:
                process.resume()
    stack.start("dashboard")


def history_fault(stack: RunningStack) -> str:
    fault: str = get(stack, "/api/candles", symbol="ADAUSDT", span=3600).json()["fault"]
    return fault


def test_wrong_settings_are_all_reported_at_once() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "KAFKA", "GOOGLE"))}
    command = [sys.executable, str(ROOT / "cloudrun" / "dashboard" / "main.py")]
    wrong = {"PIPELINE_SYMBOLS": "btc", "DASHBOARD_CACHE_ROWS": "0", "PORT": "x"}
    done = subprocess.run(command, env={**environ, **wrong}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    reason = json.loads(done.stdout)["reason"]
    for variable in ("GOOGLE_CLOUD_PROJECT", "PGHOST", "KAFKA_BOOTSTRAP_SERVERS", *wrong):
        assert variable in reason
