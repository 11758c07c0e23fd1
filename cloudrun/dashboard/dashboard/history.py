"""History in tiles: each is read from the warehouse once, however many viewers, and renewed when it is old.

Part of the dashboard; lives on the event loop. Where a read fails, the old rows stay. Times are whole seconds since the
epoch, UTC.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.times import Instant
from dashboard.clock import Clock, elapsed_s
from dashboard.level_of_detail import DAY_S, TILE_ROWS, Tile, runs
from dashboard.tables import CandleTables
from dashboard.warehouse import WarehouseError

FRESH_S: Final = 120
"""Age from which a tile of the last days is read again; live candles reach the warehouse as often."""
EMPTY_FRESH_S: Final = 20
"""The same for one of them that is empty: its days are perhaps being loaded."""
SETTLED_FRESH_S: Final = 1800
"""Age from which an older tile is read again: the batch may have loaded its days once more."""
SETTLED_AFTER_S: Final = 4 * DAY_S
"""How long before the newest minute a tile has to end to count as older."""
STALE_S: Final = DAY_S // 2
"""Age from which a request waits for a tile's renewal: days that were live when it was read may be missing in it."""
RETRY_S: Final = 10
"""Pause after a tile's failed read before the next one."""
PATIENCE_S: Final = 6.0
"""Upper bound on a request's wait for the warehouse; the answer then has what is there, and a fault."""
PARALLEL_QUERIES: Final = 4
"""Upper bound on BigQuery queries that run at the same time."""
AHEAD: Final = 2
"""Number of tiles that are read ahead of a viewer, in the direction of travel."""
AHEAD_PAUSE_S: Final = 0.25
"""Time before a read ahead, in which the page paints the answer that it follows."""
MAX_AHEAD: Final = 60
"""Upper bound on the tiles that wait to be read ahead; those that wait for longest are dropped."""
MAX_QUERIES: Final = 40
"""Upper bound on BigQuery queries, running or queued; tiles beyond it are left out of an answer."""
FORGET_FAULT_S: Final = 300
"""Age from which the fault of a tile that was not read since is forgotten."""
LEAST_ROWS: Final = 100
"""Rows that an empty tile counts as, so that the number of empty tiles is bounded, too."""


class CandleSource(Protocol):
    """A source of candles of history; `warehouse.Warehouse` is one."""

    def candles(self, symbol: str, level_s: int, start_s: int, end_s: int) -> pa.Table:
        """See `Warehouse.candles`. Raises WarehouseError."""


@dataclass(slots=True)
class _Loaded:
    read_at: Instant
    used_at: Instant
    rows: int
    is_empty: bool


@dataclass(frozen=True, slots=True)
class TileStates:
    """What is known of the tiles of a request.

    `age_s`: of the oldest of them, None without any. `fault`: why one is missing or could not be renewed, else empty.
    """

    missing: frozenset[Tile]
    age_s: float | None
    fault: str


class History:
    """The tiles that are in `tables`, and the reads that are under way.

    `max_rows`: above it the tiles that were not used for longest are dropped. `newest_s(symbol)`: when the symbol's
    newest live minute opens. `patience_s`: how long `load` waits.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # one of each
        self,
        source: CandleSource,
        tables: CandleTables,
        max_rows: int,
        newest_s: Callable[[str], int | None],
        clock: Clock,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._source = source
        self._tables = tables
        self._max_rows = max_rows
        self._newest_s = newest_s
        self._clock = clock
        self._patience_s = patience_s
        self._queries = ThreadPoolExecutor(PARALLEL_QUERIES, "warehouse")
        self._tiles: dict[Tile, _Loaded] = {}
        self._failed: dict[Tile, tuple[Instant, str]] = {}
        self._ahead: dict[Tile, None] = {}
        self.reading_ahead: asyncio.Task[None] | None = None
        """Reads what waits to be read ahead."""
        self.reads: dict[Tile, asyncio.Task[None]] = {}
        """The reads under way, by each tile that they change."""
        self.fault = ""
        """Why the last read failed; empty when it did not."""

    def close(self) -> None:
        """Start no further query."""
        self._ahead.clear()
        self._queries.shutdown(wait=False, cancel_futures=True)

    def held_rows(self) -> int:
        """The number of rows of all tiles."""
        return sum(loaded.rows for loaded in self._tiles.values())

    async def load(self, wanted: list[Tile]) -> None:
        """Wait, within the patience, until the tiles are read; tiles that are merely old are renewed meanwhile."""
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            self._start_reads(wanted)
            waiting = {self.reads[tile] for tile in wanted if tile in self.reads and not self._is_usable(tile)}
            if not waiting:
                return
            left = deadline - asyncio.get_running_loop().time()
            done, pending = await asyncio.wait(waiting, timeout=max(0.0, left))
            for task in done:
                task.result()  # raises what is no fault of the warehouse
            if pending:
                return

    def read_ahead(self, tile: Tile, *, to_newer: bool) -> None:
        """Have a tile and the next AHEAD ones read soon, each by itself: a viewer who pans needs them next."""
        newest_s = self._newest_s(tile.symbol)
        for _ in range(AHEAD + 1):
            is_future = to_newer and newest_s is not None and tile.start_s > newest_s
            if tile not in self._tiles and not is_future:
                self._ahead[tile] = None
            tile = tile.after if to_newer else tile.before
        while len(self._ahead) > MAX_AHEAD:
            del self._ahead[next(iter(self._ahead))]
        if self._ahead and (self.reading_ahead is None or self.reading_ahead.done()):
            self.reading_ahead = asyncio.create_task(self._read_ahead())

    async def _read_ahead(self) -> None:
        """Read the tiles that wait, some at a time, while no request waits for another."""
        await asyncio.sleep(AHEAD_PAUSE_S)
        while self._ahead:
            if self.reads:
                await asyncio.wait(set(self.reads.values()))
                continue
            for tile in list(self._ahead)[: AHEAD + 1]:
                del self._ahead[tile]
                if tile not in self._tiles:
                    self._start_reads([tile])

    def states(self, wanted: list[Tile]) -> TileStates:
        """What is known of the tiles now."""
        now = self._clock()
        missing = frozenset(tile for tile in wanted if tile not in self._tiles)
        ages = [elapsed_s(self._tiles[tile].read_at, now) for tile in wanted if tile in self._tiles]
        faults = [self._failed[tile][1] for tile in wanted if tile in self._failed]
        if missing:
            faults.append("it is still being read" if self.reads.keys() & missing else "too much is being read")
        return TileStates(missing, max(ages, default=None), faults[0] if faults else "")

    def _start_reads(self, wanted: list[Tile]) -> None:
        now = self._clock()
        missing, old = [], []
        for tile in wanted:
            loaded = self._tiles.get(tile)
            if loaded is not None:
                loaded.used_at = now
            if tile in self.reads or (tile in self._failed and elapsed_s(self._failed[tile][0], now) < RETRY_S):
                continue
            if loaded is None:
                missing.append(tile)
            elif elapsed_s(loaded.read_at, now) > self._fresh_s(tile):
                old.append(tile)
        for group in (*runs(missing), *runs(old)):
            if len(set(self.reads.values())) >= MAX_QUERIES:
                return
            task = asyncio.create_task(self._read(group))
            self.reads.update(dict.fromkeys(group, task))

    def _is_usable(self, tile: Tile) -> bool:
        return tile in self._tiles and elapsed_s(self._tiles[tile].read_at, self._clock()) < STALE_S

    def _fresh_s(self, tile: Tile) -> float:
        newest_s = self._newest_s(tile.symbol)
        is_recent = newest_s is None or tile.end_s > newest_s - SETTLED_AFTER_S
        if not is_recent:
            return SETTLED_FRESH_S
        return EMPTY_FRESH_S if self._tiles[tile].is_empty else FRESH_S

    async def _read(self, group: list[Tile]) -> None:
        touched = list(group)
        try:
            rows, counts = await asyncio.get_running_loop().run_in_executor(self._queries, self._query, group)
            now = self._clock()
            loaded = {
                tile: _Loaded(now, now, max(counts.get(tile.start_s, 0), LEAST_ROWS), tile.start_s not in counts)
                for tile in group
            }
            unused = self._drop_unused(loaded)
            # No other read of the dropped tiles starts until their rows are deleted.
            self.reads.update(dict.fromkeys(unused, self.reads[group[0]]))
            touched += unused
            await asyncio.to_thread(self._tables.write_history, group, rows, unused)
            self._tiles.update(loaded)
            for tile in group:
                self._failed.pop(tile, None)
            self.fault = ""
        except WarehouseError as error:
            self._take_fault(group, str(error))
        finally:
            for tile in touched:
                self.reads.pop(tile, None)

    def _query(self, group: list[Tile]) -> tuple[pa.Table, dict[int, int]]:
        """The rows of adjoining tiles, and their number by the start of the tile; runs in a thread."""
        first, end_s = group[0], group[-1].end_s
        rows = self._source.candles(first.symbol, first.level_s, first.start_s, end_s)
        width_s = first.level_s * TILE_ROWS
        return rows, dict(Counter(t - t % width_s for t in rows["t"].to_pylist()))

    def _drop_unused(self, loaded: dict[Tile, _Loaded]) -> list[Tile]:
        """Drop tiles until there is room for what is loaded now, first those that were not used for longest."""
        others = {tile: known for tile, known in self._tiles.items() if tile not in loaded}
        held = sum(known.rows for known in (*others.values(), *loaded.values()))
        unused = []
        for tile, known in sorted(others.items(), key=lambda item: item[1].used_at):
            if held <= self._max_rows:
                break
            unused.append(tile)
            del self._tiles[tile]
            held -= known.rows
        return unused

    def _take_fault(self, group: list[Tile], fault: str) -> None:
        if not any(tile in self._failed for tile in group):
            log("WARNING", "history failed", symbol=group[0].symbol, level=group[0].level_s, reason=fault)
        now, self.fault = self._clock(), fault
        self._failed = {
            tile: known for tile, known in self._failed.items() if elapsed_s(known[0], now) < FORGET_FAULT_S
        }
        self._failed.update(dict.fromkeys(group, (now, fault)))
