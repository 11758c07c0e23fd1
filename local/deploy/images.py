"""Builds images and pushes them to the registry, by Docker on this machine or else by Cloud Build.

Imported by `local.deploy.publishing`. An image whose files are in the registry already is neither built nor pushed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from local.deploy.artifacts import ImageContext
from local.deploy.target import Conversation, DeployError, Target

REDPANDA: Final = "docker.redpanda.com/redpandadata/redpanda:v25.3.1"
"""The broker's image, which is copied into the registry so that its machine needs no way out."""

_MANIFESTS: Final = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    )
)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TIMEOUT_S: Final = 60


class Images:
    """The registry of a target."""

    def __init__(self, target: Target, conversation: Conversation) -> None:
        self._target = target
        self._conversation = conversation

    def publish(self, context: ImageContext) -> str:
        """The reference of an image by its digest; it is built and pushed unless it is there. Raises DeployError."""
        name = f"{self._target.registry_host}/{context.name}"
        digest = self.digest(context.name, context.tag)
        if digest is None:
            self._conversation.say(f"building {context.name}")
            self._build(context.folder, f"{name}:{context.tag}")
            digest = self._pushed(context.name, context.tag)
        return f"{name}@{digest}"

    def copy(self, source: str, name: str) -> str:
        """The reference by tag and digest of an image of another registry, copied here unless it is here."""
        tag = source.rpartition(":")[2]
        target = f"{self._target.registry_host}/{name}:{tag}"
        digest = self.digest(name, tag)
        if digest is None:
            self._conversation.say(f"copying {source}")
            if _has_docker():
                for command in (("pull", source), ("tag", source, target), ("push", target)):
                    _run("docker", *command)
            else:
                steps = [("pull", source), ("tag", source, target)]
                self._cloud_build(None, [{"name": _DOCKER, "args": list(step)} for step in steps], target)
            digest = self._pushed(name, tag)
        return f"{target}@{digest}"

    def digest(self, name: str, tag: str) -> str | None:
        """The digest of a tag in the registry; None when it is not there. Raises DeployError."""
        import requests

        host, _, path = self._target.registry_host.partition("/")
        url = f"https://{host}/v2/{path}/{name}/manifests/{tag}"
        headers = {"Authorization": f"Bearer {_token()}", "Accept": _MANIFESTS}
        answer = requests.head(url, headers=headers, timeout=_TIMEOUT_S)
        if answer.status_code == 404:
            return None
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not answer.ok or not _DIGEST.fullmatch(digest):
            raise DeployError(f"the registry answers {answer.status_code} for {name}:{tag}; run `make bootstrap` first")
        return digest

    def _pushed(self, name: str, tag: str) -> str:
        digest = self.digest(name, tag)
        if digest is None:
            raise DeployError(f"{name}:{tag} was pushed, and the registry does not have it; run the same command again")
        return digest

    def _build(self, folder: Path, tag: str) -> None:
        if _has_docker():
            _run("docker", "build", "--tag", tag, str(folder), environ={"DOCKER_BUILDKIT": "1"})
            _run("docker", "push", tag)
            return
        build = {"name": _DOCKER, "args": ["build", "--tag", tag, "."], "env": ["DOCKER_BUILDKIT=1"]}
        self._cloud_build(folder, [build], tag)

    def _cloud_build(self, folder: Path | None, steps: list[Mapping[str, Any]], image: str) -> None:
        if not shutil.which("gcloud"):
            raise DeployError("neither Docker nor gcloud is installed; one of them builds the images")
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"steps": steps, "images": [image], "timeout": "1800s"}, file)
            file.flush()
            place = (f"--project={self._target.project}", f"--region={self._target.region}")
            source = (str(folder),) if folder else ("--no-source",)
            _run("gcloud", "builds", "submit", *place, f"--config={file.name}", *source)


_DOCKER: Final = "gcr.io/cloud-builders/docker"


def _has_docker() -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def _token() -> str:
    """An access token of the user's default credentials. Raises DeployError."""
    import google.auth
    import google.auth.transport.requests
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        credentials.refresh(google.auth.transport.requests.Request())
    except GoogleAuthError as error:
        raise DeployError(f"no credentials ({error}); run `gcloud auth application-default login`") from error
    return str(credentials.token)


def _run(*command: str, environ: Mapping[str, str] | None = None) -> None:
    outcome = subprocess.run(command, env={**os.environ, **(environ or {})}, check=False)
    if outcome.returncode:
        raise DeployError(f"`{' '.join(command[:2])}` failed with {outcome.returncode}; its output stands above")
