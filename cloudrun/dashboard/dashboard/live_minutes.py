"""The live minutes of one symbol, and bars of any interval merged from them.

Part of the dashboard; lives on the event loop. Times are whole seconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import replace

from bitcoin_pipeline.candle import Candle, Source, merge, precedence
from bitcoin_pipeline.times import SECOND_US
from dashboard.level_of_detail import DAY_S, HOUR_S, MINUTE_S


class LiveMinutes:
    """The minutes of the newest UTC day that has any and of the day before it; older minutes are history.

    Where a minute has candles of several sources, the best of them counts.
    """

    def __init__(self) -> None:
        self._rows: dict[int, dict[Source, Candle]] = {}
        self._best: dict[int, Candle] = {}
        # Bars of minutes before the newest, which alone changes many times a second.
        self._merged: dict[tuple[int, int], Candle | None] = {}
        self.newest_s = -1
        """When the newest minute opens."""

    @property
    def since_s(self) -> int:
        """Where the live days begin."""
        return self.newest_s - self.newest_s % DAY_S - DAY_S

    @property
    def until_s(self) -> int:
        """Where the live days end."""
        return self.since_s + 2 * DAY_S

    def take(self, candle: Candle) -> bool:
        """Add a minute; True when it is new or changed, and of the live days."""
        t = candle.open_time_us // SECOND_US
        rows = self._rows.get(t, {})
        known = rows.get(candle.source)
        is_same = known is not None and known == candle and known.confirmed is candle.confirmed
        if is_same or t < self.since_s:
            return False
        self._rows[t] = rows | {candle.source: candle}
        self._best[t] = min(self._rows[t].values(), key=precedence)
        for span in [span for span in self._merged if span[0] <= t < span[1]]:
            del self._merged[span]
        if t > self.newest_s:
            self._merged = {span: bar for span, bar in self._merged.items() if span[1] != self.newest_s}
            is_new_day = t >= self.until_s
            self.newest_s = t
            if is_new_day:
                self._forget()
        return True

    def _forget(self) -> None:
        self._rows = {t: rows for t, rows in self._rows.items() if t >= self.since_s}
        self._best = {t: row for t, row in self._best.items() if t >= self.since_s}
        self._merged.clear()

    def days(self) -> set[int]:
        """The days that have minutes, counted from the epoch."""
        return {t // DAY_S for t in self._best}

    def before(self, time_s: int) -> int | None:
        """When the newest minute before `time_s` opens; None without any."""
        return max((t for t in self._best if t < time_s), default=None)

    def bar(self, open_s: int, interval_s: int) -> Candle | None:
        """The minutes from `open_s` on as one bar, the best of each; None without any."""
        if interval_s == MINUTE_S:
            return self._best.get(open_s)
        end_s = open_s + interval_s
        if not open_s < self.newest_s < end_s:
            return self._bar(open_s, end_s, interval_s)
        earlier, newest = self._bar(open_s, self.newest_s, interval_s), self._best[self.newest_s]
        return _one([newest] if earlier is None else [earlier, newest], interval_s)

    def _bar(self, start_s: int, end_s: int, interval_s: int) -> Candle | None:
        if (start_s, end_s) not in self._merged:
            if interval_s > HOUR_S:  # merged from hours, of which a minute changes only one
                parts = [self._bar(t, min(t + HOUR_S, end_s), HOUR_S) for t in range(start_s, end_s, HOUR_S)]
            else:
                parts = [self._best.get(t) for t in range(start_s, end_s, MINUTE_S)]
            found = [part for part in parts if part is not None]
            self._merged[start_s, end_s] = _one(found, interval_s) if found else None
        return self._merged[start_s, end_s]

    def last_day(self) -> list[Candle]:
        """The 24 hours up to the newest minute, oldest first: as hours, and minutes before the first whole hour."""
        start_s = self.newest_s - DAY_S + MINUTE_S
        hour_s = start_s + -start_s % HOUR_S
        bars = [self._best.get(t) for t in range(start_s, hour_s, MINUTE_S)]
        bars += [self.bar(t, HOUR_S) for t in range(hour_s, self.newest_s + MINUTE_S, HOUR_S)]
        return [bar for bar in bars if bar is not None]


def _one(candles: list[Candle], interval_s: int) -> Candle:
    # The best minutes may come from several sources; the core merges candles of one source only.
    [bar] = merge((replace(candle, source=candles[0].source) for candle in candles), interval_s * SECOND_US)
    return bar
