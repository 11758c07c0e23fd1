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

CAPACITY: Final = 1 << 22
"""Trades for which memory is reserved, not used, from the start: more than all but the busiest days have."""

_KINDS: Final = (np.int64, np.int64, np.int64, np.bool_, "V16", np.int8)


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

    def picked(self, places: npt.NDArray[Any]) -> Columns:
        """The trades at `places` (positions or a mask), in that order and in this object's memory, which it uses up.

        Only one column at a time is in memory twice.
        """
        columns = []
        for field in fields(self):
            column = getattr(self, field.name)
            values = column[places]
            column[: len(values)] = values
            columns.append(column[: len(values)])
        return Columns(*columns)

    def id_text(self, place: int) -> str:
        """The id of the trade at `place`, as a UUID in lower case."""
        return str(uuid.UUID(bytes=self.trade_id[place].tobytes()))


class GrowingColumns:
    """Trades that are added part by part, held once: a page of memory that has no trades yet is never touched."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._columns = [np.empty(capacity, kind) for kind in _KINDS]
        self._count = 0

    def add(self, part: Columns) -> None:
        """Adds the trades of `part` after the present ones."""
        end = self._count + len(part)
        capacity = len(self._columns[0])
        while capacity < end:
            capacity *= 2
        for number, field in enumerate(fields(Columns)):
            column, values = self._columns[number], getattr(part, field.name)
            is_wide = values.dtype == object and column.dtype != object
            if is_wide or capacity > len(column):
                # One column after the other, so that only one is in memory twice.
                grown = np.empty(capacity, object if is_wide else column.dtype)
                grown[: self._count] = column[: self._count]
                self._columns[number] = column = grown
            column[self._count : end] = values
        self._count = end

    def columns(self) -> Columns:
        """All trades so far, in the memory of this object."""
        return Columns(*(column[: self._count] for column in self._columns))


@dataclass(frozen=True, slots=True)
class Day:
    """The content of one archive file.

    `trades`: distinct, in matching order. `order`: the position of each trade among all readable rows in that order.
    `rows`: the number of trades, duplicates and rejected rows together; 0 means that the file holds no trades.
    """

    symbol: str
    trades: Columns
    order: npt.NDArray[np.integer[Any]]
    rejected: list[RejectedRow]
    duplicates: int
    rows: int

    @property
    def size_sum(self) -> int:
        """Sum of size, in units of 10**-9."""
        return sum(sums(self.trades.size, np.zeros(min(len(self.trades), 1), np.int64)))
