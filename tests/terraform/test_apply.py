"""The real provider applies the environments to the stand-in of Google's control plane.

Of each: everything is made, a second plan is empty, a change of one value changes one resource, destroy leaves nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from local.control_plane.world import PROJECT
from tests.support.planes import REGION, AppliedProject, artifacts
from tests.support.terraform_runs import CHANGES, NOTHING_TO_DO, TerraformError

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]

WATCHED: Final[dict[str, Any]] = {
    "alerts": {"email": "ops@example.com"},
    "budget": {"billing_account": "012345-6789AB-CDEF01", "currency": "EUR", "amount": 150},
    "dashboard_viewers": ["user:ada@example.com"],
    "operators": ["user:ada@example.com"],
    "protected": False,
}
"""Values of a user, without which an environment has no alerts, budget or viewers; and without protection, as it is
destroyed at the end."""

POOL: Final = f"run.googleapis.com/v2/projects/{PROJECT}/locations/{REGION}/workerPools/producer"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Iterator[AppliedProject]:
    """A project with the small environment, for the tests of this file in their order."""
    with AppliedProject(tmp_path_factory.mktemp("small"), settings) as project:
        project.prepare()
        project.environment.apply(*project.arguments("small", **WATCHED))
        yield project


def test_a_second_plan_of_the_small_environment_is_empty(small: AppliedProject) -> None:
    code, text = small.environment.plan(*small.arguments("small", **WATCHED))
    assert code == NOTHING_TO_DO, text
    kinds = {address.rpartition("module.")[2].split(".")[-2] for address in small.environment.resources()}
    assert len(kinds) >= 30


def test_a_second_bootstrap_changes_nothing(small: AppliedProject) -> None:
    code, text = small.bootstrap.plan(*small.bootstrap_arguments())
    assert code == NOTHING_TO_DO, text


def test_a_paused_producer_stays_paused(small: AppliedProject) -> None:
    pool = small.resource(POOL)
    pool["scaling"]["manualInstanceCount"] = 0
    code, text = small.environment.plan(*small.arguments("small", **WATCHED))
    pool["scaling"]["manualInstanceCount"] = 1
    assert code == NOTHING_TO_DO, text


def test_a_new_image_changes_one_resource(small: AppliedProject) -> None:
    newer = artifacts()
    newer["images"]["producer"] = newer["images"]["producer"].replace("0004", "0009")
    arguments = small.arguments("small", **{**WATCHED, "artifacts": newer})
    code, text = small.environment.plan(*arguments)
    assert (code, "Plan: 0 to add, 1 to change, 0 to destroy." in text) == (CHANGES, True), text
    small.environment.apply(*arguments)
    pool = small.resource(POOL)
    assert pool["template"]["containers"][0]["image"] == newer["images"]["producer"]
    assert pool["latestReadyRevision"].endswith("producer-00002-abc")
    assert small.environment.plan(*arguments)[0] == NOTHING_TO_DO


def test_no_secret_is_in_a_state(small: AppliedProject) -> None:
    payloads = [payload["data"] for payload in small.plane.world.payloads.values()]
    texts = [base64.b64decode(payload).decode() for payload in payloads]
    passwords = [text for text in texts if re.fullmatch(r"[0-9a-f]{64}", text)]
    states = [path.read_text() for path in small.folder.rglob("*.tfstate*")]
    assert len(passwords) > 5
    assert len(states) >= 2
    assert not any(secret in state for secret in (*payloads, *passwords) for state in states)


def test_the_full_environment_follows_and_everything_is_destroyed(small: AppliedProject) -> None:
    arguments = small.arguments("full", **WATCHED)
    small.environment.apply(*arguments)
    code, text = small.environment.plan(*arguments)
    assert code == NOTHING_TO_DO, text
    environments = f"composer.googleapis.com/v1/projects/{PROJECT}/locations/{REGION}/environments/"
    assert any(key.startswith(environments) for key in small.plane.world.resources)
    small.environment.destroy(*arguments)
    assert [key.split("/")[-2] for key in small.left()] == ["snapshots"]  # the last one of the broker's disk


FAULTS: Final = (
    (
        ("modules/lake/main.tf", "7 * 24 * 3600", "3600", "0, or 7 to 90 days"),
        ("modules/postgres/main.tf", '= "ENTERPRISE" ', '= "ENTERPRISE_PLUS" ', "ENTERPRISE_PLUS edition"),
        ("modules/monitoring/main.tf", "xyChart", "xyCharts", 'Unknown name "xyCharts"'),
        (
            "environments/accounts.tf",
            "artifactregistry.reader",
            "artifactregistry.readr",
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


def test_faults_that_a_plan_lets_pass_are_found_by_the_apply(small: AppliedProject) -> None:
    arguments = small.arguments("small", **WATCHED)
    modules = small.folder / "terraform"
    for faults in FAULTS:
        right = {name: (modules / name).read_text() for name, *_ in faults}
        for name, correct, wrong, _ in faults:
            assert correct in right[name], f"{name} has no {correct}"
            (modules / name).write_text(right[name].replace(correct, wrong, 1))
        with pytest.raises(TerraformError) as failed:
            small.environment.apply(*arguments)
        report = " ".join(str(failed.value).replace("│", " ").split())
        assert "Error: Invalid" not in report, "the plan has found it"
        assert [complaint for *_, complaint in faults if complaint not in report] == []
        for name, text in right.items():
            (modules / name).write_text(text)
