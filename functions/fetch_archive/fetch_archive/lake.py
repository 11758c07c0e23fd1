"""Raw objects in the lake: a file is written to the staging bucket, then becomes the raw object in one step.

The metadata of a raw object contains the file's sha256, which is known when the whole file is written. Cloud Storage
takes an object's metadata when its upload begins, so the raw object is a copy of the uploaded one. Soft delete, which
protects the lake, would bill every uploaded object for seven days more; the staging bucket has none. Terraform sets for
the staging bucket the location and the storage class of the lake (a rewrite then moves no bytes),
`soft_delete_policy { retention_duration_seconds = 0 }`, and a lifecycle rule that deletes objects after a day.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import requests
from google.api_core import exceptions as lake_errors
from google.cloud import storage  # type: ignore[attr-defined]  # ships no types
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.bybit_http import FileVersion
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.ingests import SymbolDay
from fetch_archive.download import copy_verified


@dataclass(frozen=True, slots=True)
class Buckets:
    """The bucket of raw objects, and the one of temporary objects."""

    lake: storage.Bucket
    staging: storage.Bucket


UPLOAD_CHUNK: Final = 4 << 20
"""Bytes of one upload request, held in memory; a multiple of 256 KiB."""
RETRY: Final = DEFAULT_RETRY.with_timeout(30)


def raw_blob(lake: storage.Bucket, item: SymbolDay) -> storage.Blob | None:
    """The raw object of a day, or None. Raises RetryableError."""
    with _retryable_failures():
        return lake.get_blob(names.raw_object(item.symbol, item.day), retry=RETRY)


def raw_blobs(lake: storage.Bucket, symbol: str, start: dt.date, end: dt.date) -> dict[str, storage.Blob]:
    """The raw objects of a symbol's days from `start` to `end`, by their names. Raises RetryableError."""
    with _retryable_failures():
        found = lake.list_blobs(
            prefix=names.raw_prefix(symbol),
            start_offset=names.raw_object(symbol, start),
            end_offset=f"{names.raw_object(symbol, end)}~",  # the end itself is left out
            fields="items(name,size,generation,metadata),nextPageToken",
            retry=RETRY,
        )
        return {blob.name: blob for blob in found}


def is_copy(blob: storage.Blob | None, version: FileVersion) -> bool:
    """True when `blob` is a whole copy of this version of the source."""
    return blob is not None and bool(version.etag) and (version.etag, version.size) == (etag_of(blob), blob.size)


def etag_of(blob: storage.Blob) -> str:
    """The source's ETag of the file in `blob`, or an empty text."""
    return str((blob.metadata or {}).get("etag", ""))


def stage(pieces: Iterable[bytes], version: FileVersion, staged: storage.Blob) -> dict[str, str]:
    """Writes the file to `staged` and returns the raw object's metadata, that of `copy_verified`.

    Raises RetryableError, and leaves no object, unless the bytes are those of `version`.
    """
    with (
        _retryable_failures(),
        staged.open(
            "wb", chunk_size=UPLOAD_CHUNK, content_type="application/gzip", ignore_flush=True, retry=RETRY
        ) as sink,
    ):
        # An error within the block aborts the upload, so the verification is done here.
        return copy_verified(pieces, version, sink)


def publish(
    staged: storage.Blob, blob: storage.Blob, metadata: Mapping[str, str], old: storage.Blob | None
) -> storage.Blob:
    """Makes `staged` the raw object `blob` in one step. Raises RetryableError if `old` is no longer the current one."""
    blob.metadata = dict(metadata)
    # Without Content-Encoding, for which the lake would decompress the file in some reads.
    blob.content_type = "application/gzip"
    token, generation = None, old.generation if old else 0
    with _retryable_failures():
        while True:
            token, *_ = blob.rewrite(staged, token=token, if_generation_match=generation, retry=RETRY)
            if token is None:
                return blob


def discard(staged: storage.Blob) -> None:
    """Deletes `staged`. A failure is only logged: the bucket's lifecycle rule deletes what is left."""
    try:
        staged.delete(retry=RETRY)
    except (lake_errors.GoogleAPIError, requests.RequestException) as error:
        log("WARNING", "staging object stays", object=staged.name, reason=str(error))


@contextmanager
def _retryable_failures() -> Iterator[None]:
    """Raises RetryableError in place of the client's transient errors, which the client has retried already."""
    try:
        yield
    except (
        lake_errors.PreconditionFailed,  # another call was first; the next try sees its object
        lake_errors.RetryError,
        lake_errors.ServerError,
        lake_errors.TooManyRequests,
        DataCorruption,
        requests.RequestException,
    ) as error:
        raise RetryableError(f"the lake failed: {error}") from error
    except InvalidResponse as error:
        # 404 and 410: the upload session no longer exists, and a new upload must be started.
        status = error.response.status_code
        if status in (404, 410, 429) or status >= 500:
            raise RetryableError(f"the lake answers {status} to an upload") from error
        raise
