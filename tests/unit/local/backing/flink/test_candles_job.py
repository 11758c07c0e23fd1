"""From which checkpoint the keeper of the candles job lets it go on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bitcoin_pipeline.times import DAY_US, SECOND_US
from local.backing.flink.candles_job import OLDEST_CHECKPOINT_US, set_aside, whole_checkpoints

NOW_US = 1_786_310_760_000_000


def checkpoint(folder: Path, job: str, number: int, age_us: int, *, whole: bool = True) -> Path:
    """A checkpoint that was written so long ago."""
    path = folder / job / f"chk-{number}"
    path.mkdir(parents=True)
    if whole:
        metadata = path / "_metadata"
        metadata.touch()
        os.utime(metadata, ns=(0, (NOW_US - age_us) * 1000))
    return path


def test_whole_ones_of_any_run_come_newest_first(tmp_path: Path) -> None:
    # Numbers start anew with every run, so they tell nothing of age.
    old = checkpoint(tmp_path, "first", 90, 30 * SECOND_US)
    newest = checkpoint(tmp_path, "second", 4, 10 * SECOND_US)
    newer = checkpoint(tmp_path, "second", 3, 20 * SECOND_US)
    checkpoint(tmp_path, "second", 5, 0, whole=False)
    assert whole_checkpoints(tmp_path, NOW_US) == [newest, newer, old]


def test_without_any_there_is_none(tmp_path: Path) -> None:
    assert whole_checkpoints(tmp_path / "absent", NOW_US) == []


def test_one_older_than_the_topic_can_make_good_is_of_no_use(tmp_path: Path) -> None:
    assert OLDEST_CHECKPOINT_US < 7 * DAY_US  # what the topic keeps
    young = checkpoint(tmp_path, "job", 1, OLDEST_CHECKPOINT_US - SECOND_US)
    checkpoint(tmp_path, "job", 2, OLDEST_CHECKPOINT_US)
    assert whole_checkpoints(tmp_path, NOW_US) == [young]


def test_one_that_was_set_aside_is_not_used_again_and_that_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older, newer = checkpoint(tmp_path, "job", 1, 2 * SECOND_US), checkpoint(tmp_path, "job", 2, SECOND_US)
    for _ in range(2):
        set_aside(newer, "why")
    assert whole_checkpoints(tmp_path, NOW_US) == [older]
    told = {"event": "checkpoint cannot be read and is set aside", "checkpoint": str(newer), "reason": "why"}
    assert capsys.readouterr().out == json.dumps(told) + "\n"
