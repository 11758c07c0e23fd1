"""The archive plane runs on what Terraform made: its buckets and tables, artifacts and environment variables.

Cloud Storage and BigQuery are the emulators, in which the control plane's stand-in does what Terraform applies; the
batch API is the stand-in with real Spark. What has no address on one machine is replaced: the function's, and the
account in whose name a person calls it.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from local.build import artifact, zip_of
from local.checkout import ROOT
from local.control_plane.world import PROJECT
from local.deploy.artifacts import FLINK, FUNCTIONS, IMAGES, bundle_of, terraform_variables
from local.deploy.target import Target
from local.stack.deployables import artifacts_in
from local.stack.ports import free_ports
from local.waiting import answers, wait_for
from tests.support.planes import REGION, AppliedProject, artifacts
from tests.support.processes import RunningStack

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]

FIXTURES: Final = ROOT / "tests" / "fixtures" / "bybit"
FUNCTION_KEY: Final = f"cloudfunctions.googleapis.com/v2/projects/{PROJECT}/locations/{REGION}/functions/fetch-archive"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A project with the archive plane. `environ`: of the command, with the addresses of this machine."""

    stack: RunningStack
    project: AppliedProject
    environ: dict[str, str]

    def pipeline(self, *words: str) -> str:
        """What the command prints."""
        command = [sys.executable, "-m", "local.command", *words]
        outcome = subprocess.run(command, cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("applied")
    services = ("metadata", "gcs", "bigquery", "exchange", "dataproc")
    with RunningStack(tmp_path_factory.mktemp("stack"), services, FIXTURES) as stack:
        mirrors = {
            "storage.googleapis.com": stack.stack.url("gcs"),
            "bigquery.googleapis.com": stack.stack.url("bigquery"),
        }
        with AppliedProject(folder, settings, mirrors) as project:
            variables = publish(stack, project, folder)
            project.environment.init()
            project.environment.apply(*project.arguments("history", protected=False, artifacts=variables))
            outputs = project.environment.outputs()["environ"]
            local = {name: value for name, value in stack.stack.environ().items() if not name.startswith("PIPELINE_")}
            with function(stack, project, folder, {**local, **outputs["fetch_archive"]}) as address:
                environ = {**local, **outputs["command"], "PIPELINE_FETCH_ARCHIVE_URL": address}
                del environ["PIPELINE_IMPERSONATED_ACCOUNT"]
                yield Deployed(stack, project, {"PATH": os.environ["PATH"], "HOME": str(folder), **environ})


def publish(stack: RunningStack, project: AppliedProject, folder: Path) -> dict[str, object]:
    """Prepare the project and store the stack's own artifacts in it; return Terraform's variable `artifacts`."""
    dist = artifacts_in(stack.stack.home)
    for name in FUNCTIONS:
        (dist / "functions" / f"{name}.zip").write_bytes(zip_of(artifact(f"functions/{name}")))
    (dist / f"{FLINK}.zip").write_bytes(b"not used by the archive plane")
    for name in IMAGES:
        (dist / "cloudrun" / name).mkdir(exist_ok=True)
    bundle = bundle_of(dist)
    project.apply_bootstrap()
    for item in bundle.files():
        project.store(item.object_name, item.path.read_bytes())
    target = Target(PROJECT, REGION, folder)
    found: dict[str, object] = terraform_variables(bundle, target, artifacts()["images"])["artifacts"]
    return found


class function:  # noqa: N801  # a context manager
    """The function fetch_archive, from the source that Terraform's resource names; its address."""

    def __init__(self, stack: RunningStack, project: AppliedProject, folder: Path, environ: dict[str, str]) -> None:
        source = project.resource(FUNCTION_KEY)["buildConfig"]["source"]["storageSource"]
        content = stack.storage().bucket(source["bucket"]).blob(source["object"]).download_as_bytes()
        self._folder = folder / "function"
        zipfile.ZipFile(io.BytesIO(content)).extractall(self._folder)
        self._environ = {"PATH": os.environ["PATH"], **environ, "PYTHONPATH": str(self._folder)}
        self._port = free_ports(("function",))["function"]

    def __enter__(self) -> str:
        program = str(Path(sys.executable).parent / "functions-framework")
        entry = self._folder / "main.py"
        words = (program, "--target=fetch_archive", f"--source={entry}", "--host=127.0.0.1", f"--port={self._port}")
        self._process = subprocess.Popen(words, env=self._environ, cwd=self._folder)
        wait_for("the function to listen", lambda: answers(f"tcp://127.0.0.1:{self._port}"), 60)
        return f"http://127.0.0.1:{self._port}"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)


def test_a_day_is_loaded_into_what_terraform_made(deployed: Deployed) -> None:
    deployed.pipeline("backfill", "BTCUSDT", "2020-03-25")
    rows = deployed.pipeline("candles", "BTCUSDT", "2020-03-25", "--plane", "archive", "--format", "csv").splitlines()
    assert len(rows) == 1 + 442
    assert rows[1].startswith("2020-03-25T10:36:00Z,6500,")
    lake = deployed.stack.storage().bucket(f"{PROJECT}-lake")
    assert sorted(blob.name.partition("/")[0] for blob in lake.list_blobs()) == ["raw", "trades"]
    status = deployed.pipeline("sql", "SELECT status FROM ingests WHERE symbol = 'BTCUSDT'", "--format", "csv")
    assert status.split() == ["status", "loaded"]


def test_the_command_reads_by_the_views_of_terraform(deployed: Deployed) -> None:
    text = deployed.pipeline(
        "sql", "SELECT count(*) AS n FROM candles_best WHERE symbol = 'BTCUSDT'", "--format", "csv"
    )
    assert text.split() == ["n", "442"]
