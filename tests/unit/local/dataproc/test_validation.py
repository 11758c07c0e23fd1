"""The requests that the Dataproc stand-in accepts, and its answers to all others."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from google.cloud import dataproc_v1 as dataproc

from bitcoin_pipeline.batches import CandlesJob, candles_batch
from local.dataproc import validation
from local.dataproc.driver import SparkJob
from local.dataproc.validation import RefusedError


def job_of(runtime: dict[str, Any] | None = None, **fields: Any) -> SparkJob:
    spark = {"main_python_file_uri": "gs://artifacts/main.py", **fields}
    batch = dataproc.Batch(pyspark_batch=spark, runtime_config={"version": "2.3", **(runtime or {})})
    return validation.parse_job(batch, "3.5.9")


def test_the_batch_that_we_submit_is_accepted() -> None:
    job = CandlesJob(
        "demo",
        "lake",
        "gs://artifacts/candles/main.py",
        ("gs://artifacts/candles/core.zip",),
        staging="staging",
        location="EU",
    )
    accepted = validation.parse_job(dataproc.Batch(candles_batch(job, "candles-1", 1500)), "3.5.9")
    assert (accepted.main, accepted.python_files) == (job.main_uri, job.file_uris)
    assert accepted.args[:4] == ("--project=demo", "--lake=lake", "--location=EU", "--batch-id=candles-1")


def test_properties_become_configuration_and_environment() -> None:
    properties = {"spark.executor.cores": "4", "spark.dataproc.driverEnv.NAME": "v", "spark.executorEnv.NAME": "w"}
    job = job_of({"properties": properties})
    assert job.conf == {"spark.executor.cores": "4", "spark.executorEnv.NAME": "w"}
    assert job.environ == {"NAME": "v"}


@pytest.mark.parametrize(
    ("code", "fields", "message"),
    [
        ("INVALID_ARGUMENT", {"runtime": {"version": ""}}, "runtime_config.version must be 2.3 or 3.0, got ''"),
        ("UNIMPLEMENTED", {"runtime": {"version": "3.0"}}, "runtime 3.0 has Spark 4.0, and Spark 3.5.9 is installed"),
        ("UNIMPLEMENTED", {"runtime": {"container_image": "i"}}, "does not support runtime_config.container_image"),
        ("UNIMPLEMENTED", {"jar_file_uris": ["gs://a/b.jar"]}, "does not support pyspark_batch.jar_file_uris"),
        ("INVALID_ARGUMENT", {"runtime": {"properties": {"hive.x": "1"}}}, "must begin with `spark.`, got hive.x"),
        (
            "INVALID_ARGUMENT",
            {"runtime": {"properties": {"spark.executor.cores": "2"}}},
            "spark.executor.cores must be 4, 8 or 16, got 2",
        ),
        (
            "INVALID_ARGUMENT",
            {"runtime": {"properties": {"spark.driver.memory": "1g"}}},
            "spark.driver.memory and memoryOverhead must be 1024m to 7424m a core, got 352m",
        ),
        (
            "INVALID_ARGUMENT",
            {"runtime": {"properties": {"spark.executor.memory": "1g", "spark.executor.memoryOverhead": "29g"}}},
            "spark.executor.memory and memoryOverhead must be 1024m to 7424m a core, got 7680m",
        ),
        (
            "INVALID_ARGUMENT",
            {"runtime": {"properties": {"spark.executor.memory": "lots"}}},
            "spark.executor.memory must be such as 4096m or 4g, got 'lots'",
        ),
        (
            "INVALID_ARGUMENT",
            {"runtime": {"properties": {"spark.executor.instances": "1"}}},
            "spark.executor.instances must be 2 to 2000, got 1",
        ),
        ("INVALID_ARGUMENT", {"main_python_file_uri": ""}, "must be gs://BUCKET/OBJECT or an absolute path, got ''"),
        ("INVALID_ARGUMENT", {"main_python_file_uri": "main.py"}, "or an absolute path, got 'main.py'"),
        ("INVALID_ARGUMENT", {"main_python_file_uri": "https://h/main.py"}, "or an absolute path"),
        ("INVALID_ARGUMENT", {"main_python_file_uri": "gs://main.py"}, "or an absolute path"),
        ("INVALID_ARGUMENT", {"main_python_file_uri": "/main.jar"}, "must end with .py, got '/main.jar'"),
        ("INVALID_ARGUMENT", {"python_file_uris": ["/core.whl"]}, "must end with .py or .egg or .zip"),
        ("INVALID_ARGUMENT", {"file_uris": ["/a/x", "file:///b/x"]}, "need different names, repeated: x"),
    ],
)
def test_refuses_what_cannot_run(code: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        job_of(**fields)
    assert refused.value.code == code
    assert message in str(refused.value)


def test_runs_python_only() -> None:
    with pytest.raises(RefusedError, match="batch_config must be set"):
        validation.parse_job(dataproc.Batch(), "3.5.9")
    with pytest.raises(RefusedError, match="runs pyspark_batch only, got spark_sql_batch"):
        validation.parse_job(dataproc.Batch(spark_sql_batch={"query_file_uri": "gs://a/b.sql"}), "3.5.9")


@pytest.mark.parametrize("batch_id", ["abcd", "a" * 63, "candles-2020-03-25"])
def test_batch_ids(batch_id: str) -> None:
    assert validation.parse_batch_id(batch_id) == batch_id


@pytest.mark.parametrize("batch_id", ["abc", "a" * 64, "Candles", "-abc", "abc-", "a_bcd", "../..", "abcd\n"])
def test_refused_batch_ids(batch_id: str) -> None:
    with pytest.raises(RefusedError, match="4 to 63 characters"):
        validation.parse_batch_id(batch_id)


def test_other_arguments() -> None:
    assert validation.parse_request_id("") is None
    assert validation.parse_request_id("a_B-9") == "a_B-9"
    assert validation.parse_parent("projects/p/regions/r") == "projects/p/locations/r"
    assert validation.parse_filter("") is None
    assert validation.parse_filter(' state = "FAILED"') == dataproc.Batch.State.FAILED
    for parse, wrong, code in (
        (validation.parse_request_id, "a" * 41, "INVALID_ARGUMENT"),
        (validation.parse_parent, "projects/../locations/r", "INVALID_ARGUMENT"),
        (validation.parse_filter, "state = GONE", "INVALID_ARGUMENT"),
        (validation.parse_filter, "state = FAILED OR state = RUNNING", "UNIMPLEMENTED"),
    ):
        with pytest.raises(RefusedError) as refused:
            parse(wrong)
        assert refused.value.code == code


def test_ttl() -> None:
    def of(**ttl: float) -> dt.timedelta:
        execution = {"ttl": dt.timedelta(**ttl)} if ttl else {}
        return validation.parse_ttl(dataproc.Batch(environment_config={"execution_config": execution}))

    assert of() == dt.timedelta(hours=4)
    assert of(minutes=10) == dt.timedelta(minutes=10)
    for wrong in ({"minutes": 9}, {"days": 15}):
        with pytest.raises(RefusedError, match="ttl must be from 0:10:00 to 14 days"):
            of(**wrong)
