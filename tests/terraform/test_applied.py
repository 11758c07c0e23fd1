"""The life of a project: the three commands, each environment, what runs on it, faults, and its destruction.

The real provider applies to the stand-in of Google's control plane, once: the tests stand in the order of that life,
and each fixture is a step of it. Cloud Storage and BigQuery are the emulators, in which the stand-in does what
Terraform applies; the batch API is the stand-in with real Spark. What has no address on one machine is replaced: the
function's, and the account in whose name a person calls it.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from bitcoin_pipeline import schemas
from bitcoin_pipeline.candle import Candle
from bitcoin_pipeline.times import MS_US, SECOND_US, floor_us
from local.checkout import ROOT
from local.command.costs.shapes import Environment
from local.control_plane.world import PROJECT, Refused
from local.deploy.target import Conversation, DeployError
from local.stack.ports import free_ports
from local.waiting import answers, wait_for
from tests.e2e.replayed import BASES, FIXTURES, FROM_MS, SPEED, exact, market
from tests.support.applied_live import AppliedLivePlane
from tests.support.disorder import Frame, interleaved, recorded
from tests.support.planes import DIGEST, REGION, DeployedProject
from tests.support.processes import RunningStack
from tests.support.terraform_runs import CHANGES, NOTHING_TO_DO, TerraformError

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900), pytest.mark.xdist_group("applied")]

WATCHED: Final[dict[str, Any]] = {
    "alerts": {"email": "ops@example.com"},
    "budget": {"billing_account": "012345-6789AB-CDEF01", "currency": "EUR", "amount": 150},
    "dashboard_viewers": ["user:ada@example.com"],
    "operators": ["user:ada@example.com"],
    "protected": False,
}
"""Values of a user, without which an environment has no alerts, budget or viewers; and without protection, as it is
destroyed at the end."""

SERVICES: Final = ("metadata", "gcs", "bigquery", "exchange", "dataproc")
FUNCTION_KEY: Final = f"cloudfunctions.googleapis.com/v2/projects/{PROJECT}/locations/{REGION}/functions/fetch-archive"
POOL: Final = f"run.googleapis.com/v2/projects/{PROJECT}/locations/{REGION}/workerPools/producer"
SYMBOLS: Final = BASES[:2]
"""The symbols of the environment `small`."""
UNTIL_MS: Final = FROM_MS + 100_000


@pytest.fixture(scope="module")
def frames() -> dict[str, list[Frame]]:
    """The frames of a capture of two minutes; those of BTCUSDT are real."""
    return {symbol: [frame for frame in market(symbol) if frame["ts"] < UNTIL_MS] for symbol in SYMBOLS}


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, settings: Path, frames: dict[str, list[Frame]]
) -> Iterator[DeployedProject]:
    """An empty project, beside which the exchange has an archive, and a market that begins with the first client."""
    folder = tmp_path_factory.mktemp("applied")
    capture = folder / "frames.jsonl"
    played = interleaved(arrival for its in frames.values() for arrival in recorded(its))
    capture.write_text("".join(f"{json.dumps(frame)}\n" for frame in played))
    with (
        RunningStack(folder / "stack", SERVICES, FIXTURES, capture, SPEED) as stack,
        DeployedProject(folder / "project", settings, stack) as made,
    ):
        yield made


def test_no_is_an_answer(project: DeployedProject) -> None:
    with pytest.raises(DeployError, match="nothing was changed"):
        project.run_bootstrap(Conversation(lambda: "n\n"))
    assert project.plane.requests == []


def test_a_deploy_needs_what_is_published(project: DeployedProject) -> None:
    with pytest.raises(DeployError, match="run `make publish` first"):
        project.run_deploy(Environment.SMALL)


@pytest.fixture(scope="module")
def published(project: DeployedProject) -> DeployedProject:
    """The project after `bootstrap` and `publish`, with a limit of queries that an earlier environment has left."""
    project.run_bootstrap()
    project.run_publish()
    preference = {
        "service": "bigquery.googleapis.com",
        "quotaId": "QueryUsagePerDay",
        "quotaConfig": {"preferredValue": "20480"},
    }
    preferences = f"/v1/projects/{PROJECT}/locations/global/quotaPreferences"
    target = f"{preferences}?quotaPreferenceId=bigquery-query-usage-per-day"
    project.request("cloudquotas.googleapis.com", "POST", target, preference)
    return project


def test_a_second_bootstrap_and_publish_change_nothing(published: DeployedProject) -> None:
    published.run_bootstrap()  # with other random values than before
    published.run_publish()
    assert [line for line in published.said if "were new" in line] == ["8 of 8 files were new", "0 of 8 files were new"]
    assert [line for line in published.said if "nothing was changed" in line] == [
        "nothing was changed: it is done already"
    ]
    assert not list(published.folder.rglob("generated.tfvars.json"))


@pytest.fixture(scope="module")
def history(published: DeployedProject) -> DeployedProject:
    """The project with the archive plane."""
    assert published.run_deploy(Environment.HISTORY, protected=False) == ""
    return published


def test_the_limit_of_queries_is_taken_over(history: DeployedProject) -> None:
    [preference] = (each for key, each in history.plane.world.resources.items() if "/quotaPreferences/" in key)
    assert preference["quotaConfig"]["preferredValue"] == "1048576"


class Archive:
    """The command and the function fetch_archive, with the variables that Terraform gives them; a context manager."""

    def __init__(self, project: DeployedProject) -> None:
        source = project.resource(FUNCTION_KEY)["buildConfig"]["source"]["storageSource"]
        content = project.stack.storage().bucket(source["bucket"]).blob(source["object"]).download_as_bytes()
        self._folder = project.folder / "function"
        zipfile.ZipFile(io.BytesIO(content)).extractall(self._folder)
        outputs = project.environment.outputs()["environ"]
        environ = {
            name: text for name, text in project.stack.stack.environ().items() if not name.startswith("PIPELINE")
        }
        environ |= {"PATH": os.environ["PATH"], "HOME": str(project.folder)}
        self._port = free_ports(("function",))["function"]
        self._of_function = {**environ, **outputs["fetch_archive"], "PYTHONPATH": str(self._folder)}
        address = f"http://127.0.0.1:{self._port}"
        self._of_command = {**environ, **outputs["command"], "PIPELINE_FETCH_ARCHIVE_URL": address}
        del self._of_command["PIPELINE_IMPERSONATED_ACCOUNT"]

    def __enter__(self) -> Archive:
        program = str(Path(sys.executable).parent / "functions-framework")
        entry = self._folder / "main.py"
        words = (program, "--target=fetch_archive", f"--source={entry}", "--host=127.0.0.1", f"--port={self._port}")
        self._process = subprocess.Popen(words, env=self._of_function, cwd=self._folder)
        wait_for("the function to listen", lambda: answers(f"tcp://127.0.0.1:{self._port}"), 60)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    def pipeline(self, *words: str) -> list[str]:
        """The lines that the command prints."""
        command = [sys.executable, "-m", "local.command", *words]
        outcome = subprocess.run(command, cwd=ROOT, env=self._of_command, capture_output=True, text=True, check=False)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout.splitlines()


def test_a_day_is_loaded_into_what_terraform_made(history: DeployedProject) -> None:
    with Archive(history) as archive:
        archive.pipeline("backfill", "BTCUSDT", "2020-03-25")
        rows = archive.pipeline("candles", "BTCUSDT", "2020-03-25", "--plane", "archive", "--format", "csv")
        assert len(rows) == 1 + 442
        assert rows[1].startswith("2020-03-25T10:36:00Z,6500,")
        lake = history.stack.storage().bucket(f"{PROJECT}-lake")
        assert sorted(blob.name.partition("/")[0] for blob in lake.list_blobs()) == ["raw", "trades"]
        query = "SELECT status FROM ingests WHERE symbol = 'BTCUSDT'"
        assert archive.pipeline("sql", query, "--format", "csv") == ["status", "loaded"]
        query = "SELECT count(*) AS n FROM candles_best WHERE symbol = 'BTCUSDT'"
        assert archive.pipeline("sql", query, "--format", "csv") == ["n", "442"]


@pytest.fixture(scope="module")
def small(history: DeployedProject) -> DeployedProject:
    """The project with both planes, although the first calls of the deploy are refused for a while."""
    busy = Refused(429, "Quota exceeded for quota metric", "rateLimitExceeded", retry_after_s=1)
    away = Refused(503, "The service is currently unavailable.", "backendError")
    history.plane.refusals += [busy, away] * 2
    address = history.run_deploy(Environment.SMALL, **WATCHED)
    assert history.plane.refusals == []
    assert address.startswith("https://dashboard-")
    return history


def test_three_commands_have_led_to_the_dashboard(small: DeployedProject) -> None:
    assert any("It costs about $" in line and "creates" in line for line in small.said)
    kinds = {address.rpartition("module.")[2].split(".")[-2] for address in small.environment.resources()}
    assert len(kinds) >= 30


def test_a_second_deploy_changes_nothing(small: DeployedProject) -> None:
    before = len(small.plane.requests)
    small.said.clear()
    assert small.run_deploy(Environment.SMALL, **WATCHED).startswith("https://dashboard-")
    assert small.said == ["everything is deployed already; nothing was changed"]
    changes = {method for method, _ in small.plane.requests[before:] if not method.endswith(".getIamPolicy")}
    assert changes <= {"storage.objects.insert", "storage.objects.delete"}  # the lock of Terraform's state


def test_a_capture_becomes_candles_on_what_terraform_made(
    small: DeployedProject, frames: dict[str, list[Frame]], tmp_path: Path
) -> None:
    """The set-up job, the producer, the Flink job and the dashboard with Terraform's variables, users and rules."""
    outputs = small.environment.outputs()
    secrets = {name: small.secret(name) for name in _secrets_of(outputs)}
    expected = {symbol: exact(its) for symbol, its in frames.items()}
    with AppliedLivePlane(small.stack, tmp_path / "live", outputs, secrets) as live:

        def stored() -> dict[str, list[Candle]]:
            found = sorted(live.path.candles().items())
            return {symbol: [candle for key, candle in found if key[0] == symbol] for symbol in SYMBOLS}

        try:
            wait_for("the capture's candles to be exact", lambda: stored() == expected, 120, 0.3)
        except TimeoutError:
            assert stored() == expected, live.log("producer")[-3000:] + live.log("candles_job")[-3000:]
        last = expected["BTCUSDT"][-1]
        start_s = floor_us(FROM_MS * MS_US) // SECOND_US
        query = f"symbol=BTCUSDT&start={start_s}&end={start_s + 600}"

        def shown() -> list[float]:
            bars = requests.get(f"{live.dashboard}/api/candles?{query}", timeout=30).json()["bars"]
            return [float(close) for close in bars["close"]]

        wait_for("the dashboard to show them", lambda: shown()[-1:] == [float(last.close)], 60, 0.3)
        assert len(shown()) == len(expected["BTCUSDT"])
        assert requests.get(f"{live.dashboard}/ready", timeout=30).status_code == 200


def _secrets_of(outputs: dict[str, Any]) -> set[str]:
    """The names of the secrets that Terraform's outputs and the broker's users name."""
    values = {text for environ in outputs["environ"].values() for text in environ.values()}
    named = {text.removeprefix("secret:") for text in values if text.startswith("secret:")}
    return named | {f"broker-{rule.split()[0]}" for rule in outputs["broker_rules"]} | {"postgres-candles"}


def test_the_topics_leave_room_on_the_brokers_disk(small: DeployedProject) -> None:
    place = f"compute.googleapis.com/compute/v1/projects/{PROJECT}/zones/{REGION}-b"
    items = small.resource(f"{place}/instances/broker")["metadata"]["items"]
    [text] = [item["value"] for item in items if item["key"] == "user-data"]
    [shared] = re.findall(r'RETENTION=\\?"(\d+)', text)
    [first] = re.findall(r"\bretention_bytes: (\d+)", text)
    [free] = re.findall(r"\bstorage_min_free_bytes: (\d+)", text)
    assert first == shared
    rules = [rule.split() for rule in small.environment.outputs()["broker_rules"]]
    written = {rule[4] for rule in rules if rule[3] == "topic" and "write" in rule[2].split(",")}
    kept = sum(
        topic.partitions * int(topic.config.get("retention.bytes", shared))
        for topic in schemas.topics()
        if topic.name in written
    )
    size = int(small.resource(f"{place}/disks/broker-data")["sizeGb"]) << 30
    assert written == {"trades", "trades.dlq"}
    assert 0.7 * size < kept <= 0.75 * size  # the alert comes at 80 %
    assert kept + int(free) < size


def test_a_paused_producer_stays_paused(small: DeployedProject) -> None:
    pool = small.resource(POOL)
    pool["scaling"]["manualInstanceCount"] = 0
    code, text = small.environment.plan(*small.arguments("small", **WATCHED))
    pool["scaling"]["manualInstanceCount"] = 1
    assert code == NOTHING_TO_DO, text


def test_a_new_image_changes_one_resource(small: DeployedProject) -> None:
    newer = small.published()["artifacts"]
    newer["images"]["producer"] = newer["images"]["producer"].replace(DIGEST, f"sha256:{'9' * 64}")
    arguments = small.arguments("small", **{**WATCHED, "artifacts": newer})
    code, text = small.environment.plan(*arguments)
    assert (code, "Plan: 0 to add, 1 to change, 0 to destroy." in text) == (CHANGES, True), text
    small.plane.world.failing["run.projects.locations.workerPools.patch"] = Refused(500, "the image was not found")
    with pytest.raises(TerraformError) as failed:  # the operation ends with an error
        small.environment.apply(*arguments)
    assert "the image was not found" in str(failed.value)
    assert "module.producer[0].google_cloud_run_v2_worker_pool.this" in str(failed.value)
    small.environment.apply(*arguments)
    pool = small.resource(POOL)
    assert pool["template"]["containers"][0]["image"] == newer["images"]["producer"]
    assert pool["latestReadyRevision"].endswith("producer-00002-abc")
    assert small.environment.plan(*arguments)[0] == NOTHING_TO_DO


def test_no_secret_is_in_a_state(small: DeployedProject) -> None:
    payloads = [payload["data"] for payload in small.plane.world.payloads.values()]
    names = {key.split("/secrets/")[1].split("/")[0] for key in small.plane.world.payloads}
    passwords = [text for name in names if re.fullmatch(r"[0-9a-f]{64}", text := small.secret(name))]
    states = small.states()
    assert len(passwords) > 5
    assert len(states) >= 2
    assert not any(secret in state for secret in (*payloads, *passwords) for state in states)


FAULTS: Final = (
    (
        ("modules/lake/main.tf", "7 * 24 * 3600", "3600", "0, or 7 to 90 days"),
        ("modules/postgres/main.tf", '= "ENTERPRISE" ', '= "ENTERPRISE_PLUS" ', "ENTERPRISE_PLUS edition"),
        ("modules/monitoring/main.tf", "xyChart", "xyCharts", 'Unknown name "xyCharts"'),
        (
            *("environments/accounts.tf", "artifactregistry.reader", "artifactregistry.readr"),
            "artifactregistry.readr is not",
        ),
        ("../src/bitcoin_pipeline/schemas/market/gaps.json", '"STRING"', '"STRNG"', "type or mode of a column"),
    ),
    (
        ("modules/events/main.tf", '"market-events-recent"', '"goog-recent"', "Invalid resource name 'goog-recent'"),
        ("modules/function/main.tf", '"python311"', '"python2"', "Invalid runtime"),
        ("modules/producer/main.tf", "${var.size.memory_mib}Mi", "64Mi", "memory: it is 128Mi to 32Gi"),
        ("modules/candles_stream/main.tf", "= var.image_version", '= "newest"', "Invalid image version"),
    ),
)
"""Faults that a plan lets pass, those of one apply together, as what depends on a fault is not applied: the file in
terraform/, the right text, the wrong one, and what the apply reports."""


@pytest.mark.parametrize("faults", FAULTS, ids=("stores", "programs"))
def test_faults_that_a_plan_lets_pass_are_found_by_the_apply(
    small: DeployedProject, faults: tuple[tuple[str, str, str, str], ...]
) -> None:
    modules = small.folder / "terraform"
    right = {name: (modules / name).read_text() for name, *_ in faults}
    for name, correct, wrong, _ in faults:
        assert correct in right[name], f"{name} has no {correct}"
        (modules / name).write_text(right[name].replace(correct, wrong, 1))
    with pytest.raises(TerraformError) as failed:
        small.environment.apply(*small.arguments("small", **WATCHED))
    for name, text in right.items():
        (modules / name).write_text(text)
    report = " ".join(str(failed.value).replace("│", " ").split())
    assert "Error: Invalid" not in report, "the plan has found it"
    assert [complaint for *_, complaint in faults if complaint not in report] == []


def test_the_full_environment_follows_and_everything_is_destroyed(small: DeployedProject) -> None:
    """The apply mends also what those with faults have left."""
    arguments = small.arguments("full", **WATCHED)
    small.environment.apply(*arguments)
    code, text = small.environment.plan(*arguments)
    assert code == NOTHING_TO_DO, text
    environments = f"composer.googleapis.com/v1/projects/{PROJECT}/locations/{REGION}/environments/"
    assert any(key.startswith(environments) for key in small.plane.world.resources)
    small.environment.destroy(*arguments)
    assert [key.split("/")[-2] for key in small.left()] == ["snapshots"]  # the last one of the broker's disk
