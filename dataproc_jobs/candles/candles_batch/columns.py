"""Trades of one archive file as numpy columns.

Part of the candles job; its modules and tests import it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bitcoin_pipeline.bybit.rejected_rows import RejectedRow
from candles_batch.arithmetic import Integers, sums

UNKNOWN: Final = -1
"""The value of a flag that the file does not have."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Trades as columns of equal length, 42 bytes a trade.

    `time_us`: int64. `price`, `size`: units of 10**-9. `bought`: the taker bought. `trade_id`: 16 bytes each. `rpi`:
    0, 1 or UNKNOWN.
    """

    time_us: npt.NDArray[np.int64]
    price: Integers
    size: Integers
    bought: npt.NDArray[np.bool_]
    trade_id: npt.NDArray[np.void]
    rpi: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.time_us)

    def at(self, places: slice | npt.NDArray[Any]) -> Columns:
        """The trades at `places`, in that order."""
        return Columns(*(getattr(self, field.name)[places] for field in fields(self)))

    def id_text(self, place: int) -> str:
        """The id of the trade at `place`, as a UUID in lower case."""
        return str(uuid.UUID(bytes=self.trade_id[place].tobytes()))


def joined(parts: list[Columns]) -> Columns:
    """All parts as one. `parts` is emptied, and copied column by column, so that a day is never in memory twice."""
    empty = Columns(*(np.empty(0, kind) for kind in (np.int64, np.int64, np.int64, bool, "V16", np.int8)))
    columns = [[getattr(part, field.name) for part in (empty, *parts)] for field in fields(Columns)]
    parts.clear()
    return Columns(*(np.concatenate(columns.pop(0)) for _ in fields(Columns)))


@dataclass(frozen=True, slots=True)
class Day:
    """The content of one archive file.

    `trades`: distinct, in matching order. `order`: the position of each trade among all readable rows in that order.
    `rows`: the number of trades, duplicates and rejected rows together; 0 means that the file holds no trades.
    """

    symbol: str
    trades: Columns
    order: npt.NDArray[np.int64]
    rejected: list[RejectedRow]
    duplicates: int
    rows: int

    @property
    def size_sum(self) -> int:
        """Sum of size, in units of 10**-9."""
        return sum(sums(self.trades.size, np.zeros(min(len(self.trades), 1), np.int64)))
