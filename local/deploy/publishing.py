"""Stores the artifacts of `make build` in the project, and writes what Terraform needs to refer to them.

Imported by `local.deploy.__main__` and tests.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from local.deploy.artifacts import Bundle, StoredFile, bundle_of, terraform_variables
from local.deploy.images import REDPANDA, Images
from local.deploy.target import Conversation, DeployError, Target

_MONTHLY: Final = "about $0.20 a month for 2 GiB of images and bundles"


def publish(target: Target, dist: Path, conversation: Conversation) -> None:
    """Store what is not stored yet. Raises DeployError."""
    bundle = bundle_of(dist)
    names = ", ".join(context.name for context in bundle.images)
    files = list(bundle.files())
    conversation.say(
        f"publish stores {len(files)} files in gs://{target.artifact_bucket} and the images {names} and redpanda in "
        f"{target.registry_host}, unless they are there. It costs {_MONTHLY}."
    )
    conversation.ask("Publish?")
    stored = store(files, target)
    conversation.say(f"{stored} of {len(files)} files were new")
    images = Images(target, conversation)
    references = {context.name: images.publish(context) for context in bundle.images}
    references["redpanda"] = images.copy(REDPANDA, "redpanda")
    write_variables(bundle, target, references)
    conversation.say(f"published; {target.artifacts_file} has their names for `make deploy`")


def store(files: list[StoredFile], target: Target) -> int:
    """Store files as objects, and return how many were not there. Raises DeployError."""
    from google.api_core.exceptions import NotFound, PreconditionFailed
    from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

    bucket = storage.Client(target.project).bucket(target.artifact_bucket)
    stored = 0
    for item in files:
        try:
            # Its name is its hash, so what is there is the same.
            bucket.blob(item.object_name).upload_from_filename(str(item.path), if_generation_match=0)
            stored += 1
        except PreconditionFailed:
            continue
        except NotFound as error:
            raise DeployError(f"gs://{target.artifact_bucket} does not exist; run `make bootstrap` first") from error
    return stored


def write_variables(bundle: Bundle, target: Target, images: dict[str, str]) -> dict[str, Any]:
    """Write the file of Terraform's variable `artifacts`, and return its content."""
    variables = terraform_variables(bundle, target, images)
    target.artifacts_file.parent.mkdir(parents=True, exist_ok=True)
    target.artifacts_file.write_text(json.dumps(variables, indent=2) + "\n")
    return variables
