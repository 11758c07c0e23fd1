"""DuckDB in front of Postgres and BigQuery: live minutes, tiles of history, and bars of any interval made of both.

Part of the dashboard. Upstream is asked once per refresh, whoever looks; what was read stays within a bound. Where a
refresh fails, the old rows stay and their age is told. Times are whole seconds since the epoch, UTC.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final, Protocol

import duckdb
import pyarrow as pa
from cloud_log import log
from detail import DAY, LEVELS, MAX_BARS, MINUTE, TILE_ROWS, Tile, interval_for, level_for, runs, tiles
from postgres import Stored
from warehouse import CANDLES, WarehouseError, merged_columns

from bitcoin_pipeline.candle import Candle, Source, Status, merge, precedence
from bitcoin_pipeline.times import SECOND_US

FRESH_S: Final = 120
"""How long a tile that reaches into the last days is taken as it is; live candles are published as often."""
SETTLED_FRESH_S: Final = 1800
"""The same of an older tile: its days may be loaded again."""
SETTLED_AFTER: Final = 4 * DAY
RETRY_S: Final = 10
"""After a failure, nobody's look asks again before."""
FIRST: Final = 1_546_300_800
"""2019-01-01: the archive begins in that year, so no search goes further back."""
PATIENCE_S: Final = 6.0
"""A look waits no longer for history: the live minutes are shown without it then, and that it is to come."""
PARALLEL_QUERIES: Final = 4
FORGET_FAULT_S: Final = 300
LEAST_ROWS: Final = 100
"""What an empty tile counts as, so that their number is bounded, too."""
WRITES_PER_CLEANING: Final = 50
"""DuckDB keeps deleted rows until a checkpoint, in memory too; left alone they would grow without end."""

_TABLES: Final = """
CREATE TABLE history (
  symbol VARCHAR, level BIGINT, t BIGINT, source VARCHAR,
  open DECIMAL(38, 9), high DECIMAL(38, 9), low DECIMAL(38, 9), close DECIMAL(38, 9),
  volume DECIMAL(38, 9), turnover DECIMAL(38, 9), trade_count BIGINT,
  buy_volume DECIMAL(38, 9), buy_turnover DECIMAL(38, 9), doubt BIGINT, rank BIGINT
);
CREATE TABLE live AS FROM history;
"""

# Rows of history before the live days, at their level; from there on the best minutes of both. Days divide so, and
# every interval divides a day, so no bar has parts of both kinds.
_BARS: Final = f"""
WITH parts AS (
  SELECT * FROM history WHERE symbol = $symbol AND level = $level AND t >= $start AND t < least($end, $live_from)
  UNION ALL
  SELECT * FROM (
    SELECT * FROM history
    WHERE symbol = $symbol AND level = 60 AND t >= greatest($start, $live_from) AND t < $end
      AND NOT (source = 'live' AND t IN (SELECT t FROM live WHERE symbol = $symbol AND source = 'live'))
    UNION ALL
    SELECT * FROM live WHERE symbol = $symbol AND t >= $start AND t < $end
  )
  QUALIFY row_number() OVER (PARTITION BY t ORDER BY rank) = 1
), bars AS (
  SELECT t // $interval * $interval AS bucket, {merged_columns("t")} FROM parts GROUP BY bucket
)
SELECT * FROM bars ORDER BY bucket DESC LIMIT $limit
"""  # noqa: S608  # our own words

_NEWEST_BEFORE: Final = """
SELECT max(t) FROM history WHERE symbol = $symbol AND level = $level AND t < $before
"""

_AMOUNTS: Final = ("open", "high", "low", "close", "volume", "turnover", "buy_volume", "buy_turnover")
_STATUS: Final = {status.doubt: str(status) for status in Status}


class History(Protocol):
    """Where history is asked for; `warehouse.Warehouse` is one."""

    def candles(self, symbol: str, level: int, start: int, end: int) -> pa.Table:
        """See there. Raises WarehouseError."""


@dataclass(frozen=True, slots=True)
class View:
    """Bars of one symbol, oldest first.

    `interval`: seconds. `bars`: columns of CANDLES, exact. `history_age_s`: of the oldest part that history gave, None
    when all is live. `fault`: why a part of history is missing or could not be refreshed.
    """

    symbol: str
    interval: int
    start: int
    end: int
    bars: pa.Table
    history_age_s: float | None
    fault: str


@dataclass(slots=True)
class _Loaded:
    at: float
    used: float
    rows: int


class Cache:
    """The one holder of what the page shows.

    `clock`: monotonic seconds. `max_rows`: of history, above which the tiles not looked at for longest are dropped.
    `patience_s`: what a look waits for history. `read_ahead`: a look also fetches what lies before it.
    """

    def __init__(
        self,
        history: History,
        max_rows: int,
        clock: Callable[[], float],
        patience_s: float = PATIENCE_S,
        *,
        read_ahead: bool = True,
    ) -> None:
        self._history = history
        self._max_rows = max_rows
        self._clock = clock
        self._patience_s = patience_s
        self._read_ahead = read_ahead
        self._db = duckdb.connect(
            config={"autoinstall_known_extensions": False, "autoload_known_extensions": False, "threads": 2}
        )
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.execute(_TABLES)
        # Of DuckDB's one writer, and of what it takes over from the event loop, which must never wait for DuckDB.
        self._writing, self._taking = threading.Lock(), threading.Lock()
        self._writes = 0
        self._queries = ThreadPoolExecutor(PARALLEL_QUERIES, "warehouse")
        self._tiles: dict[Tile, _Loaded] = {}
        self._failed: dict[Tile, tuple[float, str]] = {}
        self._asked: dict[Tile, asyncio.Task[None]] = {}
        self._live: dict[tuple[str, int, Source], Stored] = {}
        self._unwritten: dict[tuple[str, int, Source], Candle] = {}
        self._forgotten: dict[str, int] = {}
        self._newest: dict[str, int] = {}

    # Live.

    def take(self, rows: Iterable[Stored]) -> list[Stored]:
        """Take in rows of Postgres; those that are new or changed, and recent."""
        changed = []
        for row in rows:
            candle = row.candle
            key = (candle.symbol, candle.open_time_us // SECOND_US, candle.source)
            known = self._live.get(key)
            if (known is not None and known.candle == candle) or key[1] < self.live_from(candle.symbol):
                continue
            with self._taking:
                self._live[key] = row
                self._unwritten[key] = candle
            changed.append(row)
            if key[1] > self._newest.get(candle.symbol, -1):
                new_day = key[1] // DAY > self._newest.get(candle.symbol, key[1]) // DAY
                self._newest[candle.symbol] = key[1]
                if new_day:
                    self._forget_live(candle.symbol)
        return changed

    def live_from(self, symbol: str) -> int:
        """Where a symbol's live minutes begin: the day before its newest one; 0 without any."""
        newest = self._newest.get(symbol)
        return 0 if newest is None else newest - newest % DAY - DAY

    def newest(self, symbol: str) -> int | None:
        """When the newest live minute opens."""
        return self._newest.get(symbol)

    def live_symbols(self) -> set[str]:
        """The symbols that have live minutes."""
        return set(self._newest)

    def live_times(self, symbol: str) -> set[int]:
        """When the live minutes of a symbol open."""
        return {t for of, t, _ in list(self._live) if of == symbol}

    def last_day(self, symbol: str) -> list[Candle]:
        """The live minutes of the 24 hours up to the newest one, oldest first."""
        newest = self._newest.get(symbol, 0)
        bars = (self.live_bar(symbol, t, MINUTE) for t in range(newest - DAY + MINUTE, newest + MINUTE, MINUTE))
        return [bar for bar in bars if bar is not None]

    def live_bar(self, symbol: str, open_s: int, interval: int) -> Candle | None:
        """The bar of the live minutes from `open_s` on, the best of each; None without any."""
        best = []
        for t in range(open_s, open_s + interval, MINUTE):
            found = [self._live[key].candle for source in Source if (key := (symbol, t, source)) in self._live]
            if found:
                best.append(min(found, key=precedence))
        if interval == MINUTE or not best:
            return best[0] if best else None
        # The best minutes may come of several sources; a longer candle of them is still one.
        [bar] = merge((replace(minute, source=best[0].source) for minute in best), interval * SECOND_US)
        return bar

    def _forget_live(self, symbol: str) -> None:
        first = self.live_from(symbol)
        with self._taking:
            for key in [key for key in self._live if key[0] == symbol and key[1] < first]:
                del self._live[key]
                self._unwritten.pop(key, None)
            self._forgotten[symbol] = first

    def _write_live(self) -> None:
        """Bring what came since the last look into DuckDB: one write for a look, not one for a change."""
        with self._writing:
            with self._taking:
                candles, self._unwritten = self._unwritten, {}
                forgotten, self._forgotten = self._forgotten, {}
            if not candles and not forgotten:
                return
            cursor = self._db.cursor()
            cursor.register("rows", _live_table(candles))
            cursor.execute("BEGIN")
            for symbol, first in forgotten.items():
                cursor.execute("DELETE FROM live WHERE symbol = ? AND t < ?", [symbol, first])
            cursor.execute(
                "DELETE FROM live USING rows WHERE live.symbol = rows.symbol AND live.t = rows.t"
                " AND live.source = rows.source"
            )
            cursor.execute("INSERT INTO live BY NAME SELECT * FROM rows")
            cursor.execute("COMMIT")
            self._written(cursor)

    # Bars.

    async def view(  # noqa: PLR0913  # what a look may choose
        self,
        symbol: str,
        start: int,
        end: int,
        interval: int | None = None,
        *,
        slide: bool = False,
        limit: int = MAX_BARS,
    ) -> View:
        """The newest `limit` bars that open from `start` to before `end`.

        `interval`: seconds; None: the shortest in which the span fits. `slide`: where the span holds nothing, the
        same length ending with the newest bar before it is shown instead.
        """
        interval = interval or interval_for(end - start)
        start = max(start - start % interval, end - end % interval - (limit - 1) * interval)
        view = await self._view(symbol, start, end, interval, limit)
        tries = 2 if slide else 0  # the piece found may begin before the span and end in it
        before = start
        while tries and not view.bars.num_rows:
            last = await self._newest_before(symbol, before)
            if last is None:
                break
            view = await self._view(symbol, last - (end - start), last, interval, limit)
            before, tries = last - LEVELS[-1], tries - 1
        return view

    async def _view(self, symbol: str, start: int, end: int, interval: int, limit: int) -> View:
        start -= start % interval
        level, live_from = level_for(interval), self.live_from(symbol)
        wanted = self._wanted(symbol, level, live_from, start, end)
        await self._have(wanted)
        if self._read_ahead and wanted:
            ahead = min(wanted, key=attrgetter("start")).before
            if ahead not in self._tiles:
                self._ask_for([ahead])  # whoever pans gets there soon
        values = {
            "symbol": symbol,
            "level": level,
            "start": start,
            "end": end,
            "live_from": live_from if symbol in self._newest else end,
            "interval": interval,
            "limit": limit,
        }
        # Before the rows are read: what is renewed meanwhile makes them younger, never older than is told.
        now = self._clock()
        ages = [now - self._tiles[tile].at for tile in wanted if tile in self._tiles]
        faults = [self._failed[tile][1] for tile in wanted if tile in self._failed]
        faults += ["it is still being read" for tile in wanted if tile in self._asked and tile not in self._tiles]
        bars = await asyncio.to_thread(self._bars, values)
        return View(symbol, interval, start, end, bars, max(ages, default=None), faults[0] if faults else "")

    def _wanted(self, symbol: str, level: int, live_from: int, start: int, end: int) -> list[Tile]:
        if symbol not in self._newest:
            return tiles(symbol, level, start, end)
        recent = tiles(symbol, MINUTE, max(start, live_from), end)
        return sorted({*tiles(symbol, level, start, min(end, live_from)), *recent})

    def _bars(self, values: dict[str, Any]) -> pa.Table:
        self._write_live()
        found = self._db.cursor().sql(_BARS, params=values)
        assert found is not None
        bars: pa.Table = found.to_arrow_table().rename_columns(CANDLES.names).cast(CANDLES)
        return bars[::-1]

    async def _newest_before(self, symbol: str, before: int) -> int | None:
        """Where the newest piece that opens before `before` ends, None when there is none."""
        live = max((t for t in self.live_times(symbol) if t < before), default=None)
        if live is not None:
            return live + MINUTE
        await self._have(tiles(symbol, LEVELS[-1], FIRST, before))
        values = {"symbol": symbol, "level": LEVELS[-1], "before": before}
        found = await asyncio.to_thread(self._newest_coarse, values)
        return None if found is None else min(before, found + LEVELS[-1])

    def _newest_coarse(self, values: dict[str, Any]) -> int | None:
        [(found,)] = self._db.cursor().execute(_NEWEST_BEFORE, values).fetchall()
        return None if found is None else int(found)

    # History.

    async def _have(self, wanted: list[Tile]) -> None:
        """See to it that these tiles are there, as far as history answers; what is only old is renewed meanwhile."""
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            self._ask_for(wanted)
            waiting = {self._asked[tile] for tile in wanted if tile in self._asked and tile not in self._tiles}
            if not waiting:
                return
            left = deadline - asyncio.get_running_loop().time()
            done, pending = await asyncio.wait(waiting, timeout=max(0.0, left))
            for task in done:
                task.result()  # a fault of ours is the caller's to know
            if pending:
                return

    def _ask_for(self, wanted: list[Tile]) -> None:
        now = self._clock()
        missing, old = [], []
        for tile in wanted:
            loaded = self._tiles.get(tile)
            if loaded is not None:
                loaded.used = now
            if tile in self._asked or now - self._failed.get(tile, (-RETRY_S, ""))[0] < RETRY_S:
                continue
            if loaded is None:
                missing.append(tile)
            elif now - loaded.at > self._fresh_for(tile):
                old.append(tile)
        for group in (*runs(missing), *runs(old)):
            task = asyncio.create_task(self._fetch(group))
            self._asked.update(dict.fromkeys(group, task))

    def _fresh_for(self, tile: Tile) -> float:
        newest = self._newest.get(tile.symbol)
        is_recent = newest is None or tile.end > newest - SETTLED_AFTER
        return FRESH_S if is_recent else SETTLED_FRESH_S

    async def _fetch(self, group: list[Tile]) -> None:
        touched = list(group)
        try:
            rows, counts = await asyncio.get_running_loop().run_in_executor(self._queries, self._read, group)
            now = self._clock()
            loaded = {tile: _Loaded(now, now, max(counts.get(tile.start, 0), LEAST_ROWS)) for tile in group}
            unused = self._unused(loaded)
            # Nobody asks for them until they are gone.
            self._asked.update(dict.fromkeys(unused, self._asked[group[0]]))
            touched += unused
            await asyncio.to_thread(self._write_history, group, rows, unused)
            self._tiles.update(loaded)
            for tile in group:
                self._failed.pop(tile, None)
        except WarehouseError as error:
            if not any(tile in self._failed for tile in group):
                first = group[0]
                log("WARNING", "history failed", symbol=first.symbol, level=first.level, reason=str(error))
            now = self._clock()
            # Who asks for what nobody has is not remembered for ever.
            self._failed = {tile: known for tile, known in self._failed.items() if now - known[0] < FORGET_FAULT_S}
            self._failed.update(dict.fromkeys(group, (now, str(error))))
        finally:
            for tile in touched:
                self._asked.pop(tile, None)

    def _read(self, group: list[Tile]) -> tuple[pa.Table, dict[int, int]]:
        """The rows of adjoining tiles, and how many each start has; in a thread."""
        first, end = group[0], group[-1].end
        rows = self._history.candles(first.symbol, first.level, first.start, end)
        width = first.level * TILE_ROWS
        return rows, dict(Counter(t - t % width for t in rows["t"].to_pylist()))

    def _unused(self, loaded: dict[Tile, _Loaded]) -> list[Tile]:
        """The tiles that make room for what is loaded now, those first that were not looked at for longest."""
        others = {tile: known for tile, known in self._tiles.items() if tile not in loaded}
        held = sum(known.rows for known in (*others.values(), *loaded.values()))
        unused = []
        for tile, known in sorted(others.items(), key=lambda item: item[1].used):
            if held <= self._max_rows:
                break
            unused.append(tile)
            del self._tiles[tile]
            held -= known.rows
        return unused

    def _write_history(self, group: list[Tile], rows: pa.Table, unused: list[Tile]) -> None:
        first, end = group[0], group[-1].end
        with self._writing:
            cursor = self._db.cursor()
            cursor.register("rows", rows)
            cursor.execute("BEGIN")
            for tile in unused:
                _delete(cursor, tile.symbol, tile.level, tile.start, tile.end)
            _delete(cursor, first.symbol, first.level, first.start, end)
            cursor.execute(
                f"INSERT INTO history BY NAME SELECT *, $symbol AS symbol, $level AS level, {_RANK} AS rank FROM rows",  # noqa: S608
                {"symbol": first.symbol, "level": first.level},
            )
            cursor.execute("COMMIT")
            self._written(cursor)

    def _written(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._writes += 1
        if self._writes % WRITES_PER_CLEANING == 0:
            with suppress(duckdb.TransactionException):  # somebody reads just now; the next time will do
                cursor.execute("CHECKPOINT")

    def held_rows(self) -> int:
        """How many rows of history are here now."""
        return sum(loaded.rows for loaded in self._tiles.values())

    def close(self) -> None:
        """Begin no further question."""
        self._queries.shutdown(wait=False, cancel_futures=True)


_RANK: Final = f"""
CASE WHEN source = 'archive' THEN 1 WHEN source = 'live' AND doubt <= {Status.REPAIRED.doubt} THEN 2
  WHEN source = 'kline' THEN 3 ELSE 4 END
"""
"""`precedence`, in SQL."""


def _delete(cursor: duckdb.DuckDBPyConnection, symbol: str, level: int, start: int, end: int) -> None:
    cursor.execute(
        "DELETE FROM history WHERE symbol = ? AND level = ? AND t >= ? AND t < ?", [symbol, level, start, end]
    )


def _live_table(candles: dict[tuple[str, int, Source], Candle]) -> pa.Table:
    rows = list(candles.values())
    columns: dict[str, Any] = {
        "symbol": pa.array([row.symbol for row in rows], pa.string()),
        "level": pa.array([MINUTE] * len(rows), pa.int64()),
        "t": pa.array([t for _, t, _ in candles], pa.int64()),
        "source": pa.array([str(row.source) for row in rows], pa.string()),
        **{name: pa.array([getattr(row, name) for row in rows], pa.decimal128(38, 9)) for name in _AMOUNTS},
        "trade_count": pa.array([row.trade_count for row in rows], pa.int64()),
        "doubt": pa.array([row.status.doubt for row in rows], pa.int64()),
        "rank": pa.array([precedence(row) for row in rows], pa.int64()),
    }
    return pa.table(columns)


def status_of(doubt: int) -> str:
    """The status that a bar of this doubt has."""
    return _STATUS[doubt]
