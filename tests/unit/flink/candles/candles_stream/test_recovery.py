"""Which checkpoint a new run of the candles job restores, and which one counts as unreadable."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.times import DAY_US, SECOND_US
from candles_stream.checkpoints import Checkpoint
from candles_stream.recovery import MAX_AGE_US, failed_restore, refuses_checkpoint, usable

NOW_US = 1_786_310_760_000_000

UNREADABLE = """org.apache.flink.util.FlinkException: a task
\tat org.apache.flink.Task
Caused by: java.lang.Exception: Exception while creating StreamOperatorStateContext.
\tat org.apache.flink.Operator
Caused by: java.io.FileNotFoundException: shared/7 (No such file or directory)
"""
AWAY = "java.net.ConnectException: Connection refused"


def checkpoint(path: str, age_us: int) -> Checkpoint:
    return Checkpoint(path, NOW_US - age_us)


def test_those_of_any_run_of_the_plan_come_newest_first() -> None:
    # Each run numbers its checkpoints anew, so a number is no measure of age.
    old = checkpoint("plan/first/chk-90", 30 * SECOND_US)
    newest = checkpoint("plan/second/chk-4", 10 * SECOND_US)
    newer = checkpoint("plan/second/chk-3", 20 * SECOND_US)
    other = checkpoint("another-plan/third/chk-9", 0)
    assert usable([old, newest, other, newer], "plan", NOW_US) == [newest, newer, old]


def test_without_any_there_is_none() -> None:
    assert usable([], "plan", NOW_US) == []


def test_one_older_than_the_topic_can_make_good_is_not_usable() -> None:
    assert MAX_AGE_US < 7 * DAY_US  # the topic's retention
    young = checkpoint("plan/run/chk-1", MAX_AGE_US - SECOND_US)
    assert usable([young, checkpoint("plan/run/chk-2", MAX_AGE_US)], "plan", NOW_US) == [young]


def test_a_checkpoint_that_fails_three_restores_is_unreadable() -> None:
    cause = "Caused by: java.io.FileNotFoundException: shared/7 (No such file or directory)"
    assert failed_restore([UNREADABLE] * 3) == cause
    assert failed_restore([UNREADABLE] * 3 + [AWAY]) == cause
    message = "Exception while creating StreamOperatorStateContext"
    assert failed_restore([message] * 3) == message


def test_a_checkpoint_whose_bytes_differ_is_unreadable() -> None:
    """RocksDB finds that only when it reads a block."""
    cause = "Caused by: org.rocksdb.RocksDBException: Corruption: block checksum mismatch"
    corrupt = f"java.lang.RuntimeException: a task\n\tat org.apache.flink.Task\n{cause}\n"
    assert failed_restore([corrupt] * 3) == cause
    assert failed_restore([corrupt, UNREADABLE, corrupt]) == cause
    assert failed_restore([corrupt, AWAY, corrupt]) is None


@pytest.mark.parametrize(
    "traces", [[], [UNREADABLE] * 2, [UNREADABLE, AWAY, UNREADABLE], [AWAY] + [UNREADABLE] * 3, [AWAY] * 3]
)
def test_any_other_failure_leaves_the_checkpoint_readable(traces: list[str]) -> None:
    assert failed_restore(traces) is None


def test_a_submission_fails_on_its_checkpoint_only_while_flink_restores_it() -> None:
    frame = "\tat org.apache.flink.runtime.checkpoint.CheckpointCoordinator.restoreSavepoint(C.java:1)"
    assert refuses_checkpoint(f"The program finished with the following exception:\n{frame}\n")
    assert not refuses_checkpoint(AWAY)
