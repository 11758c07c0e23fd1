"""The store of checkpoints that a location names: a folder or a bucket.

Imported by `candles_stream.__main__` and by tests.
"""

from __future__ import annotations

from candles_stream.checkpoints import FOLDER, CheckpointFolder, CheckpointStore


def store_at(base: str) -> CheckpointStore:
    """The store at a base that `parse_base` returned."""
    if base.startswith(FOLDER):
        return CheckpointFolder(base)
    from google.cloud import storage  # type: ignore[attr-defined]  # noqa: PLC0415  # takes half a second

    from candles_stream.bucket import CheckpointBucket  # noqa: PLC0415

    return CheckpointBucket(base, storage.Client())
