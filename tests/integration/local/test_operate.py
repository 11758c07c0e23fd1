"""The command operates a deployed pipeline: its real Google clients, against the stand-in of the control plane."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.backing.metadata import MetadataServer
from local.checkout import ROOT
from local.control_plane.server import ControlPlaneServer
from local.control_plane.service import ControlPlane, Request
from local.control_plane.world import PROJECT
from local.stack.ports import free_ports
from tests.support.plane_requests import PLACE, REGION, plane, post

POOL = {"template": {"containers": [{"image": "x"}]}, "scaling": {"manualInstanceCount": 1}}


@pytest.fixture
def deployed() -> ControlPlane:
    """A project with a live plane and one batch."""
    made = plane()
    post(made, "run.googleapis.com", f"/v2/{PLACE}/workerPools?workerPoolId=producer", POOL)
    service = {"template": {"containers": [{"image": "x"}]}}
    post(made, "run.googleapis.com", f"/v2/{PLACE}/services?serviceId=dashboard", service)
    clusters = f"/v1/projects/{PROJECT}/regions/{REGION}/clusters"
    post(made, "dataproc.googleapis.com", clusters, {"clusterName": "candles", "config": {}})
    batch = {"pysparkBatch": {"mainPythonFileUri": "gs://a/main.py"}}
    post(made, "dataproc.googleapis.com", f"/v1/{PLACE}/batches?batchId=candles-1", batch)
    made.world.resources[f"dataproc.googleapis.com/v1/{PLACE}/batches/candles-1"]["state"] = "SUCCEEDED"
    bucket = {"name": f"{PROJECT}-flink", "location": "EU"}
    post(made, "storage.googleapis.com", f"/storage/v1/b?project={PROJECT}", bucket)
    checkpoint(made, "chk-7/_metadata")
    return made


def checkpoint(made: ControlPlane, name: str) -> None:
    """Store an object of a run's checkpoints."""
    target = f"/upload/storage/v1/b/{PROJECT}-flink/o?uploadType=media&name=checkpoints/plan/run/{name}"
    headers = {"Content-Type": "application/octet-stream"}
    made.answer(Request.of("storage.googleapis.com", "POST", target, headers, b"of Flink"))


@pytest.fixture
def environ(deployed: ControlPlane, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a command that reaches the deployed project and nothing else."""
    port = free_ports(("metadata",))["metadata"]
    with ControlPlaneServer(deployed, tmp_path) as server, MetadataServer(port, PROJECT) as metadata:
        threading.Thread(target=metadata.serve_forever, daemon=True).start()
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PIPELINE_HOME": str(tmp_path / "home"),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "PIPELINE_REGION": REGION,
            "PIPELINE_LAKE": f"{PROJECT}-lake",
            "BIGQUERY_LOCATION": "EU",
            "GCE_METADATA_HOST": f"127.0.0.1:{port}",
            "GCE_METADATA_IP": f"127.0.0.1:{port}",
            "HTTPS_PROXY": server.client_environ()["HTTPS_PROXY"],
            "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": str(server.certificate),
        }
        metadata.shutdown()


def pipeline(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.command", *words]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_status_shows_every_part(environ: dict[str, str], deployed: ControlPlane) -> None:
    outcome = pipeline(environ, "status", "--json")
    assert outcome.returncode == 0, outcome.stderr
    parts = {part["name"]: part for part in json.loads(outcome.stdout)["parts"]}
    assert parts["dashboard"]["detail"] == f"https://dashboard-{deployed.world.number}.{REGION}.run.app"
    assert (parts["producer"]["state"], parts["producer"]["detail"]) == (
        "SUCCEEDED",
        "revision producer-00001-abc, 1 instance",
    )
    assert (parts["flink"]["state"], parts["flink"]["works"]) == ("RUNNING", True)
    assert (parts["flink job"]["state"], parts["flink job"]["works"]) == ("RUNNING", True)
    assert parts["flink job"]["detail"].startswith(f"gs://{PROJECT}-flink/checkpoints, newest checkpoint 20")
    assert parts["last batch"]["state"] == "SUCCEEDED"
    assert parts["last batch"]["detail"].startswith("candles-1, 20")


def test_a_job_without_a_new_checkpoint_is_not_taken_for_running(
    environ: dict[str, str], deployed: ControlPlane
) -> None:
    key = f"storage.googleapis.com/storage/v1/b/{PROJECT}-flink/o"
    [metadata] = [item for name, item in deployed.world.resources.items() if name.startswith(f"{key}/")]
    metadata["updated"] = metadata["timeCreated"] = "2026-11-01T00:00:00.000000Z"
    checkpoint(deployed, "chk-8/part-of-an-incomplete-one")
    outcome = pipeline(environ, "status", "--json")
    parts = {part["name"]: part for part in json.loads(outcome.stdout)["parts"]}
    assert (outcome.returncode, parts["flink job"]["state"]) == (1, "STALLED"), outcome.stderr
    assert parts["flink job"]["detail"].endswith("newest checkpoint 2026-11-01T00:00:00Z")
    deployed.world.remove(next(name for name in deployed.world.resources if name.endswith("_metadata")))
    outcome = pipeline(environ, "status", "--json")
    parts = {part["name"]: part for part in json.loads(outcome.stdout)["parts"]}
    assert (outcome.returncode, parts["flink job"]["state"]) == (1, "no checkpoint yet"), outcome.stderr


def test_pause_and_resume_set_the_worker_pool(environ: dict[str, str], deployed: ControlPlane) -> None:
    pool = deployed.world.resources[f"run.googleapis.com/v2/{PLACE}/workerPools/producer"]
    paused = pipeline(environ, "live", "pause")
    assert (paused.returncode, pool["scaling"]["manualInstanceCount"]) == (0, 0), paused.stderr
    status = pipeline(environ, "status")
    assert (status.returncode, "PAUSED" in status.stdout) == (1, True)
    resumed = pipeline(environ, "live", "resume")
    assert (resumed.returncode, pool["scaling"]["manualInstanceCount"]) == (0, 1), resumed.stderr
    assert "producer runs again" in resumed.stderr


def test_a_project_without_a_live_plane_has_no_producer(environ: dict[str, str], deployed: ControlPlane) -> None:
    for key in [key for key in deployed.world.resources if re.search("/workerPools/|/clusters/|-flink", key)]:
        deployed.world.remove(key)
    status = pipeline(environ, "status")
    assert (status.returncode, status.stdout.count("not deployed")) == (0, 3), status.stderr
    paused = pipeline(environ, "live", "pause")
    assert (paused.returncode, "not found" in paused.stderr.lower()) == (1, True)
