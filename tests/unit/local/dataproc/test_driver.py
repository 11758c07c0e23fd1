"""The spark-submit of a job, and the message about its failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from local.dataproc.driver import SPARK_HOME, SparkJob, command, environment, failure, file_name

WORK = Path("/stack/dataproc/b/work")


def test_command() -> None:
    job = SparkJob(
        main="gs://artifacts/candles/main.py",
        python_files=("gs://artifacts/core.zip", "/job/transforms.py"),
        files=("file:///my%20data/words.txt",),
        args=("--day=BTCUSDT:2020-03-25", ""),
        conf={"spark.sql.shuffle.partitions": "4", "spark.master": "yarn"},
    )
    words = command(job, 2, WORK)
    assert words[0] == f"{SPARK_HOME}/bin/spark-submit"
    assert Path(words[0]).exists()
    conf = [words[at + 1] for at, word in enumerate(words) if word == "--conf"]
    assert "spark.sql.shuffle.partitions=4" in conf
    assert [item for item in conf if item.startswith("spark.master=")] == ["spark.master=local[2,4]"]
    assert words[words.index("--py-files") + 1] == f"{WORK}/core.zip,{WORK}/transforms.py"
    assert words[words.index("--files") + 1] == f"{WORK}/words.txt"
    assert words[-3:] == [f"{WORK}/main.py", "--day=BTCUSDT:2020-03-25", ""]


def test_tasks_are_repeated_as_often_as_on_dataproc() -> None:
    words = command(SparkJob("/main.py", conf={"spark.task.maxFailures": "7"}), 2, WORK)
    assert "spark.master=local[2,7]" in words


def test_environment_is_the_stacks_without_other_sparks() -> None:
    base = {
        "PATH": "/bin",
        "JAVA_HOME": "/java",
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:1",
        "SPARK_HOME": "/opt/spark",
        "SPARK_LOCAL_DIRS": "/mnt",
        "PYTHONPATH": "/elsewhere",
        "JAVA_TOOL_OPTIONS": "-Xmx1m",
    }
    found = environment(SparkJob("/main.py", environ={"NAME": "value"}), WORK, base)
    assert {name: found[name] for name in ("PATH", "JAVA_HOME", "BIGQUERY_EMULATOR_HOST", "NAME")} == {
        "PATH": "/bin",
        "JAVA_HOME": "/java",
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:1",
        "NAME": "value",
    }
    assert (found["SPARK_HOME"], found["SPARK_LOCAL_DIRS"]) == (str(SPARK_HOME), str(WORK / "spark"))
    assert found["PYSPARK_PYTHON"] == sys.executable
    assert found.keys().isdisjoint({"PYTHONPATH", "JAVA_TOOL_OPTIONS"})


TRACEBACK = "Traceback (most recent call last):\n  File 'main.py', line 1\n    raise\n"


@pytest.mark.parametrize(
    ("exit_code", "output", "message"),
    [
        (1, f"begins\n{TRACEBACK}ValueError: no such day\nends\n", "ValueError: no such day"),
        (1, f"{TRACEBACK}KeyError: 1\n\nDuring that:\n\n{TRACEBACK}api.NotFound: 404\n", "api.NotFound: 404"),
        (1, f"{TRACEBACK}AssertionError\n", "AssertionError"),
        (1, f"{TRACEBACK}", "exit code 1"),
        (2, "main.py: error: the following arguments are required: --day\n", "exit code 2"),
        (3, "", "exit code 3"),
        (-9, f"{TRACEBACK}ValueError: caught long ago\n", "killed by signal 9"),
    ],
)
def test_failure(exit_code: int, output: str, message: str) -> None:
    assert failure(exit_code, output) == message


def test_file_name() -> None:
    assert file_name("gs://bucket/a b/c%20d.py") == "c%20d.py"
    assert file_name("file:///a/c%20d.py") == "c d.py"
    assert file_name("/a/c%20d.py") == "c%20d.py"
