"""The invented market as the archive: files are made when somebody asks for them, and kept.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bitcoin_pipeline.names import archive_file
from bitcoin_pipeline.times import days
from local.exchange.events import log_event
from local.exchange.market import PROFILES, VERSION, invented_day, write_day

PUBLISHED_AT: Final = dt.time(1, 10, tzinfo=dt.UTC)
"""When the file of a day appears on the day after it, as was observed."""


@dataclass(frozen=True, slots=True)
class InventedArchive:
    """Every symbol of the invented market, from its listing day to the last day that is published at `now()`.

    A file is made at its first request, one at a time, and stays in `cache`, where only this process writes.
    """

    cache: Path
    seed: int
    trades_per_day: int
    now: Callable[[], dt.datetime]
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def keys_per_page(self) -> int:
        """Few, because the listing has to make every file whose size and md5 it tells."""
        return 10

    def symbols(self) -> list[str]:
        """Every symbol of the market, in order."""
        return sorted(PROFILES)

    def days(self, symbol: str) -> list[dt.date]:
        """Every day of `symbol` that is published by now, in order."""
        profile = PROFILES.get(symbol)
        return list(days(profile.listed, self._last_day())) if profile else []

    async def path(self, symbol: str, day: dt.date) -> Path | None:
        """The file of a day, which is made now if it was not before; None when it is not published."""
        profile = PROFILES.get(symbol)
        if profile is None or not profile.listed <= day <= self._last_day():
            return None
        # What decides a file's content is in its folder's name, so a kept cache is never another market's.
        market = f"version={VERSION} seed={self.seed} trades={self.trades_per_day}"
        path = self.cache / market / symbol / archive_file(symbol, day)
        if not path.exists():
            async with self._making:
                if not path.exists():
                    await asyncio.to_thread(self._make, path, symbol, day)
        return path

    def _last_day(self) -> dt.date:
        now = self.now()
        return now.date() - dt.timedelta(days=1 if now.timetz() >= PUBLISHED_AT else 2)

    def _make(self, path: Path, symbol: str, day: dt.date) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        finished = path.with_name(f".{path.name}")  # seen by nobody before its time is set
        write_day(finished, invented_day(symbol, day, self.trades_per_day, seed=self.seed))
        published = dt.datetime.combine(day + dt.timedelta(days=1), PUBLISHED_AT).timestamp()
        os.utime(finished, (published, published))
        finished.replace(path)
        log_event("file made", file=path.name, trades=self.trades_per_day, bytes=path.stat().st_size)
