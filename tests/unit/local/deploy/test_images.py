"""An image is built and pushed once; what the registry has already is only referred to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local.deploy.artifacts import ImageContext
from local.deploy.images import Images
from local.deploy.target import Conversation, DeployError, Target

HOST = "europe-west1-docker.pkg.dev/demo-project/pipeline"
DIGEST = f"sha256:{'0' * 64}"
DOCKER = '#!/bin/sh\n[ "$1" = info ] || echo "$@" >> "$DOCKER_LOG"\n[ "$1" != "$DOCKER_FAILS" ]\n'


class PushedImages(Images):
    """A registry that has what the program `docker` has pushed."""

    def digest(self, name: str, tag: str) -> str | None:
        pushed = Path(os.environ["DOCKER_LOG"]).read_text().splitlines()
        return DIGEST if f"push {HOST}/{name}:{tag}" in pushed else None


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the program `docker` was called with."""
    docker, log = tmp_path / "docker", tmp_path / "log"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    log.touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_LOG", str(log))
    monkeypatch.setenv("DOCKER_FAILS", "none")
    return log


@pytest.fixture
def images(tmp_path: Path, log: Path) -> Images:
    assert log.exists()
    return PushedImages(Target("demo-project", "europe-west1", tmp_path), Conversation(None))


def test_an_image_is_built_and_pushed_once(images: Images, log: Path) -> None:
    context = ImageContext("producer", Path("dist/cloudrun/producer"), "1234")
    for _ in range(2):
        assert images.publish(context) == f"{HOST}/producer@{DIGEST}"
    tag = f"{HOST}/producer:1234"
    assert log.read_text().splitlines() == [f"build --tag {tag} dist/cloudrun/producer", f"push {tag}"]


def test_an_image_of_another_registry_is_copied_once(images: Images, log: Path) -> None:
    for _ in range(2):
        assert images.copy("docker.example.com/redpanda:v25.3.1", "redpanda") == f"{HOST}/redpanda:v25.3.1@{DIGEST}"
    tag = f"{HOST}/redpanda:v25.3.1"
    source = "docker.example.com/redpanda:v25.3.1"
    assert log.read_text().splitlines() == [f"pull {source}", f"tag {source} {tag}", f"push {tag}"]


def test_a_build_that_fails_is_reported(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_FAILS", "build")
    with pytest.raises(DeployError, match="`docker build` failed with 1"):
        images.publish(ImageContext("producer", Path("x"), "1234"))


def test_without_docker_and_gcloud_nothing_builds(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(DeployError, match="neither Docker nor gcloud"):
        images.publish(ImageContext("producer", Path("x"), "1234"))
