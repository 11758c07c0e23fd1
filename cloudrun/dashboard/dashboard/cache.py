"""The cache in front of Postgres and BigQuery: bars of any interval, merged from live minutes and tiles of history.

Part of the dashboard; lives on the event loop. Times are whole seconds since the epoch, UTC.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from bitcoin_pipeline.candle import Candle, Source
from bitcoin_pipeline.times import SECOND_US
from dashboard.clock import Clock
from dashboard.history import PATIENCE_S, CandleSource, History
from dashboard.level_of_detail import DAY_S, LEVELS_S, MAX_BARS, MINUTE_S, interval_for, level_for, tiles
from dashboard.live_minutes import LiveMinutes
from dashboard.postgres import StoredCandle
from dashboard.tables import BarQuery, CandleTables

FIRST_S: Final = 1_546_300_800
"""2019-01-01: the exchange's archive begins in that year, so no search goes further back."""


AHEAD_S: Final = MINUTE_S
"""How far a live minute may open after the proven time of its symbol's feed to be shown."""
MAX_WAITING_ROWS: Final = 3000
"""Upper bound on a symbol's rows that wait for a proof, two days of minutes; the latest beyond it are dropped."""


@dataclass(frozen=True, slots=True)
class View:
    """Bars of one symbol, oldest first.

    `bars`: in the columns of CANDLES, exact. `history_age_s`: of the oldest tile of history in it, None when all is
    live. `fault`: why a part of history is missing or could not be renewed. `is_whole`: no part of it is missing.
    `is_cut`: the span has older bars, for which the answer had no room.
    """

    symbol: str
    interval_s: int
    start_s: int
    end_s: int
    bars: pa.Table
    history_age_s: float | None
    fault: str
    is_whole: bool = True
    is_cut: bool = False


class Cache:
    """The only holder of the candles that the page shows.

    `max_rows`: upper bound on the rows of history. `patience_s`: how long a view waits for history. `read_ahead`: a
    view also starts to read the next tiles.
    """

    def __init__(
        self,
        source: CandleSource,
        max_rows: int,
        clock: Clock,
        patience_s: float = PATIENCE_S,
        *,
        read_ahead: bool = True,
    ) -> None:
        self._tables = CandleTables()
        self.history = History(source, self._tables, max_rows, self.newest_s, clock, patience_s)
        self._read_ahead = read_ahead
        self._minutes: dict[str, LiveMinutes] = {}
        self._proven_s: dict[str, int] = {}
        self._waiting: dict[str, dict[tuple[int, Source], StoredCandle]] = {}
        # The next view writes to DuckDB what came since the last one. Views write one after the other; the event loop
        # shares only the second lock with them, which is held for moments.
        self._writing, self._taking = threading.Lock(), threading.Lock()
        self._unwritten: dict[str, dict[tuple[int, Source], Candle]] = {}
        self._first_s: dict[str, int] = {}

    def close(self) -> None:
        """Start no further query."""
        self.history.close()

    def take(self, rows: Iterable[StoredCandle]) -> list[StoredCandle]:
        """Add rows of Postgres; returns those that are new or changed, and of the live days.

        A minute after the proven time waits for `prove`, as a trade with a time in the future may have opened it.
        """
        changed = []
        for row in rows:
            candle = row.candle
            if not self.is_proven(candle.symbol, candle.open_time_us // SECOND_US):
                self._wait(row)
                continue
            minutes = self._minutes.setdefault(candle.symbol, LiveMinutes())
            since_s = minutes.since_s
            if not minutes.take(candle):
                continue
            changed.append(row)
            with self._taking:
                unwritten = self._unwritten.setdefault(candle.symbol, {})
                unwritten[candle.open_time_us // SECOND_US, candle.source] = candle
                if minutes.since_s > since_s:
                    self._first_s[candle.symbol] = minutes.since_s
                    for key in [key for key in unwritten if key[0] < minutes.since_s]:
                        del unwritten[key]
        return changed

    def prove(self, proven_s: Mapping[str, int]) -> list[StoredCandle]:
        """Set up to where each symbol's feed is proven; returns the rows that have waited for it and are new."""
        self._proven_s |= proven_s
        due = []
        for symbol in proven_s.keys() & self._waiting.keys():
            waiting = self._waiting[symbol]
            due += [waiting.pop(key) for key in sorted(waiting) if self.is_proven(symbol, key[0])]
        return self.take(due)

    def is_proven(self, symbol: str, time_s: int) -> bool:
        """Whether a time is not after the proven time of the symbol's feed, or no feed of it is known."""
        proven_s = self._proven_s.get(symbol)
        return proven_s is None or time_s <= proven_s + AHEAD_S

    def _wait(self, row: StoredCandle) -> None:
        candle = row.candle
        waiting = self._waiting.setdefault(candle.symbol, {})
        waiting[candle.open_time_us // SECOND_US, candle.source] = row
        if len(waiting) > MAX_WAITING_ROWS:
            del waiting[max(waiting)]

    def live(self, symbol: str) -> LiveMinutes | None:
        """The live minutes of a symbol; None without any."""
        return self._minutes.get(symbol)

    def newest_s(self, symbol: str) -> int | None:
        """When the newest live minute opens; None without any."""
        live = self.live(symbol)
        return None if live is None else live.newest_s

    def live_symbols(self) -> set[str]:
        """The symbols that have live minutes."""
        return set(self._minutes)

    async def view(  # noqa: PLR0913  # the parameters of a request
        self,
        symbol: str,
        start_s: int,
        end_s: int,
        interval_s: int | None = None,
        *,
        slide: bool = False,
        to_newer: bool = False,
        read_ahead: bool = True,
        limit: int = MAX_BARS,
    ) -> View:
        """The newest `limit` bars that open from `start_s` to before `end_s`.

        `interval_s`: None takes the shortest in which the bars of the span fit. Time without candles takes no room.
        `slide`: where the span holds nothing, a span of the same length that ends with the newest bar before it is
        shown instead. `to_newer`: the viewer goes towards newer bars, so these are read ahead, else older ones, if
        `read_ahead`.
        """
        if interval_s is None:
            view = await self._fitting(symbol, start_s, end_s, limit)
        elif end_s - start_s <= interval_s * limit:
            view = await self._view(symbol, start_s, end_s, interval_s, limit)
        else:
            days = await self._view(symbol, start_s, end_s, DAY_S, (end_s - start_s) // DAY_S + 2)
            view = await self._over(days, start_s, interval_s, limit)
        start_s, interval_s = view.start_s, view.interval_s
        tries = 2 if slide else 0  # the row found may begin before the span and end in it
        before_s = start_s
        while tries and not view.bars.num_rows:
            last_s = await self._newest_before(symbol, before_s)
            if last_s is None:
                break
            view = await self._view(symbol, last_s - (end_s - start_s), last_s, interval_s, limit)
            before_s, tries = last_s - LEVELS_S[-1], tries - 1
        if self._read_ahead and read_ahead:
            self._read_beyond(view, to_newer=to_newer)
        return view

    def _read_beyond(self, view: View, *, to_newer: bool) -> None:
        """Start to read the history next to a view; beside the live days it lies beyond them."""
        edge_s, live = view.end_s if to_newer else view.start_s - 1, self.live(view.symbol)
        if live is not None and live.since_s <= edge_s < live.until_s:
            edge_s = live.until_s if to_newer else live.since_s - 1
        [tile] = tiles(view.symbol, level_for(view.interval_s), edge_s, edge_s + 1)
        self.history.read_ahead(tile, to_newer=to_newer)

    async def _fitting(self, symbol: str, start_s: int, end_s: int, limit: int) -> View:
        """The bars of a span in the shortest interval in which they fit."""
        interval_s = interval_for(end_s - start_s)
        view = await self._view(symbol, start_s, end_s, interval_s, limit)
        while rows := view.bars.num_rows:
            shorter_s = interval_for(rows * view.interval_s)
            if shorter_s >= view.interval_s:
                break
            view = await self._over(view, start_s, shorter_s, limit)
        return view

    async def _over(self, longer: View, start_s: int, interval_s: int, limit: int) -> View:
        """The newest bars of `interval_s` from `start_s` on, where a view has longer bars; no other time is read."""
        opens = longer.bars["t"].to_pylist()
        held = opens[-(limit * interval_s // longer.interval_s + 2) :]
        spans = [(t, t + longer.interval_s) for t in held]
        view = await self._view(longer.symbol, max([start_s, *held[:1]]), longer.end_s, interval_s, limit, spans)
        is_cut = len(held) < len(opens) or view.bars.num_rows == limit
        return replace(
            view,
            start_s=view.bars["t"][0].as_py() if is_cut and view.bars.num_rows else start_s - start_s % interval_s,
            fault=view.fault or longer.fault,
            is_whole=longer.is_whole and view.is_whole,
            is_cut=is_cut,
        )

    async def _view(  # noqa: PLR0913, PLR0917  # the parameters of a request
        self,
        symbol: str,
        start_s: int,
        end_s: int,
        interval_s: int,
        limit: int,
        held: list[tuple[int, int]] | None = None,
    ) -> View:
        """The bars of a span; `held`: the parts of it that have candles, None where that is not known."""
        start_s -= start_s % interval_s
        level_s, live = level_for(interval_s), self.live(symbol)
        from_s, until_s = (end_s, end_s) if live is None else (live.since_s, live.until_s)
        wanted = sorted(
            {
                *tiles(symbol, level_s, start_s, min(end_s, from_s)),
                *tiles(symbol, MINUTE_S, max(start_s, from_s), min(end_s, until_s)),
                *tiles(symbol, level_s, max(start_s, until_s), end_s),
            }
        )
        if held is not None:
            wanted = [tile for tile in wanted if any(tile.start_s < end and start < tile.end_s for start, end in held)]
        await self.history.load(wanted)
        # Before the rows are read: a tile that is renewed meanwhile makes them younger than reported, never older.
        states = self.history.states(wanted)
        query = BarQuery(symbol, level_s, start_s, end_s, from_s, until_s, interval_s, limit)
        bars = await asyncio.to_thread(self._bars, query)
        is_whole = not states.missing and not self.history.states(wanted).missing
        return View(symbol, interval_s, start_s, end_s, bars, states.age_s, states.fault, is_whole)

    def _bars(self, query: BarQuery) -> pa.Table:
        """The bars of the query, after the live minutes that came since the last one; runs in a thread."""
        with self._writing:
            with self._taking:
                unwritten, self._unwritten = self._unwritten, {}
                first_s, self._first_s = self._first_s, {}
            if unwritten or first_s:
                self._tables.write_live([row for rows in unwritten.values() for row in rows.values()], first_s)
        return self._tables.bars(query)

    async def _newest_before(self, symbol: str, before_s: int) -> int | None:
        """Where the newest row that opens before `before_s` ends; None without any."""
        live = self.live(symbol)
        newest_s = None if live is None else live.before(before_s)
        if live is not None and newest_s is not None and before_s <= live.until_s:
            return newest_s + MINUTE_S  # no history is newer
        await self.history.load(tiles(symbol, LEVELS_S[-1], FIRST_S, before_s))
        found_s = await asyncio.to_thread(self._tables.newest_before, symbol, LEVELS_S[-1], before_s)
        ends_s = [
            0 if newest_s is None else newest_s + MINUTE_S,
            0 if found_s is None else min(before_s, found_s + LEVELS_S[-1]),
        ]
        return max(ends_s) or None
