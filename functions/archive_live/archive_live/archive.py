"""One call's work: every finished period of every partition is read, written to the lake and committed.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt
import time
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from pyarrow import fs

from archive_live.parquet import trades_parquet
from archive_live.piece import Piece
from archive_live.reader import TIMEOUT_S, PieceReader
from archive_live.settings import Settings
from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.arrow import write_object
from bitcoin_pipeline.errors import RetryableError

BUDGET_S: Final = schemas.function_timeout_s("archive_live") - 60
"""Seconds after which a call begins no further piece, so that it answers within the function's time limit."""


@dataclass(slots=True)
class Figures:
    """The work of one call. `more`: a period is left to the next call."""

    trades: int = 0
    objects: int = 0
    duplicates: int = 0
    unreadable: int = 0
    more: bool = False

    def count(self, piece: Piece) -> None:
        """Adds a piece that was written."""
        self.trades += sum(map(len, piece.trades.values()))
        self.objects += len(piece.trades)
        self.duplicates += piece.duplicates
        self.unreadable += piece.unreadable


def archive(settings: Settings) -> Figures:
    """Writes every period that was over when the call began. Raises RetryableError."""
    figures = Figures()
    deadline = time.monotonic() + BUDGET_S
    files = fs.GcsFileSystem(retry_time_limit=dt.timedelta(seconds=TIMEOUT_S))
    with closing(PieceReader(settings)) as reader:
        for partition in reader.partitions():
            for piece in reader.pieces(partition):
                if time.monotonic() > deadline:
                    figures.more = True
                    return figures
                reader.read(piece)
                _write(files, settings.lake, piece)
                reader.commit(piece)
                figures.count(piece)
    return figures


def _write(files: fs.FileSystem, lake: str, piece: Piece) -> None:
    """Writes one object for each symbol and day of the piece. Raises RetryableError."""
    for (symbol, day), trades in sorted(piece.trades.items()):
        name = names.trades_live_object(symbol, day, piece.partition, piece.start, piece.end)
        content = trades_parquet(sorted(trades.values(), key=attrgetter("time_us", "order")))
        try:
            write_object(files, f"{lake}/{name}", content)
        except OSError as error:
            raise RetryableError(f"the lake failed: {error}") from error
