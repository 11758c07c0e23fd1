"""A project on the stand-in of Google's control plane, to which the three commands deploy by the real Terraform.

For tests. Terraform, its backend in a bucket, and Google's clients are real. The registry is the one thing that is not:
it has every image.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials

from local.build import artifact, zip_of
from local.command.costs.shapes import Environment
from local.control_plane.discovery import Catalogue
from local.control_plane.mirrors import Mirrors
from local.control_plane.server import ControlPlaneServer
from local.control_plane.service import ControlPlane, Request
from local.control_plane.world import PROJECT, World
from local.deploy import applying
from local.deploy.artifacts import FLINK, FUNCTIONS, IMAGES
from local.deploy.images import Images
from local.deploy.publishing import publish
from local.deploy.target import Conversation, Target
from local.stack.deployables import artifacts_in
from local.terraform import MIRROR_VARIABLE
from tests.support.processes import RunningStack
from tests.support.terraform_runs import Terraform, copied, values_file

REGION: Final = "europe-west1"
DIGEST: Final = f"sha256:{'0' * 64}"
"""The digest of every image."""

_MIRRORED: Final = {"storage.googleapis.com": "gcs", "bigquery.googleapis.com": "bigquery"}
"""The services of a stack that hold what Terraform makes in these APIs."""

_AT_ONCE: Final = "-parallelism=40"
"""Terraform's option of how much it does at once. The provider waits three seconds after each change of an IAM policy
to read it again, for which ten at once, Terraform's default, would take minutes."""


class DeployedProject:
    """An empty project, to which `bootstrap`, `publish` and `deploy` lead; a context manager.

    `settings`: see `Terraform`. `stack`: has Cloud Storage and BigQuery, in which buckets, objects and tables are made,
    and the artifacts that are published. `said`: what the commands have reported.
    """

    def __init__(self, folder: Path, settings: Path, stack: RunningStack) -> None:
        self.folder = folder
        self.stack = stack
        self.said: list[str] = []
        self.target = Target(PROJECT, REGION, folder / "deploy")
        mirrors = {host: stack.stack.url(service) for host, service in _MIRRORED.items()}
        self.plane = ControlPlane(World(), Catalogue(), Mirrors(mirrors))
        folder.mkdir()
        self._log = (folder / "refused.jsonl").open("w")
        self.server = ControlPlaneServer(self.plane, folder, log=self._log)
        copied(folder)
        self.target.folder.mkdir()
        self._provider = settings / "plugins"
        data = self.target.folder / "environments" / "data"
        self.environment = Terraform(folder / "terraform" / "environments", self.client_environ(), settings, data)
        self._given = 0

    def __enter__(self) -> DeployedProject:
        self.environment.install_provider()
        self.server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.__exit__(kind, error, at)
        self._log.close()

    def client_environ(self) -> dict[str, str]:
        """The variables that lead Terraform and Google's clients to this project."""
        stand_in = self.server.client_environ()
        at_once = {f"TF_CLI_ARGS_{command}": _AT_ONCE for command in ("plan", "apply", "destroy")}
        return {**stand_in, **at_once, "REQUESTS_CA_BUNDLE": str(self.server.certificate)}

    @contextmanager
    def reached(self) -> Iterator[None]:
        """While it lasts, this process and all that it starts reach this project in the place of Google Cloud."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(applying, "_MODULES", self.folder / "terraform")
            patch.setattr(google.auth, "default", lambda *_, **__: (AnonymousCredentials(), PROJECT))
            patch.setattr(Images, "digest", lambda *_: DIGEST)
            for name, value in self.client_environ().items():
                patch.setenv(name, value)
            patch.setenv(MIRROR_VARIABLE, str(self._provider))
            yield

    def run_bootstrap(self, conversation: Conversation | None = None) -> None:
        """Carry out `make bootstrap`."""
        with self.reached():
            applying.bootstrap(self.target, conversation or self._agreeing())

    def run_publish(self) -> None:
        """Carry out `make publish` with the artifacts of the stack; the images' contexts stay empty."""
        dist = artifacts_in(self.stack.stack.home)
        for name in FUNCTIONS:
            (dist / "functions" / f"{name}.zip").write_bytes(zip_of(artifact(f"functions/{name}")))
        (dist / f"{FLINK}.zip").write_bytes(zip_of(artifact(FLINK)))
        for name in IMAGES:
            (dist / "cloudrun" / name).mkdir(exist_ok=True)
        with self.reached():
            publish(self.target, dist, self._agreeing())

    def run_deploy(self, environment: Environment, **values: Any) -> str:
        """Carry out `make deploy` and return the dashboard's address. `values`: of Terraform's variables."""
        file = self._values(values)
        with self.reached():
            return applying.deploy(self.target, environment, [file], self._agreeing())

    def arguments(self, environment: str, **values: Any) -> list[str]:
        """Terraform's arguments for an environment. `values`: of its variables, in place of the file's."""
        given = {"project": PROJECT, "region": REGION, "has_quota_preference": True, **self.published(), **values}
        return [f"-var-file={environment}.tfvars", f"-var-file={self._values(given)}"]

    def published(self) -> dict[str, Any]:
        """The values of Terraform's variables that the last `publish` has written."""
        values: dict[str, Any] = json.loads(self.target.artifacts_file.read_text())
        return values

    def resource(self, key: str) -> dict[str, Any]:
        """The resource of a key, such as `pubsub.googleapis.com/v1/projects/demo-project/topics/market-events`."""
        return self.plane.world.resources[key]

    def request(self, host: str, verb: str, target: str, body: Any) -> None:
        """Send a request to an API. Raises Refused."""
        headers = {"Content-Type": "application/json"}
        self.plane.answer(Request.of(host, verb, target, headers, json.dumps(body).encode()))

    def secret(self, name: str) -> str:
        """The payload of the newest version of a secret."""
        prefix = f"secretmanager.googleapis.com/v1/projects/{PROJECT}/secrets/{name}/versions/"
        *_, newest = [payload for key, payload in self.plane.world.payloads.items() if key.startswith(prefix)]
        return base64.b64decode(newest["data"]).decode()

    def states(self) -> list[str]:
        """The text of every state of Terraform: the files of this machine, and the objects of the bucket."""
        objects = self.stack.storage().bucket(self.target.state_bucket).list_blobs()
        files = [path.read_text() for path in self.folder.rglob("*.tfstate*") if path.is_file()]
        return [*files, *(blob.download_as_text() for blob in objects)]

    def left(self) -> list[str]:
        """The keys of all resources but services, operations and what the bootstrap made."""
        kept = (
            *("/operations/", "serviceusage.", f"/b/{PROJECT}-state", f"/b/{PROJECT}-artifacts", "/repositories/"),
            *("/serviceAccounts/builder@", "/secrets/generated"),
            "/quotaPreferences/",  # their API has no method to delete one
        )
        return sorted(key for key in self.plane.world.resources if not any(part in key for part in kept))

    def _values(self, values: dict[str, Any]) -> Path:
        self._given += 1
        return values_file(self.folder / f"given-{self._given}.tfvars.json", values)

    def _agreeing(self) -> Conversation:
        return _Agreeing(self.said)


class _Agreeing(Conversation):
    """A conversation whose every question is answered with yes, and which keeps what is shown."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(None)
        self._said = said

    def say(self, text: str) -> None:
        self._said.append(text)
