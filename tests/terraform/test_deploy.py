"""bootstrap, publish and deploy, from an empty project to the dashboard's address; a second time they change nothing.

Terraform, its backend in a bucket, and Google's clients are real; the control plane is the stand-in. The registry is
the one thing that is not: it has every image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials

from local.command.costs.shapes import Environment
from local.control_plane.service import Request
from local.control_plane.world import PROJECT
from local.deploy import applying
from local.deploy.applying import bootstrap, deploy
from local.deploy.images import Images
from local.deploy.publishing import publish
from local.deploy.target import Conversation, DeployError, Target
from tests.support.dist import write_dist
from tests.support.planes import REGION, AppliedProject

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]


class Recorded(Conversation):
    """A conversation whose every question is answered with yes. `said`: what was shown."""

    def __init__(self) -> None:
        super().__init__(None)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def project(tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppliedProject]:
    """An empty project, to which this process and all that it starts are led."""
    with AppliedProject(tmp_path, settings) as made:
        (tmp_path / "terraform" / "environments" / "backend_override.tf").unlink()
        monkeypatch.setattr(applying, "_MODULES", tmp_path / "terraform")
        monkeypatch.setattr(google.auth, "default", lambda *_, **__: (AnonymousCredentials(), PROJECT))
        monkeypatch.setattr(Images, "digest", lambda *_: f"sha256:{'0' * 64}")
        for name, value in made.client_environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.server.certificate))
        yield made


def keep_quota_preference(project: AppliedProject) -> None:
    """Create what an environment that was destroyed leaves, as its API has no method that deletes it."""
    target = f"/v1/projects/{PROJECT}/locations/global/quotaPreferences?quotaPreferenceId=bigquery-query-usage-per-day"
    body = {
        "service": "bigquery.googleapis.com",
        "quotaId": "QueryUsagePerDay",
        "quotaConfig": {"preferredValue": "20480"},
    }
    headers = {"Content-Type": "application/json"}
    request = Request.of("cloudquotas.googleapis.com", "POST", target, headers, json.dumps(body).encode())
    project.plane.answer(request)


def test_three_commands_lead_to_the_dashboard(project: AppliedProject, tmp_path: Path) -> None:
    conversation = Recorded()
    said = conversation.said
    target = Target(PROJECT, REGION, tmp_path / "deploy")
    write_dist(tmp_path / "dist")
    with pytest.raises(DeployError, match="run `make publish` first"):
        deploy(target, Environment.SMALL, [], conversation)
    for _ in range(2):
        bootstrap(target, conversation)
        publish(target, tmp_path / "dist", conversation)
    assert [line for line in said if "were new" in line] == ["6 of 6 files were new", "0 of 6 files were new"]
    keep_quota_preference(project)
    address = deploy(target, Environment.SMALL, [], conversation)
    assert address.startswith("https://dashboard-")
    [preference] = (each for key, each in project.plane.world.resources.items() if "/quotaPreferences/" in key)
    assert preference["quotaConfig"]["preferredValue"] == "1048576"
    before = len(project.plane.requests)
    assert deploy(target, Environment.SMALL, [], conversation) == address
    assert [line for line in said if "nothing was changed" in line] == [
        "nothing was changed: it is done already",
        "everything is deployed already; nothing was changed",
    ]
    changes = {method for method, _ in project.plane.requests[before:] if not method.endswith(".getIamPolicy")}
    assert changes <= {"storage.objects.insert", "storage.objects.delete"}  # the lock of Terraform's state
    assert any("It costs about $" in line and "creates" in line for line in said)
    assert not list(tmp_path.rglob("generated.tfvars.json"))


def test_no_is_an_answer(project: AppliedProject, tmp_path: Path) -> None:
    target = Target(PROJECT, REGION, tmp_path / "deploy")
    with pytest.raises(DeployError, match="nothing was changed"):
        bootstrap(target, Conversation(lambda: "n\n"))
    assert project.plane.requests == []
