"""A folder of real files as the archive: the files that are in it now are published.

Part of the exchange simulator.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bitcoin_pipeline.names import archive_file
from local.exchange.archive.publication import parse_file_name


class Folder:
    """The files of days in `root`, flat or as SYMBOL/FILE; files of other names are ignored.

    Files may be added, changed and removed at any time. A file may be a symbolic link; a linked folder is not entered.
    """

    keys_per_page: Final = 1000
    """The largest number of keys that S3 returns in a page."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def symbols(self) -> list[str]:
        """Every symbol that has a file, in order."""
        return sorted({symbol for symbol, _ in self._files()})

    def days(self, symbol: str) -> list[dt.date]:
        """Every day of `symbol` that has a file, in order."""
        # A set, because a day may be both flat and in its symbol's folder.
        return sorted({day for found, day in self._files() if found == symbol})

    async def path(self, symbol: str, day: dt.date) -> Path | None:
        """The file of a day, or None; a flat file takes precedence over SYMBOL/FILE."""
        name = archive_file(symbol, day)
        flat, own_folder = self._root / name, self._root / symbol
        if flat.is_file():
            return flat
        if not own_folder.is_symlink() and (own_folder / name).is_file():
            return own_folder / name
        return None

    def _files(self) -> Iterator[tuple[str, dt.date]]:
        for entry in _entries(self._root):
            if entry.is_dir(follow_symlinks=False):
                files = (_day_file(inner) for inner in _entries(entry.path))
                yield from (found for found in files if found and found[0] == entry.name)
            elif found := _day_file(entry):
                yield found


def _day_file(entry: os.DirEntry[str]) -> tuple[str, dt.date] | None:
    found = parse_file_name(entry.name)
    if not found:
        return None
    # For a link in a circle pathlib returns False, where the entry itself raises.
    return found if entry.is_file(follow_symlinks=False) or Path(entry.path).is_file() else None


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, PermissionError):
        return []  # the folder was removed since it was found, or cannot be read
