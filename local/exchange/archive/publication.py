"""The interface to the files that the archive publishes, which its two public hosts read, and how a file is opened.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import parse_day

_FILE = re.compile(r"(?P<symbol>.+)(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})\.csv\.gz")


class Publication(Protocol):
    """The files that are published now."""

    @property
    def keys_per_page(self) -> int:
        """The largest number of keys in a page of the bucket's listing."""
        ...

    def symbols(self) -> Sequence[str]:
        """Every symbol with a file, in order."""
        ...

    def days(self, symbol: str) -> Sequence[dt.date]:
        """Every day of `symbol` that has a file, in order; none for an unknown symbol."""
        ...

    async def path(self, symbol: str, day: dt.date) -> Path | None:
        """The file of a day; None when it is not published."""
        ...


@dataclass(frozen=True, slots=True)
class Overlay:
    """The files of two publications; where both have a day, the file of `over` is published."""

    over: Publication
    under: Publication

    @property
    def keys_per_page(self) -> int:
        """The smaller one of both numbers."""
        return min(self.over.keys_per_page, self.under.keys_per_page)

    def symbols(self) -> list[str]:
        """Every symbol with a file, in order."""
        return sorted({*self.over.symbols(), *self.under.symbols()})

    def days(self, symbol: str) -> list[dt.date]:
        """Every day of `symbol` that has a file, in order."""
        return sorted({*self.over.days(symbol), *self.under.days(symbol)})

    async def path(self, symbol: str, day: dt.date) -> Path | None:
        """The file of a day; None when it is not published."""
        return await self.over.path(symbol, day) or await self.under.path(symbol, day)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A published file that is held open, so that its replacement on disk does not change what is read.

    `size`: bytes. `modified`: seconds since the epoch. `md5`: hexadecimal.
    """

    stream: BufferedReader
    size: int
    modified: float
    md5: str


class Opener:
    """Opens published files, and caches the md5 of each until the file changes."""

    def __init__(self) -> None:
        self._md5: dict[Path, tuple[tuple[int, int, int], str]] = {}

    @asynccontextmanager
    async def open(self, path: Path) -> AsyncIterator[OpenFile]:
        """The file at `path` while the context lasts. Raises FileNotFoundError or PermissionError."""
        stream = await asyncio.to_thread(open, path, "rb")
        try:
            yield await asyncio.to_thread(self._describe, path, stream)
        finally:
            stream.close()

    def _describe(self, path: Path, stream: BufferedReader) -> OpenFile:
        status = os.fstat(stream.fileno())
        identity = (status.st_size, status.st_mtime_ns, status.st_ino)
        cached, md5 = self._md5.get(path, (None, ""))
        if cached != identity:
            md5 = hashlib.file_digest(stream, "md5").hexdigest()
            self._md5[path] = (identity, md5)
        return OpenFile(stream, status.st_size, status.st_mtime, md5)


def parse_file_name(name: str) -> tuple[str, dt.date] | None:
    """The symbol and day of a file that is named as Bybit names its files; None for any other name."""
    match = _FILE.fullmatch(name)
    if not match:
        return None
    try:
        return parse_symbol(match["symbol"]), parse_day(match["day"])
    except ValueError:
        return None
