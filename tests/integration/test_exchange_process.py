"""The exchange simulator as a process: its log, its exit codes and the files that it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from websockets.sync.client import connect

from local.checkout import ROOT
from local.stack.ports import free_ports
from local.waiting import answers, wait_for
from tests.support.processes import RunningStack

CAPTURE = ROOT / "tests" / "fixtures" / "bybit" / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"
SYMBOL_FILE = "/trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz"


@contextmanager
def running(port: int, *options: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "local.exchange", f"--port={port}", *options],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for("the exchange to answer", lambda: answers(f"http://127.0.0.1:{port}/control/health"))
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture
def port() -> int:
    return free_ports(["exchange"])["exchange"]


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
        body: bytes = response.read()
        return body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_code_0_and_leaves_no_file(port: int, tmp_path: Path, number: signal.Signals) -> None:
    with running(port, "--trades-per-day=100", TMPDIR=str(tmp_path)) as process:
        size = len(get(port, SYMBOL_FILE))
        assert len(list(tmp_path.rglob("*.csv.gz"))) == 1
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert [json.loads(line) for line in output.splitlines()] == [
        {"event": "exchange started", "port": port, "serves": "the synthetic market"},
        {"event": "file made", "file": "BTCUSDT2020-03-25.csv.gz", "trades": 100, "bytes": size},
        {"event": "exchange stopped"},
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_cache_outlives_a_kill(port: int, tmp_path: Path) -> None:
    options = ("--trades-per-day=100", f"--cache-dir={tmp_path / 'cache'}")
    with running(port, *options) as process:
        before = get(port, SYMBOL_FILE)
        process.kill()
    with running(port, *options) as process:
        assert get(port, SYMBOL_FILE) == before
        process.terminate()
        output, _ = process.communicate(timeout=20)
    assert "file made" not in output


def test_a_running_download_does_not_delay_the_end(port: int) -> None:
    with running(port, f"--archive-dir={ROOT / 'tests/fixtures/bybit'}") as process:
        fault = json.dumps({"fault": "slow", "bytes_per_second": 10}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{port}/control/faults", fault, timeout=20).close()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{SYMBOL_FILE}", timeout=20) as response:
            assert response.read(1)
            process.terminate()
            output, _ = process.communicate(timeout=8)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in output.splitlines()] == [
        "exchange started",
        "fault set",
        "exchange stopped",
    ]


def test_a_stack_plays_a_capture_and_open_connections_do_not_delay_its_end(tmp_path: Path) -> None:
    lines = CAPTURE.read_text().splitlines()
    with RunningStack(tmp_path, ("exchange",), CAPTURE.parent, capture=CAPTURE, speed=0.0) as stack:
        environ = stack.stack.environ()
        with connect(environ["BYBIT_WS_URL"]) as socket:
            socket.send('{"op":"subscribe","args":["publicTrade.BTCUSDT"]}')
            assert json.loads(socket.recv(20))["success"]
            assert [socket.recv(20) for _ in lines] == lines
            port = stack.stack.ports["exchange"]
            assert environ["BYBIT_REST_URL"] == f"http://127.0.0.1:{port}"
            # The last frame's `ts`, or later: the request may come within the same millisecond.
            assert json.loads(get(port, "/v5/market/time"))["time"] >= 1786310859455
            process = stack.processes["exchange"]
            process.terminate()
            assert process.wait(8) == 0
        # Its cache below the stack's home keeps every trade.
        assert len((tmp_path / "exchange" / "played" / "BTCUSDT.jsonl").read_text().splitlines()) == 56


def test_a_large_file_is_sent_in_little_memory(port: int, tmp_path: Path) -> None:
    with (tmp_path / "BTCUSDT2020-03-25.csv.gz").open("wb") as file:
        file.truncate(100 << 20)
    with running(port, f"--archive-dir={tmp_path}") as process:
        memory = psutil.Process(process.pid).memory_info().rss
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{SYMBOL_FILE}", timeout=60) as response:
            received = 0
            while piece := response.read(1 << 20):
                received += len(piece)
        assert received == 100 << 20
        assert psutil.Process(process.pid).memory_info().rss - memory < 20 << 20


def test_it_listens_on_the_loopback_only(port: int) -> None:
    with running(port) as process:
        listening = [c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--archive-dir=/no/such/folder",), 2, "no such folder: /no/such/folder"),
        (("--ban-seconds=-1",), 2, "must be a number from 0, got '-1'"),
        (("--trades-per-day=x",), 2, "--trades-per-day: invalid number value: 'x'"),
        (("--speed=2",), 2, "--speed is for --capture and --play-day"),
        (("--symbols=XUSDT",), 2, "must be of 1000PEPEUSDT, BTCUSDT, DOGEUSDT, ETHUSDT, SOLUSDT with commas between"),
        (("--play-day=BTCUSDT",), 2, "must be such as BTCUSDT:2020-03-25, got 'BTCUSDT'"),
        (("--play-day=BTCUSDT:2019-01-01",), 1, "the archive has no BTCUSDT2019-01-01.csv.gz"),
        (("--capture=/no/such/file",), 1, "cannot play the market: [Errno 2] No such file"),
    ],
)
def test_wrong_options_are_refused(port: int, options: tuple[str, ...], code: int, message: str) -> None:
    command = [sys.executable, "-m", "local.exchange", f"--port={port}", *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (code, "")
    assert message in run.stderr


def test_a_port_in_use_is_reported_in_one_line(port: int) -> None:
    with running(port):
        command = [sys.executable, "-m", "local.exchange", f"--port={port}"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith(f"cannot serve on port {port}: ")
    assert run.stderr.count("\n") == 1
