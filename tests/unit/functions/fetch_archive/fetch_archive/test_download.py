"""A verified download: which bytes are accepted, and which are corrupt at the source."""

from __future__ import annotations

import gzip
import hashlib
import io

import pytest

from bitcoin_pipeline.adapters.bybit_http import FileVersion
from bitcoin_pipeline.errors import RetryableError
from fetch_archive.download import copy_verified

FILE = gzip.compress(b"timestamp,symbol,side,size,price,trdMatchID\n1585132800.0,BTCUSDT,Buy,1,6500,x\n", mtime=0)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def copied(content: bytes, version: FileVersion) -> tuple[bytes, dict[str, str]]:
    """The bytes in the sink, and the metadata."""
    sink = io.BytesIO()
    metadata = copy_verified((content[:9], content[9:]), version, sink)
    return sink.getvalue(), metadata


def test_a_whole_file_is_copied_byte_for_byte() -> None:
    content, metadata = copied(FILE, FileVersion("e-1", len(FILE), md5(FILE)))
    assert content == FILE
    assert metadata == {"sha256": hashlib.sha256(FILE).hexdigest(), "etag": "e-1", "status": "stored"}


def test_a_file_that_is_broken_at_the_source_is_corrupt() -> None:
    broken = FILE[:-4]
    content, metadata = copied(broken, FileVersion("e-1", len(broken), md5(broken)))
    assert content == broken
    assert (metadata["status"], metadata["reason"]) == ("corrupt", f"gzip ends too early, after {len(broken)} bytes")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (FileVersion("e-1", len(FILE) + 1), f"got {len(FILE)} bytes, the source has {len(FILE) + 1}"),
        (
            FileVersion("e-1", len(FILE), md5(b"other")),
            f"md5 {md5(FILE)}, the source has {md5(b'other')}",
        ),
    ],
)
def test_other_bytes_than_the_source_s_are_refused(version: FileVersion, message: str) -> None:
    with pytest.raises(RetryableError, match=message):
        copied(FILE, version)


def test_without_an_md5_a_broken_file_is_downloaded_again() -> None:
    with pytest.raises(RetryableError, match="without an md5 the file may be broken at the source or by the download"):
        copied(FILE[:-4], FileVersion("e-1", len(FILE) - 4))
