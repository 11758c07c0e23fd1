"""The job's retained checkpoints in a bucket of Google Cloud Storage.

Imported by `candles_stream.stores` where a location names a bucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

from candles_stream.checkpoints import BUCKET, METADATA, SET_ASIDE, Checkpoint, StoreError


class CheckpointBucket:
    """Checkpoints below `base`, `gs://bucket/folder`. No call is retried here, as the keeper repeats its steps."""

    def __init__(self, base: str, client: storage.Client) -> None:
        self.base = base
        name, _, folder = base.removeprefix(BUCKET).partition("/")
        self._bucket = client.bucket(name)
        self._prefix = f"{folder}/" if folder else ""

    def complete(self) -> list[Checkpoint]:
        """Every complete checkpoint, by the time of its metadata object."""
        with _calls():
            return [
                Checkpoint(path.parent.as_posix(), int(blob.updated.timestamp() * 1_000_000))
                for path, blob in self._objects("")
                if len(path.parts) == 4 and path.match(f"chk-*/{METADATA}")
            ]

    def set_aside(self, path: str) -> bool:
        """Rename the metadata object."""
        with _calls():
            blob = self._bucket.get_blob(f"{self._prefix}{path}/{METADATA}", retry=None)
            if blob is None:
                return False
            self._bucket.copy_blob(blob, self._bucket, f"{self._prefix}{path}/{SET_ASIDE}", retry=None)
            blob.delete(retry=None)
            return True

    def runs(self) -> list[str]:
        """The prefixes below which objects are."""
        with _calls():
            return sorted({"/".join(path.parts[:2]) for path, _ in self._objects("") if len(path.parts) > 2})

    def remove(self, run: str) -> None:
        """Delete the objects of a run."""
        with _calls():
            for _, blob in self._objects(f"{run}/"):
                blob.delete(retry=None)

    def _objects(self, below: str) -> Iterator[tuple[PurePosixPath, storage.Blob]]:
        for blob in self._bucket.list_blobs(prefix=self._prefix + below, retry=None):
            yield PurePosixPath(blob.name.removeprefix(self._prefix)), blob


@contextmanager
def _calls() -> Iterator[None]:
    try:
        yield
    except (GoogleAPIError, GoogleAuthError) as error:
        raise StoreError(str(error)) from error
