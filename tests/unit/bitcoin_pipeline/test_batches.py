"""The description of a batch: one pure function for the DAGs and the command line."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from bitcoin_pipeline.batches import CandlesJob, candles_batch
from bitcoin_pipeline.ingests import SymbolDay, parse_symbol_day

JOB = CandlesJob("project", "lake", "gs://artifacts/main.py", ("gs://artifacts/core.zip",), location="EU")
LOAD = [SymbolDay("BTCUSDT", dt.date(2024, 1, number)) for number in (1, 2)]
NO_TRADES = [SymbolDay("ETHUSDT", dt.date(2024, 1, 3))]


def test_a_batch() -> None:
    assert candles_batch(JOB, "candles-1", LOAD, NO_TRADES) == {
        "pyspark_batch": {
            "main_python_file_uri": "gs://artifacts/main.py",
            "python_file_uris": ["gs://artifacts/core.zip"],
            "args": [
                "--project=project",
                "--lake=lake",
                "--location=EU",
                "--batch-id=candles-1",
                "--day=BTCUSDT:2024-01-01",
                "--day=BTCUSDT:2024-01-02",
                "--no-trades=ETHUSDT:2024-01-03",
            ],
        },
        "runtime_config": {"version": "2.3"},
        "environment_config": {"execution_config": {}},
    }


def test_the_job_can_read_its_days_back() -> None:
    args = candles_batch(JOB, "candles-1", iter(LOAD))["pyspark_batch"]["args"]
    assert [parse_symbol_day(arg.removeprefix("--day=")) for arg in args if arg.startswith("--day=")] == LOAD


def test_network_and_account_where_they_are_given() -> None:
    job = replace(JOB, service_account="job@project", subnetwork="batches")
    assert candles_batch(job, "candles-1", LOAD)["environment_config"] == {
        "execution_config": {"service_account": "job@project", "subnetwork_uri": "batches"}
    }
