"""A download that is verified on the way, in constant memory.

The function's modules and tests import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from bitcoin_pipeline.adapters.bybit_http import FileVersion
from bitcoin_pipeline.bybit.archive import FileCheck
from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.ingests import FetchStatus


class Sink(Protocol):
    """An object that takes bytes in order."""

    def write(self, piece: bytes, /) -> object:
        """Takes the next bytes."""


def copy_verified(pieces: Iterable[bytes], version: FileVersion, sink: Sink) -> dict[str, str]:
    """Writes a file to `sink`; returns its sha256, etag and FetchStatus, and the reason if it is corrupt.

    Raises RetryableError unless the bytes are those of `version`. A broken file is corrupt only if its md5 is known to
    be the source's; otherwise the download may have broken it, which is a RetryableError too.
    """
    check = FileCheck()
    for piece in pieces:
        check.feed(piece)
        sink.write(piece)
    if version.size is not None and check.size != version.size:
        raise RetryableError(f"got {check.size} bytes, the source has {version.size}")
    if version.md5 is not None and check.md5 != version.md5:
        raise RetryableError(f"got bytes with md5 {check.md5}, the source has {version.md5}")
    problem = check.problem()
    if problem and version.md5 is None:
        raise RetryableError(f"{problem}; without an md5 the file may be broken at the source or by the download")
    status = FetchStatus.CORRUPT if problem else FetchStatus.STORED if check.has_rows else FetchStatus.NO_TRADES
    metadata = {"sha256": check.sha256, "etag": version.etag, "status": str(status)}
    return {**metadata, "reason": problem} if problem else metadata
