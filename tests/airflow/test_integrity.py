"""The DAGs as Airflow loads them from the built artifact: in seconds, and without a service."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bitcoin_pipeline.batches import candles_batch
from bitcoin_pipeline.deployment import BackfillSettings
from bitcoin_pipeline.settings import read_settings
from local.build import DAGS, artifact
from local.checkout import ROOT
from local.setup.environments import AIRFLOW

pytestmark = pytest.mark.airflow

ENVIRON = {
    "GOOGLE_CLOUD_PROJECT": "production",
    "PIPELINE_REGION": "europe-west1",
    "PIPELINE_LAKE": "lake",
    "BIGQUERY_LOCATION": "EU",
    "PIPELINE_FETCH_ARCHIVE_URL": "https://fetch-archive.example",
    "PIPELINE_STAGING": "staging",
    "PIPELINE_CANDLES_JOB": "gs://artifacts/candles/main.py",
    "PIPELINE_CANDLES_JOB_FILES": "gs://artifacts/candles/candles_batch.zip,gs://artifacts/candles/isal.zip",
    "PIPELINE_SYMBOLS": "BTCUSDT,ETHUSDT",
}
WORK = {"name": "20240101-0123456789abcdef", "manifest": {"load": {"BTCUSDT:2024-01-01": "v"}, "no_trades": []}}
PYTHON = ROOT / os.environ.get("AIRFLOW_ENVIRONMENT", AIRFLOW.folder) / "bin" / "python"


def inspect(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The outcome of `inspection.py` on the built artifact, which is written to the folder."""
    dags = folder / "dags"
    for path, content in artifact(DAGS).items():
        (dags / path).parent.mkdir(parents=True, exist_ok=True)
        (dags / path).write_bytes(content)
    airflow = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "HOME": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(PYTHON), str(Path(__file__).with_name("inspection.py")), str(dags), json.dumps(WORK)]
    return subprocess.run(
        command, env={**airflow, **environ}, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    outcome = inspect(tmp_path_factory.mktemp("dags"), **ENVIRON)
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    parsed = json.loads(outcome.stdout.splitlines()[-1])
    assert isinstance(parsed, dict)
    return parsed


def test_every_file_gives_one_dag_without_errors(found: dict[str, Any]) -> None:
    assert found["errors"] == {}
    assert sorted(found["dags"]) == ["bybit_backfill", "bybit_daily"]


def test_the_dags_import_in_a_tenth_of_a_second_each_and_reach_nothing(found: dict[str, Any]) -> None:
    assert found["seconds"] < 0.1 * len(found["dags"])
    assert found["events"] == []


def test_the_order_of_the_tasks(found: dict[str, Any]) -> None:
    assert found["dags"]["bybit_daily"]["tasks"] == {
        "archive": ["to_compute"],
        "to_compute": ["candles", "checked", "loaded"],
        "candles": ["checked", "loaded"],
        "loaded": [],
        "checked": [],
    }
    assert found["dags"]["bybit_backfill"]["tasks"] == {
        "periods": ["batch.fetch"],
        "batch.fetch": ["batch.candles", "batch.loaded"],
        "batch.candles": ["batch.loaded"],
        "batch.loaded": ["summary"],
        "summary": [],
    }


@pytest.mark.parametrize("name", ["bybit_daily", "bybit_backfill"])
def test_a_dag_documents_itself_retries_with_back_off_and_publishes_failures(found: dict[str, Any], name: str) -> None:
    dag = found["dags"][name]
    assert dag["kept"] == sorted(dag["tasks"])
    assert dag["doc"].startswith("Loads ")
    assert (dag["owners"], dag["tags"], dag["retries"]) == (["bitcoin-pipeline"], ["bybit"], [4])
    assert dag["callbacks"]
    assert dag["back_off"]
    assert not dag["catchup"]
    assert dag["max_active_runs"] in (1, 3)


def test_the_operator_submits_the_batch_of_the_command_and_defers(found: dict[str, Any]) -> None:
    name = f"candles-{WORK['name']}-1"
    expected = candles_batch(read_settings(BackfillSettings, ENVIRON).batch_job(), name, 1)
    assert found["submitted"]["batch"] == json.loads(json.dumps(expected, default=str))
    assert (found["submitted"]["batch_id"], found["submitted"]["manifests"]) == (name, [name])
    trigger, arguments = found["submitted"]["trigger"]
    assert trigger.endswith(".DataprocBatchTrigger")
    assert (arguments["batch_id"], arguments["project_id"]) == (name, "production")


def test_every_missing_setting_is_named_at_once(tmp_path: Path) -> None:
    outcome = inspect(tmp_path, GOOGLE_CLOUD_PROJECT="production")
    assert "PIPELINE_REGION is not set" in outcome.stdout + outcome.stderr
    assert "PIPELINE_SYMBOLS is not set" in outcome.stdout + outcome.stderr


@pytest.mark.parametrize("name", ["bybit_daily.py", "bybit_backfill.py"])
def test_a_dag_has_under_forty_lines_of_order_and_parameters(name: str) -> None:
    lines = artifact(DAGS)[name].decode().splitlines()
    assert len(lines) - lines.index("@dag(") < 40
