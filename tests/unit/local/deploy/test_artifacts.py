"""The names under which artifacts are stored follow from their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from local.deploy.artifacts import Bundle, bundle_of, terraform_variables
from local.deploy.target import DeployError, Target
from tests.support.dist import write_dist


def test_names_hold_the_hash_of_the_content(tmp_path: Path) -> None:
    write_dist(tmp_path)
    bundle = bundle_of(tmp_path)
    digest = hashlib.sha256(b"functions/fetch_archive").hexdigest()
    assert bundle.functions["fetch_archive"].object_name == f"functions/fetch_archive-{digest}.zip"
    assert bundle.batch_main.object_name.endswith("/main.py")
    assert [item.object_name.rpartition("/")[2] for item in bundle.batch_files] == ["candles_batch.zip"]
    assert len({item.object_name.partition("/m")[0].rpartition("/")[0] for item in bundle.batch_files}) == 1
    assert [context.name for context in bundle.images] == ["command", "dashboard", "producer", "store_setup"]


def test_a_changed_file_changes_its_own_names_only(tmp_path: Path) -> None:
    write_dist(tmp_path)
    before = bundle_of(tmp_path)
    (tmp_path / "dataproc_jobs" / "candles" / "candles_batch.zip").write_bytes(b"changed")
    (tmp_path / "cloudrun" / "producer" / "main.py").write_bytes(b"changed")
    after = bundle_of(tmp_path)
    assert after.functions == before.functions
    assert after.batch_main.object_name != before.batch_main.object_name
    assert [name for name in _tags(before) if _tags(before)[name] != _tags(after)[name]] == ["producer"]


def test_the_variable_refers_to_everything(tmp_path: Path) -> None:
    write_dist(tmp_path)
    bundle = bundle_of(tmp_path)
    target = Target("demo-project", "europe-west1", tmp_path)
    variables = terraform_variables(bundle, target, {"producer": "host/producer@sha256:0"})["artifacts"]
    assert variables["bucket"] == "demo-project-artifacts"
    assert variables["registry"] == "projects/demo-project/locations/europe-west1/repositories/pipeline"
    assert variables["builder"].endswith("/serviceAccounts/builder@demo-project.iam.gserviceaccount.com")
    assert variables["batch"]["main"] == bundle.batch_main.object_name
    assert variables["images"] == {"producer": "host/producer@sha256:0"}


def test_a_missing_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bundle_of(tmp_path)


@pytest.mark.parametrize(
    ("project", "region", "complaint"),
    [
        ("", "europe-west1", "PROJECT must be the id"),
        ("Demo", "europe-west1", "PROJECT must be the id"),
        ("demo-project", "us-central1", "outside the US"),
        ("demo-project", "europe", "outside the US"),
    ],
)
def test_a_target_is_a_project_and_a_region(project: str, region: str, complaint: str) -> None:
    with pytest.raises(DeployError, match=complaint):
        Target(project, region, Path())


def _tags(bundle: Bundle) -> dict[str, str]:
    return {context.name: context.tag for context in bundle.images}
