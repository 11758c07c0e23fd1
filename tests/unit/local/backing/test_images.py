"""Which image a stack runs, and that what is pulled is pinned."""

from __future__ import annotations

import re
import tomllib

import pytest

from local.backing import images
from local.checkout import ROOT


def test_images_of_registries_are_pinned() -> None:
    pulled = tomllib.loads((ROOT / "local" / "backing" / "images.toml").read_text())
    assert sorted(pulled) == ["gcs", "postgres", "pubsub", "redpanda"]
    assert all(re.fullmatch(r"[^@]+:[^@]+@sha256:[0-9a-f]{64}", image) for image in pulled.values())


def test_a_variable_replaces_an_image() -> None:
    replaced = images.chosen({"PIPELINE_IMAGE_POSTGRES": "mine:1", "PIPELINE_IMAGE_PUBSUB": "", "PATH": "/bin"})
    assert replaced == {"postgres": "mine:1", "pubsub": ""}
    assert images.image("postgres", replaced) == "mine:1"
    assert images.image("producer", replaced) == "bitcoin-pipeline/producer:local"


def test_a_variable_of_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="PIPELINE_IMAGE_POSTGRESQL replaces no image; there are archive_live, "):
        images.chosen({"PIPELINE_IMAGE_POSTGRESQL": "mine:1"})


def test_every_image_that_is_built_has_a_folder() -> None:
    for folder in images.BUILT.values():
        assert (ROOT / folder).is_dir()
