"""The life of a stack: up, killed, up again, beside another one, and down without a trace."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xmlrpc.client import ServerProxy

import pytest

from local.environment import read_env_file
from local.stack.supervision import stack_processes
from local.waiting import wait_for
from tests.support.command import Pipeline
from tests.support.processes import RunningStack

pytestmark = pytest.mark.timeout(900)

STARTING_SECONDS = 400
"""Upper bound on the start of two stacks at once, on a busy machine."""


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path / "home")
    yield pipeline
    pipeline.done("down", "--remove-data")


def test_nothing_is_up_at_first(pipeline: Pipeline) -> None:
    assert "Nothing was up." in pipeline.done("down").err
    status = pipeline.run("status")
    assert (status.code, status.out) == (1, "")
    assert "start one with `pipeline up`" in status.err
    assert not pipeline.home.exists()


@dataclass(frozen=True, slots=True)
class Begun:
    """Three `up`s that began at once, two of `mine` and one of `other`, with their outputs and exit codes."""

    mine: Pipeline
    other: Pipeline
    ends_of_mine: list[tuple[str, int]]
    end_of_other: tuple[str, int]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """The stack of the next seven tests, in their order, and another one, which the third of them takes down."""
    # A small market, of which a stack loads one finished day.
    market = {"PIPELINE_SYMBOLS": "DOGEUSDT", "PIPELINE_SYNTHETIC_RATE": "0.2", "PIPELINE_HISTORY_DAYS": "1"}
    # A machine without Docker: no engine answers at that address.
    mine = Pipeline(tmp_path_factory.mktemp("mine") / "home", DOCKER_HOST="unix:///nowhere", **market)
    other = Pipeline(tmp_path_factory.mktemp("other"), **market)
    (other.home / "mine.txt").write_text("not the stack's")
    try:
        starting = [pipeline.start("up") for pipeline in (mine, mine, other)]
        ends = [(process.communicate(timeout=STARTING_SECONDS)[1], process.returncode) for process in starting]
        yield Begun(mine, other, ends[:2], ends[2])
    finally:
        mine.done("down", "--remove-data")
        other.done("down", "--remove-data")


def test_two_at_once_make_one_stack(begun: Begun) -> None:
    (refused, refused_code), (printed, code) = sorted(begun.ends_of_mine, key=lambda end: -end[1])
    assert (refused_code, code) == (1, 0)
    assert "another `pipeline up` or `down` is at work" in refused
    for done in ("kafka", "topics", "candles_job", "dashboard"):
        assert re.search(rf"^up: {done} \([0-9.]+ s\)$", printed, re.MULTILINE), printed
    assert re.search(r"^The stack is up after [0-9.]+ s\.$", printed, re.MULTILINE), printed
    assert "docker" not in printed.lower()
    assert printed.count("\n") < 60  # one line per event, not one per check
    assert begun.mine.status()["up"] is True


def test_a_finished_day_is_loaded_in_the_background(begun: Begun) -> None:
    query = "SELECT status, row_count FROM ingests WHERE symbol = 'DOGEUSDT'"

    def loaded() -> list[dict[str, str]]:
        return begun.mine.done("sql", query, "--format", "csv").rows

    rows = wait_for("the finished day, see logs/backfill.log", loaded, STARTING_SECONDS, 1)
    assert rows == [{"status": "loaded", "row_count": "17280"}]


def test_two_stacks_do_not_meet_and_leave_nothing(begun: Begun) -> None:
    printed, code = begun.end_of_other
    assert code == 0, printed
    mine, theirs = read_env_file(begun.mine.home / "env"), read_env_file(begun.other.home / "env")
    addresses = [name for name in mine if name.endswith(("_HOST", "_URL"))]
    assert addresses
    assert all(mine[name] != theirs[name] for name in addresses)

    begun.other.done("down", "--remove-data")
    assert stack_processes(begun.other.home) == []
    assert [path.name for path in begun.other.home.iterdir()] == ["mine.txt"]
    assert begun.mine.status()["up"] is True


def test_what_dies_is_started_again(begun: Begun) -> None:
    pipeline = begun.mine
    before = pipeline.pid("exchange")
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        services = {item["name"]: item for item in pipeline.status()["services"]}
        return services["exchange"]["pid"] not in (0, before) and services["exchange"]["answers"]

    wait_for("the supervisor to start the exchange again", is_back, 60)

    # A service that supervisord has given up, for example after many tries on a full disk, is started again by `up`.
    state = json.loads((pipeline.home / "stack.json").read_text())
    address = f"http://pipeline:{state['password']}@127.0.0.1:{state['ports']['supervisor']}/RPC2"
    ServerProxy(address).supervisor.stopProcess("exchange")
    assert pipeline.pid("exchange") == 0
    assert "is up already" not in pipeline.done("up").err
    assert pipeline.status()["up"] is True
    assert is_back()
    assert "is up already" in pipeline.done("up").err


def test_a_paused_producer_is_stopped_until_it_is_resumed(begun: Begun) -> None:
    pipeline = begun.mine
    assert "producer is paused." in pipeline.done("live", "pause").err
    assert (pipeline.pid("producer"), pipeline.run("status").code) == (0, 1)
    assert "producer runs again." in pipeline.done("live", "resume").err
    wait_for("the producer to work", lambda: pipeline.run("status").code == 0, 180)


def test_a_killed_supervisor_and_an_interrupted_up_are_taken_over(begun: Begun) -> None:
    pipeline = begun.mine
    supervisor = int((pipeline.home / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    orphans = {process.pid for process in stack_processes(pipeline.home)}
    assert orphans  # the supervisor of these has been killed
    assert pipeline.run("status").code == 1

    # An `up` that is killed after its begin leaves a running supervisor and no env file.
    interrupted = pipeline.start("up")
    wait_for("services of the second up", lambda: pipeline.status()["services"] and pipeline.pid("gcs"), 60)
    interrupted.kill()
    interrupted.communicate()
    pipeline.done("up")
    assert pipeline.status()["up"] is True
    assert not orphans & {process.pid for process in stack_processes(pipeline.home)}


def test_down_ends_what_writes_before_the_stores(begun: Begun) -> None:
    printed = begun.mine.done("down").err
    ended = re.findall(r"^down: (\w+) \([0-9.]+ s\)$", printed, re.MULTILINE)
    stores = {"kafka", "postgres", "bigquery", "gcs", "metadata", "pubsub"} & set(ended)
    assert set(ended[-len(stores) :]) == stores
    assert {"producer", "taskmanager", "publish_live"} <= set(ended)
    assert re.search(r"is down after [0-9.]+ s\.$", printed, re.MULTILINE), printed


def test_an_up_that_fails_says_why_and_leaves_nothing(pipeline: Pipeline) -> None:
    data = pipeline.home / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("cluster.id=another\nnode.id=7\nversion=1\n")
    outcome = pipeline.run("up")
    assert outcome.code == 1
    log = pipeline.home / "logs" / "kafka.log"
    assert re.search(
        rf"^error: kafka has ended 3 times \(.*Stored node id 7 doesn't match .*\); its log: {re.escape(str(log))}$",
        outcome.err,
        re.MULTILINE,
    ), outcome.err
    assert stack_processes(pipeline.home) == []
    assert log.exists()
    assert pipeline.status()["up"] is False


def test_an_interrupted_up_leaves_nothing(pipeline: Pipeline) -> None:
    starting = pipeline.start("up")
    wait_for("services of the up", lambda: pipeline.status()["services"] and pipeline.pid("gcs"), 60)
    starting.send_signal(signal.SIGINT)
    printed = starting.communicate(timeout=120)[1]
    assert starting.returncode == 130, printed
    assert "interrupted; the same command continues where it stopped" in printed
    assert stack_processes(pipeline.home) == []
    assert pipeline.status()["up"] is False


def live_candles(pipeline: Pipeline, symbol: str) -> list[dict[str, str]]:
    """The live candles of a symbol yesterday and today."""
    today = dt.datetime.now(dt.UTC).date()
    days = ((today - dt.timedelta(days=1)).isoformat(), today.isoformat())
    return pipeline.done("candles", symbol, *days, "--plane", "live", "--format", "csv").rows


def test_the_exchange_may_be_any_address_and_may_be_away(tmp_path: Path) -> None:
    """`--source bybit`, with a simulator outside of the stack in place of the exchange."""
    bybit = RunningStack(tmp_path / "bybit", ("exchange",))
    address = bybit.stack.url("exchange")
    pipeline = Pipeline(
        tmp_path / "home",
        PIPELINE_SYMBOLS="ETHUSDT,SOLUSDT",
        BYBIT_WS_URL=f"{address.replace('http', 'ws')}/v5/public/linear",
        BYBIT_REST_URL=address,
        BYBIT_ARCHIVE_URL=address,
        BYBIT_LISTING_URL=f"{address}/public.bybit.com/",
    )
    try:
        printed = pipeline.done("up", "--source", "bybit").err
        assert f"producer cannot work yet and goes on trying: ws{address.removeprefix('http')}" in printed
        assert pipeline.run("status").code == 1
        services = {item["name"]: item for item in pipeline.status()["services"]}
        assert (services["producer"]["answers"], services["producer"]["works"]) == (True, False)
        assert "exchange" not in services
        assert "there is no exchange simulator" in pipeline.run("fault", "drop").err

        with bybit:
            wait_for("the producer to find the exchange", lambda: pipeline.run("status").code == 0, 180)
            for symbol in ("ETHUSDT", "SOLUSDT"):
                wait_for(f"candles of {symbol}", partial(live_candles, pipeline, symbol), 120)
            pipeline.done("backfill", "ETHUSDT", "2024-01-01")
            assert pipeline.done("candles", "ETHUSDT", "2024-01-01", "--format", "csv").rows

        pipeline.done("down")
        refused = pipeline.run("up")
        assert refused.code == 1
        assert "came from --source bybit, and simulator's would mix with it" in refused.err
    finally:
        pipeline.done("down", "--remove-data")
    assert not pipeline.home.exists()


def test_files_of_a_market_are_not_the_exchange_itself(pipeline: Pipeline, tmp_path: Path) -> None:
    outcome = pipeline.run("up", "--source", "bybit", "--archive-dir", str(tmp_path))
    assert (outcome.code, "bybit is the exchange itself, not files of it" in outcome.err) == (2, True)


def test_a_folder_that_is_none_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    outcome = pipeline.run("up", "--archive-dir", str(tmp_path / "nowhere"))
    assert outcome.code == 1
    assert outcome.err == f"error: --archive-dir must be a folder, got {tmp_path / 'nowhere'}\n"
