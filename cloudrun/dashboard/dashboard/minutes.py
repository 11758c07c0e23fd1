"""The live minutes of one symbol, and bars of any interval made of them.

Part of the dashboard; lives on the event loop. Times are whole seconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bitcoin_pipeline.candle import Candle, Source, merge, precedence
from bitcoin_pipeline.times import SECOND_US
from dashboard.detail import DAY, MINUTE

HOUR: Final = 3600


class Minutes:
    """Those of the newest day that has any and of the day before; what is older is history."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[Source, Candle]] = {}
        self._best: dict[int, Candle] = {}
        # Of what lies before the newest minute, which alone changes many times a second.
        self._merged: dict[tuple[int, int], Candle | None] = {}
        self.newest = -1
        """When the newest minute opens."""

    @property
    def since(self) -> int:
        """Where the live days begin."""
        return self.newest - self.newest % DAY - DAY

    @property
    def until(self) -> int:
        """Where the live days end."""
        return self.since + 2 * DAY

    def take(self, candle: Candle) -> bool:
        """Take in a minute; True when it is new or changed, and of the live days."""
        t = candle.open_time_us // SECOND_US
        rows = self._rows.get(t, {})
        if rows.get(candle.source) == candle or t < self.since:
            return False
        self._rows[t] = rows | {candle.source: candle}
        self._best[t] = min(self._rows[t].values(), key=precedence)
        for start, end in [span for span in self._merged if span[0] <= t < span[1]]:
            del self._merged[start, end]
        if t > self.newest:
            self._merged = {span: bar for span, bar in self._merged.items() if span[1] != self.newest}
            is_new_day = t >= self.until
            self.newest = t
            if is_new_day:
                self._forget()
        return True

    def _forget(self) -> None:
        self._rows = {t: rows for t, rows in self._rows.items() if t >= self.since}
        self._best = {t: row for t, row in self._best.items() if t >= self.since}
        self._merged.clear()

    def days(self) -> set[int]:
        """The days, counted from the epoch, that have minutes."""
        return {t // DAY for t in self._best}

    def before(self, t: int) -> int | None:
        """When the newest minute before `t` opens, None when there is none."""
        return max((open_s for open_s in self._best if open_s < t), default=None)

    def bar(self, open_s: int, interval: int) -> Candle | None:
        """The minutes from `open_s` on as one bar, the best of each; None without any."""
        if interval == MINUTE:
            return self._best.get(open_s)
        end = open_s + interval
        if not open_s < self.newest < end:
            return self._bar(open_s, end, interval)
        earlier, newest = self._bar(open_s, self.newest, interval), self._best[self.newest]
        return _one([newest] if earlier is None else [earlier, newest], interval)

    def _bar(self, start: int, end: int, interval: int) -> Candle | None:
        if (start, end) not in self._merged:
            if interval > HOUR:  # of hours, of which a minute changes only one
                parts = [self._bar(t, min(t + HOUR, end), HOUR) for t in range(start, end, HOUR)]
            else:
                parts = [self._best.get(t) for t in range(start, end, MINUTE)]
            found = [part for part in parts if part is not None]
            self._merged[start, end] = _one(found, interval) if found else None
        return self._merged[start, end]

    def last_day(self) -> list[Candle]:
        """The 24 hours up to the newest minute, oldest first: as hours, and minutes before the first whole one."""
        start = self.newest - DAY + MINUTE
        hour = start + -start % HOUR
        bars = [self._best.get(t) for t in range(start, hour, MINUTE)]
        bars += [self.bar(t, HOUR) for t in range(hour, self.newest + MINUTE, HOUR)]
        return [bar for bar in bars if bar is not None]


def _one(candles: list[Candle], interval: int) -> Candle:
    # The best minutes may come of several sources; a longer candle of them is still one.
    [bar] = merge((replace(candle, source=candles[0].source) for candle in candles), interval * SECOND_US)
    return bar
