"""The faster inflater: it is found, it gives zlib's text, and no file is judged by it that zlib judges differently."""

from __future__ import annotations

import gzip
import importlib
import random
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from isal import isal_zlib

from bitcoin_pipeline.bybit.archive import Codec, Inflater, UnusableFileError
from candles_batch.inflating import ARCHIVE, fastest_codec
from local.build import artifact
from tests.support.small_files import file, row

ISAL = sys.modules["isal"]
FASTER = cast("Codec", isal_zlib)
TEXT = file(*(row(number, price=f"{number}.5") for number in range(1, 300)))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither the cached choice nor the imported package of another test is used."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "isal"]:
        monkeypatch.delitem(sys.modules, name)
    fastest_codec.cache_clear()
    yield
    fastest_codec.cache_clear()


def test_the_installed_package_is_used() -> None:
    assert fastest_codec() is importlib.import_module("isal.isal_zlib")


def test_the_file_that_the_batch_carries_is_used_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ARCHIVE).write_bytes(artifact("dataproc_jobs/candles")[ARCHIVE])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    # As in a Spark worker: the archive is on the path, and no such package is installed.
    installed = str(Path(ISAL.__path__[0]).parent)
    monkeypatch.setattr(sys, "path", [str(tmp_path / ARCHIVE), *(path for path in sys.path if path != installed)])
    codec = fastest_codec()
    assert str(tmp_path) in str(getattr(codec, "__file__", ""))
    assert inflated(codec, gzip.compress(TEXT), 1000) == TEXT
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]
    assert str(tmp_path) not in "".join(sys.path[1:])


@pytest.mark.parametrize(
    "content", [{}, {"isal/__init__.py": "raise ImportError"}, None], ids=["empty", "other", "none"]
)
def test_zlib_where_there_is_none(
    content: dict[str, str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        with zipfile.ZipFile(tmp_path / ARCHIVE, "w") as archive:
            for name, text in content.items():
                archive.writestr(name, text)
    installed = str(Path(ISAL.__path__[0]).parent)
    monkeypatch.setattr(sys, "path", [str(tmp_path / ARCHIVE), *(path for path in sys.path if path != installed)])
    assert fastest_codec() is zlib


def inflated(codec: Codec, content: bytes, piece: int) -> bytes | None:
    """The text of a file; None for one that is rejected."""
    inflater = Inflater(4096, codec)
    text = bytearray()
    try:
        for start in range(0, len(content), piece):
            for part in inflater.feed(content[start : start + piece]):
                text += part
        return bytes(text + inflater.end())
    except UnusableFileError:
        return None


def damaged(pick: random.Random) -> bytes:
    """Gzip of one or two members that is whole, or broken in one of many ways."""
    members = [gzip.compress(TEXT[: pick.randrange(len(TEXT))], pick.randrange(1, 10), mtime=0) for _ in range(2)]
    content = bytearray(bytes(pick.randrange(3)).join(members[: pick.randrange(1, 3)]))
    place = pick.randrange(2, len(content))
    header, trailer = pick.randrange(2, 10), -pick.randrange(1, 9)
    match pick.randrange(7):
        case 0:
            content[place] ^= 1 << pick.randrange(8)
        case 1:
            del content[place:]
        case 2:
            content[header] = pick.randrange(256)
        case 3:
            content[trailer] ^= 1 << pick.randrange(8)
        case 4:
            content[place:place] = pick.randbytes(1)
        case 5:
            content += pick.randbytes(pick.randrange(1, 20))
    return bytes(content)


def test_every_file_that_it_reads_is_read_so_by_zlib() -> None:
    pick = random.Random(11)
    whole = 0
    for _ in range(1500):
        content, piece = damaged(pick), pick.choice([1, 7, 1000, 1 << 20])
        expected = inflated(zlib, content, piece)
        assert inflated(FASTER, content, piece) == expected, (content[:12].hex(), piece)
        whole += expected is not None
    assert 300 < whole < 1200


@pytest.mark.parametrize("flags", range(256))
def test_the_flags_of_a_header_are_judged_by_zlib(flags: int) -> None:
    content = bytearray(gzip.compress(TEXT, mtime=0))
    content[3] = flags
    assert inflated(FASTER, bytes(content), 1000) == inflated(zlib, bytes(content), 1000)
