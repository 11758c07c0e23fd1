"""Checkpoints in a folder. `tests/integration/test_flink_checkpoints.py` holds a bucket to the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from candles_stream.checkpoints import Checkpoint, CheckpointFolder, parse_base

NOW_US = 1_786_310_760_000_000


def checkpoint(folder: Path, path: str, age_us: int = 0, *, complete: bool = True) -> Path:
    """A checkpoint that was written so long ago."""
    place = folder / path
    place.mkdir(parents=True)
    (place / "state").touch()
    if complete:
        metadata = place / "_metadata"
        metadata.touch()
        os.utime(metadata, ns=(0, (NOW_US - age_us) * 1000))
    return place


def store(folder: Path) -> CheckpointFolder:
    return CheckpointFolder(f"file://{folder}")


def test_complete_ones_of_any_run_and_plan_are_found(tmp_path: Path) -> None:
    checkpoint(tmp_path, "plan/first/chk-90", 30)
    checkpoint(tmp_path, "plan/second/chk-4", 10)
    checkpoint(tmp_path, "other/third/chk-5", 20)
    checkpoint(tmp_path, "plan/second/chk-5", complete=False)
    checkpoint(tmp_path, "plan/second/shared")
    assert sorted(store(tmp_path).complete(), key=lambda item: item.path) == [
        Checkpoint("other/third/chk-5", NOW_US - 20),
        Checkpoint("plan/first/chk-90", NOW_US - 30),
        Checkpoint("plan/second/chk-4", NOW_US - 10),
    ]


def test_a_folder_that_is_absent_holds_none(tmp_path: Path) -> None:
    absent = store(tmp_path / "absent")
    assert (absent.complete(), absent.runs()) == ([], [])


def test_one_that_was_set_aside_is_not_found_again(tmp_path: Path) -> None:
    place = checkpoint(tmp_path, "plan/run/chk-1")
    checkpoint(tmp_path, "plan/run/chk-2")
    assert store(tmp_path).set_aside("plan/run/chk-1")
    assert not store(tmp_path).set_aside("plan/run/chk-1")
    assert [item.path for item in store(tmp_path).complete()] == ["plan/run/chk-2"]
    assert sorted(path.name for path in place.iterdir()) == ["_metadata.unreadable", "state"]


def test_a_run_is_removed_with_all_that_it_has_left(tmp_path: Path) -> None:
    checkpoint(tmp_path, "plan/run/chk-1")
    checkpoint(tmp_path, "plan/run-2/chk-1", complete=False)
    checkpoint(tmp_path, "other/run/chk-1")
    assert sorted(store(tmp_path).runs()) == ["other/run", "plan/run", "plan/run-2"]
    store(tmp_path).remove("plan/run")
    assert sorted(store(tmp_path).runs()) == ["other/run", "plan/run-2"]


def test_a_base_is_a_folder_or_a_bucket() -> None:
    assert parse_base("file:///a home/checkpoints/") == "file:///a home/checkpoints"
    assert parse_base("gs://bucket/candles") == "gs://bucket/candles"


@pytest.mark.parametrize("text", ["/checkpoints", "file://checkpoints", "file:///", "gs://", "hdfs:///checkpoints"])
def test_another_base_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be file:///folder or gs://bucket/folder, got"):
        parse_base(text)
