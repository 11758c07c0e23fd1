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
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Protocol

import duckdb
import pyarrow as pa

from bitcoin_pipeline.adapters.arrow import NUMERIC
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.candle import COMPLETE, Candle, Source, Status, precedence, precedence_sql
from bitcoin_pipeline.times import SECOND_US
from dashboard.detail import DAY, LEVELS, MAX_BARS, MINUTE, TILE_ROWS, Tile, interval_for, level_for, runs, tiles
from dashboard.minutes import Minutes
from dashboard.postgres import Stored
from dashboard.warehouse import CANDLES, WarehouseError, merged_columns

FRESH_S: Final = 120
"""How long a tile that reaches into the last days is taken as it is; live candles are published as often."""
SETTLED_FRESH_S: Final = 1800
"""The same of an older tile: its days may be loaded again."""
SETTLED_AFTER: Final = 4 * DAY
STALE_S: Final = DAY // 2
"""A tile as old may lack days that were live when it was read: a look waits for its renewal."""
RETRY_S: Final = 10
"""After a failure, nobody's look asks again before."""
FIRST: Final = 1_546_300_800
"""2019-01-01: the archive begins in that year, so no search goes further back."""
PATIENCE_S: Final = 6.0
"""A look waits no longer for history: the live minutes are shown without it then, and that it is to come."""
PARALLEL_QUERIES: Final = 4
MAX_QUESTIONS: Final = 40
"""That are asked of history or wait for it, so that nobody makes the others wait for minutes."""
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

# Rows of history before the live days and after them, at their level; within them the best minutes of both. Days
# divide so, and every interval divides a day, so no bar has parts of both kinds.
_BARS: Final = f"""
WITH parts AS (
  SELECT * FROM history
  WHERE symbol = $symbol AND level = $level AND t >= $start AND t < $end AND (t < $live_from OR t >= $live_until)
  UNION ALL
  SELECT * FROM (
    SELECT * FROM history
    WHERE symbol = $symbol AND level = 60 AND t >= greatest($start, $live_from) AND t < least($end, $live_until)
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
    when all is live. `fault`: why a part of history is missing or could not be refreshed. `is_whole`: none is missing.
    """

    symbol: str
    interval: int
    start: int
    end: int
    bars: pa.Table
    history_age_s: float | None
    fault: str
    is_whole: bool = True


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
        self._minutes: dict[str, Minutes] = {}
        self._unwritten: dict[str, dict[tuple[int, Source], Candle]] = {}
        self._forgotten: dict[str, int] = {}
        self.fault = ""
        """Why history could not be read when it was last asked."""

    # Live.

    def take(self, rows: Iterable[Stored]) -> list[Stored]:
        """Take in rows of Postgres; those that are new or changed, and recent."""
        changed = []
        for row in rows:
            candle = row.candle
            minutes = self._minutes.setdefault(candle.symbol, Minutes())
            since = minutes.since
            if not minutes.take(candle):
                continue
            changed.append(row)
            with self._taking:
                unwritten = self._unwritten.setdefault(candle.symbol, {})
                unwritten[candle.open_time_us // SECOND_US, candle.source] = candle
                if minutes.since > since:
                    self._forgotten[candle.symbol] = minutes.since
                    for key in [key for key in unwritten if key[0] < minutes.since]:
                        del unwritten[key]
        return changed

    def live(self, symbol: str) -> Minutes | None:
        """The live minutes of a symbol, None without any."""
        return self._minutes.get(symbol)

    def newest(self, symbol: str) -> int | None:
        """When the newest live minute opens."""
        live = self.live(symbol)
        return None if live is None else live.newest

    def live_symbols(self) -> set[str]:
        """The symbols that have live minutes."""
        return set(self._minutes)

    def _write_live(self) -> None:
        """Bring what came since the last look into DuckDB: one write for a look, not one for a change."""
        with self._writing:
            with self._taking:
                unwritten, self._unwritten = self._unwritten, {}
                forgotten, self._forgotten = self._forgotten, {}
            if not unwritten and not forgotten:
                return
            cursor = self._db.cursor()
            cursor.register("rows", _live_table([row for rows in unwritten.values() for row in rows.values()]))
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
        level, live = level_for(interval), self.live(symbol)
        live_from, live_until = (end, end) if live is None else (live.since, live.until)
        wanted = sorted(
            {
                *tiles(symbol, level, start, min(end, live_from)),
                *tiles(symbol, MINUTE, max(start, live_from), min(end, live_until)),
                *tiles(symbol, level, max(start, live_until), end),
            }
        )
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
            "live_from": live_from,
            "live_until": live_until,
            "interval": interval,
            "limit": limit,
        }
        # Before the rows are read: what is renewed meanwhile makes them younger, never older than is told.
        now = self._clock()
        ages = [now - self._tiles[tile].at for tile in wanted if tile in self._tiles]
        missing = [tile for tile in wanted if tile not in self._tiles]
        faults = [self._failed[tile][1] for tile in wanted if tile in self._failed]
        if missing:
            faults.append("it is still being read" if self._asked.keys() & missing else "too much is being read")
        bars = await asyncio.to_thread(self._bars, values)
        is_whole = not missing and all(tile in self._tiles for tile in wanted)
        return View(symbol, interval, start, end, bars, max(ages, default=None), faults[0] if faults else "", is_whole)

    def _bars(self, values: dict[str, Any]) -> pa.Table:
        self._write_live()
        found = self._db.cursor().sql(_BARS, params=values)
        assert found is not None
        bars: pa.Table = found.to_arrow_table().rename_columns(CANDLES.names).cast(CANDLES)
        return bars[::-1]

    async def _newest_before(self, symbol: str, before: int) -> int | None:
        """Where the newest piece that opens before `before` ends, None when there is none."""
        live = self.live(symbol)
        newest = None if live is None else live.before(before)
        if live is not None and newest is not None and before <= live.until:
            return newest + MINUTE  # no history is newer
        await self._have(tiles(symbol, LEVELS[-1], FIRST, before))
        values = {"symbol": symbol, "level": LEVELS[-1], "before": before}
        found = await asyncio.to_thread(self._newest_coarse, values)
        ends = [0 if newest is None else newest + MINUTE, 0 if found is None else min(before, found + LEVELS[-1])]
        return max(ends) or None

    def _newest_coarse(self, values: dict[str, Any]) -> int | None:
        [(found,)] = self._db.cursor().execute(_NEWEST_BEFORE, values).fetchall()
        return None if found is None else int(found)

    # History.

    async def _have(self, wanted: list[Tile]) -> None:
        """See to it that these tiles are there, as far as history answers; what is only old is renewed meanwhile."""
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            self._ask_for(wanted)
            waiting = {self._asked[tile] for tile in wanted if tile in self._asked and not self._is_of_use(tile)}
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
            if len(set(self._asked.values())) >= MAX_QUESTIONS:
                return
            task = asyncio.create_task(self._fetch(group))
            self._asked.update(dict.fromkeys(group, task))

    def _is_of_use(self, tile: Tile) -> bool:
        return tile in self._tiles and self._clock() - self._tiles[tile].at < STALE_S

    def _fresh_for(self, tile: Tile) -> float:
        newest = self.newest(tile.symbol)
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
            self.fault = ""
        except WarehouseError as error:
            if not any(tile in self._failed for tile in group):
                first = group[0]
                log("WARNING", "history failed", symbol=first.symbol, level=first.level, reason=str(error))
            now, self.fault = self._clock(), str(error)
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


_RANK: Final = precedence_sql(f"doubt <= {max(status.doubt for status in COMPLETE)}")


def _delete(cursor: duckdb.DuckDBPyConnection, symbol: str, level: int, start: int, end: int) -> None:
    cursor.execute(
        "DELETE FROM history WHERE symbol = ? AND level = ? AND t >= ? AND t < ?", [symbol, level, start, end]
    )


def _live_table(rows: list[Candle]) -> pa.Table:
    columns: dict[str, Any] = {
        "symbol": pa.array([row.symbol for row in rows], pa.string()),
        "level": pa.array([MINUTE] * len(rows), pa.int64()),
        "t": pa.array([row.open_time_us // SECOND_US for row in rows], pa.int64()),
        "source": pa.array([str(row.source) for row in rows], pa.string()),
        **{name: pa.array([getattr(row, name) for row in rows], NUMERIC) for name in _AMOUNTS},
        "trade_count": pa.array([row.trade_count for row in rows], pa.int64()),
        "doubt": pa.array([row.status.doubt for row in rows], pa.int64()),
        "rank": pa.array([precedence(row) for row in rows], pa.int64()),
    }
    return pa.table(columns)


def status_of(doubt: int) -> str:
    """The status that a bar of this doubt has."""
    return _STATUS[doubt]
