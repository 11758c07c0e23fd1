"""The description and the id of a batch: pure functions for the DAGs and the command line."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import pytest

from bitcoin_pipeline.batches import (
    BATCH_TTL,
    CandlesJob,
    Manifest,
    candles_batch,
    candles_batch_id,
    manifest_json,
    manifest_object,
    manifest_of,
    parse_manifest,
    spark_properties,
)
from bitcoin_pipeline.ingests import (
    BatchDays,
    Fetched,
    FetchStatus,
    IngestStatus,
    Recorded,
    SymbolDay,
)

JOB = CandlesJob(
    "project", "lake", "gs://artifacts/main.py", ("gs://artifacts/core.zip",), staging="staging", location="EU"
)
LOAD = [SymbolDay("BTCUSDT", dt.date(2024, 1, number)) for number in (1, 2)]
NO_TRADES = [SymbolDay("ETHUSDT", dt.date(2024, 1, 3))]


def test_a_batch() -> None:
    assert candles_batch(JOB, "candles-1", 600) == {
        "pyspark_batch": {
            "main_python_file_uri": "gs://artifacts/main.py",
            "python_file_uris": ["gs://artifacts/core.zip"],
            "args": [
                "--project=project",
                "--lake=lake",
                "--location=EU",
                "--batch-id=candles-1",
                "--manifest=gs://staging/staging/candles-1/manifest.json",
            ],
        },
        "runtime_config": {
            "version": "2.3",
            "properties": {
                "spark.dynamicAllocation.enabled": "false",
                "spark.executor.instances": "2",
                "spark.executor.cores": "4",
                "spark.executor.memory": "1g",
                "spark.executor.memoryOverhead": "9g",
                "spark.driver.cores": "4",
                "spark.driver.memory": "2g",
                "spark.driver.memoryOverhead": "2g",
                "spark.executor.maxNumFailures": "100",
            },
        },
        "environment_config": {"execution_config": {"ttl": BATCH_TTL}},
    }


def test_network_and_account_where_they_are_given() -> None:
    job = replace(JOB, service_account="job@project", subnetwork="batches")
    assert candles_batch(job, "candles-1", 1)["environment_config"] == {
        "execution_config": {"ttl": BATCH_TTL, "service_account": "job@project", "subnetwork_uri": "batches"}
    }


@pytest.mark.parametrize(
    ("days", "executors"), [(0, "2"), (1, "2"), (600, "2"), (601, "3"), (1000, "4"), (1500, "5"), (100_000, "5")]
)
def test_a_batch_is_as_small_as_its_work(days: int, executors: str) -> None:
    assert spark_properties(days)["spark.executor.instances"] == executors


def test_the_limit_of_rejected_rows_reaches_the_job() -> None:
    job = replace(JOB, rejected_share=0.5, rejected_rows=0)
    assert candles_batch(job, "candles-1", 1)["pyspark_batch"]["args"][-2:] == [
        "--rejected-share=0.5",
        "--rejected-rows=0",
    ]


DAYS = BatchDays(load=tuple(LOAD), no_trades=tuple(NO_TRADES))
FETCHED = {
    LOAD[0]: Fetched(FetchStatus.STORED, "s-1", "e-1", "1"),
    LOAD[1]: Fetched(FetchStatus.STORED, "s-2", "e-2", "2"),
    NO_TRADES[0]: Fetched(FetchStatus.NO_TRADES),
}


def test_the_manifest_of_a_batch() -> None:
    manifest = manifest_of(DAYS, FETCHED)
    assert manifest == Manifest({LOAD[0]: "s-1", LOAD[1]: "s-2"}, tuple(NO_TRADES))
    content = manifest_json(manifest)
    assert content == (
        b'{"load": {"BTCUSDT:2024-01-01": "s-1", "BTCUSDT:2024-01-02": "s-2"}, "no_trades": ["ETHUSDT:2024-01-03"]}'
    )
    assert parse_manifest(content) == manifest
    assert manifest_object("candles-1") == "staging/candles-1/manifest.json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "Expecting"),
        (b"[]", "has the fields load and no_trades"),
        (b'{"load": {}}', "has the fields load and no_trades"),
        (b'{"load": {"BTCUSDT": ""}, "no_trades": []}', "a symbol-day is written SYMBOL:YYYY-MM-DD, got 'BTCUSDT'"),
        (b'{"load": {}, "no_trades": []}', "names at least one day"),
    ],
)
def test_what_is_no_manifest(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_manifest(content)


def test_the_same_work_has_the_same_batch_id() -> None:
    name = candles_batch_id(DAYS, FETCHED, {}, 1)
    # A second run of the command finds the files stored already.
    again = {item: Fetched(FetchStatus.UNCHANGED, answer.sha256) for item, answer in FETCHED.items()}
    assert candles_batch_id(DAYS, again, {}, 1) == name
    assert re.fullmatch(r"candles-20240101-[0-9a-f]{16}-1", name)


def test_other_work_has_another_batch_id() -> None:
    revised = FETCHED | {LOAD[0]: Fetched(FetchStatus.STORED, "s-3", "e-3", "3")}
    without_sha256 = FETCHED | {LOAD[0]: Fetched(FetchStatus.STORED, "", "e-1", "1")}
    failed = {LOAD[0]: Recorded(IngestStatus.FAILED, "s-1", "e-1", "candles-0")}
    ids = [
        candles_batch_id(DAYS, FETCHED, {}, 1),
        candles_batch_id(DAYS, FETCHED, {}, 2),
        candles_batch_id(DAYS, revised, {}, 1),
        candles_batch_id(DAYS, without_sha256, {}, 1),
        candles_batch_id(DAYS, FETCHED, failed, 1),  # a day that failed is computed again on request
        candles_batch_id(BatchDays(load=tuple(LOAD)), FETCHED, {}, 1),
        candles_batch_id(BatchDays(load=tuple(LOAD[:1])), FETCHED, {}, 1),
        candles_batch_id(BatchDays(no_trades=tuple(LOAD[:1])), FETCHED, {}, 1),
    ]
    assert len(set(ids)) == len(ids)


def test_a_batch_id_of_the_thousandth_try_has_the_form_that_dataproc_accepts() -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{2,61}[a-z0-9]", candles_batch_id(DAYS, FETCHED, {}, 1000))
