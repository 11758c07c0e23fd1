"""A folder as the archive: which of its files count as published."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from pathlib import Path

from local.exchange.archive.folder import Folder

DAY = dt.date(2024, 1, 2)


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_lie_flat_or_below_their_symbol_and_other_names_are_ignored(tmp_path: Path) -> None:
    write(tmp_path / "BTCUSDT2024-01-03.csv.gz")
    write(tmp_path / "BTCUSDT2024-01-02.csv.gz")
    write(tmp_path / "ETHUSDT" / "ETHUSDT2024-01-02.csv.gz")
    for other in (
        "README.md",
        "BTCUSDT2024-13-02.csv.gz",
        "btcusdt2024-01-02.csv.gz",
        "BTCUSDT2024-01-02.csv",
        ".SOLUSDT2024-01-02.csv.gz",
        "ETHUSDT/SOLUSDT2024-01-02.csv.gz",  # in the folder of another symbol
        "deep/er/ETHUSDT2024-01-02.csv.gz",
    ):
        write(tmp_path / other)
    (tmp_path / "DOGEUSDT2024-01-02.csv.gz").mkdir()
    folder = Folder(tmp_path)
    assert folder.symbols() == ["BTCUSDT", "ETHUSDT"]
    assert folder.days("BTCUSDT") == [DAY, dt.date(2024, 1, 3)]
    assert folder.days("ETHUSDT") == [DAY]
    assert folder.days("SOLUSDT") == []
    assert asyncio.run(folder.path("ETHUSDT", DAY)) == tmp_path / "ETHUSDT" / "ETHUSDT2024-01-02.csv.gz"
    assert asyncio.run(folder.path("DOGEUSDT", DAY)) is None


def test_files_are_added_and_removed_while_it_is_used(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.symbols() == []
    path = write(tmp_path / "BTCUSDT2024-01-02.csv.gz")
    assert asyncio.run(folder.path("BTCUSDT", DAY)) == path
    path.unlink()
    assert asyncio.run(folder.path("BTCUSDT", DAY)) is None
    tmp_path.rmdir()
    assert folder.symbols() == []


def test_a_linked_file_is_published_but_no_linked_folder_and_nothing_that_is_no_file(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere" / "BTCUSDT2024-01-02.csv.gz")
    write(tmp_path / "elsewhere" / "ETHUSDT2024-01-02.csv.gz")
    root = tmp_path / "root"
    root.mkdir()
    (root / "BTCUSDT2024-01-02.csv.gz").symlink_to(elsewhere)
    (root / "ETHUSDT").symlink_to(elsewhere.parent)
    (root / "SOLUSDT2024-01-02.csv.gz").symlink_to(root / "nowhere")
    (root / "DOGEUSDT2024-01-02.csv.gz").symlink_to(root / "DOGEUSDT2024-01-02.csv.gz")
    os.mkfifo(root / "BTCUSDT2024-01-03.csv.gz")
    folder = Folder(root)
    assert folder.symbols() == ["BTCUSDT"]
    assert folder.days("BTCUSDT") == [DAY]
    assert asyncio.run(folder.path("BTCUSDT", DAY)) is not None
    assert asyncio.run(folder.path("BTCUSDT", dt.date(2024, 1, 3))) is None
    assert asyncio.run(folder.path("ETHUSDT", DAY)) is None
    assert asyncio.run(folder.path("SOLUSDT", DAY)) is None
