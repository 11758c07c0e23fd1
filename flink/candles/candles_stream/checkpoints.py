"""The job's retained checkpoints behind one interface, and its implementation for a folder.

The implementation for a bucket of Google Cloud Storage is `candles_stream.bucket`. Both have the layout
`<base>/<plan>/<run>/chk-<number>`; a run is the id that Flink gives to a submitted job. Imported by the rest of
`candles_stream`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bitcoin_pipeline.errors import RetryableError

FOLDER: Final = "file://"
BUCKET: Final = "gs://"

METADATA: Final = "_metadata"
"""The file that Flink writes last, so that a checkpoint with it is complete."""

SET_ASIDE: Final = "_metadata.unreadable"
"""The name of that file in a checkpoint that is not to be restored."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint. `path`: below the base, `<plan>/<run>/chk-<number>`. `written_us`: UTC."""

    path: str
    written_us: int

    @property
    def plan(self) -> str:
        """The plan of the job that wrote it."""
        return self.path.partition("/")[0]


class StoreError(RetryableError):
    """The store did not answer or refused a call."""


class CheckpointStore(Protocol):
    """The checkpoints of all runs of the job. Methods raise OSError or StoreError when the store does not answer."""

    base: str
    """The URI as Flink reads it, without a slash at its end."""

    def complete(self) -> list[Checkpoint]:
        """Every complete checkpoint that was not set aside, in any order."""

    def set_aside(self, path: str) -> bool:
        """Make a checkpoint incomplete for good; False when it was so already."""

    def runs(self) -> list[str]:
        """Every run that has left anything, as `<plan>/<run>`."""

    def remove(self, run: str) -> None:
        """Remove all that a run has left."""


class CheckpointFolder:
    """Checkpoints in a folder that this machine and every process of the cluster have."""

    def __init__(self, base: str) -> None:
        self.base = base
        # Flink reads the path of such a URI as it is, without percent-decoding.
        self._folder = Path(base.removeprefix(FOLDER))

    def complete(self) -> list[Checkpoint]:
        """Every complete checkpoint, by the time of its metadata file."""
        return [
            Checkpoint(path.parent.relative_to(self._folder).as_posix(), path.stat().st_mtime_ns // 1000)
            for path in self._folder.glob(f"*/*/chk-*/{METADATA}")
        ]

    def set_aside(self, path: str) -> bool:
        """Rename the metadata file."""
        try:
            (self._folder / path / METADATA).rename(self._folder / path / SET_ASIDE)
        except FileNotFoundError:
            return False
        return True

    def runs(self) -> list[str]:
        """The folders of runs."""
        return [path.relative_to(self._folder).as_posix() for path in self._folder.glob("*/*") if path.is_dir()]

    def remove(self, run: str) -> None:
        """Remove the folder of a run as far as that is possible."""
        shutil.rmtree(self._folder / run, ignore_errors=True)


def parse_base(text: str) -> str:
    """The base of a store. Raises ValueError."""
    if not text.startswith((f"{FOLDER}/", BUCKET)) or text in (f"{FOLDER}/", BUCKET):
        raise ValueError(f"must be {FOLDER}/folder or {BUCKET}bucket/folder, got {text!r}")
    return text.rstrip("/")
