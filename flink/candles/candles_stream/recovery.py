"""The rules of recovery: which checkpoint a new run of the job restores, and when one counts as unreadable. Pure.

Imported by `candles_stream.keeper`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from bitcoin_pipeline.times import DAY_US
from candles_stream.checkpoints import Checkpoint

MAX_AGE_US: Final = 6 * DAY_US
"""Age from which a checkpoint is not restored: the topic keeps 7 days, and must hold all records after it."""

_RESTORE_OF_SUBMISSION: Final = "org.apache.flink.runtime.checkpoint.CheckpointCoordinator.restoreSavepoint"
"""A frame in the trace of a submission that fails exactly when Flink cannot read the metadata of the checkpoint."""

_UNREADABLE_STATE: Final = (
    "Exception while creating StreamOperatorStateContext",  # files that are missing or cut short, when a task starts
    "org.rocksdb.RocksDBException: Corruption",  # bytes that differ, when a task reads them
)
"""The messages of a task that cannot read its state; a task whose surroundings fail has another one."""

_MAX_RESTORES: Final = 3
"""Attempts to restore a checkpoint, after which one that failed every time counts as unreadable."""


def usable(checkpoints: Iterable[Checkpoint], plan: str, now_us: int) -> list[Checkpoint]:
    """The checkpoints of this plan that are young enough to restore, the newest first, of whichever run."""
    found = [item for item in checkpoints if item.plan == plan and now_us - item.written_us < MAX_AGE_US]
    return sorted(found, key=lambda item: item.written_us, reverse=True)


def refuses_checkpoint(output: str) -> bool:
    """True when the output of a failed submission shows that the checkpoint made it fail."""
    return _RESTORE_OF_SUBMISSION in output


def failed_restore(traces: Sequence[str]) -> str | None:
    """Why a running job cannot read its checkpoint; None when it can, or when anything else keeps it from running.

    `traces`: the stack traces of the job's failures, the newest first.
    """
    newest = traces[:_MAX_RESTORES]
    if len(newest) < _MAX_RESTORES or not all(any(text in trace for text in _UNREADABLE_STATE) for trace in newest):
        return None
    causes = [line for line in newest[0].splitlines() if line.startswith("Caused by: ")]
    return causes[-1] if causes else newest[0].splitlines()[0]
