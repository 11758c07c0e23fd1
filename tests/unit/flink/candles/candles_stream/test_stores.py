"""The store that a location names; one in a bucket is opened in `tests/integration/test_flink_checkpoints.py`."""

from __future__ import annotations

from candles_stream.checkpoints import CheckpointFolder
from candles_stream.stores import store_at


def test_a_folder_is_named_as_flink_reads_it() -> None:
    store = store_at("file:///a home/checkpoints")
    assert isinstance(store, CheckpointFolder)
    assert store.base == "file:///a home/checkpoints"
