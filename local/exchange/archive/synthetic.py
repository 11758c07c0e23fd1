"""The synthetic market as the archive: a file is made at its first request and kept in a cache.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.names import archive_file
from bitcoin_pipeline.times import days
from local.exchange.synthetic.day import BUSY_FROM, synthetic_day
from local.exchange.synthetic.files import GENERATOR_VERSION, write_day
from local.exchange.synthetic.profiles import PROFILES
from local.exchange.synthetic.second import daily_trades

PUBLISHED_AT: Final = dt.time(1, 10, tzinfo=dt.UTC)
"""The time at which the file of a day appears on the next day, as observed at the real archive."""


@dataclass(frozen=True, slots=True)
class SyntheticArchive:
    """Every symbol of the synthetic market, from its listing day to the last day that is published at `now()`.

    Files are made one at a time and stay in `cache`, a folder where no other process may write. `rates`: trades a
    second of each symbol that trades live; its days from BUSY_FROM on hold what it traded. All other days have
    `trades_per_day` trades.
    """

    cache: Path
    seed: int
    trades_per_day: int
    now: Callable[[], dt.datetime]
    rates: Mapping[str, float] = field(default_factory=dict)
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def keys_per_page(self) -> int:
        """A small number, because the listing makes every file whose size and md5 it contains."""
        return 10

    def symbols(self) -> list[str]:
        """Every symbol of the market, in order."""
        return sorted(PROFILES)

    def days(self, symbol: str) -> list[dt.date]:
        """Every day of `symbol` that is published at `now()`, in order."""
        profile = PROFILES.get(symbol)
        return list(days(profile.listed, self._last_day())) if profile else []

    async def path(self, symbol: str, day: dt.date) -> Path | None:
        """The file of a day, made now if the cache has none; None when the day is not published."""
        profile = PROFILES.get(symbol)
        if profile is None or not profile.listed <= day <= self._last_day():
            return None
        # The folder's name has everything that decides a file's content, so that a cache serves its own market only.
        market = f"version={GENERATOR_VERSION} seed={self.seed} trades={self._trades(symbol, day)}"
        path = self.cache / market / symbol / archive_file(symbol, day)
        if not path.exists():
            async with self._making:
                if not path.exists():
                    await asyncio.to_thread(self._make, path, symbol, day)
        return path

    def _trades(self, symbol: str, day: dt.date) -> int:
        if symbol in self.rates and day >= BUSY_FROM:
            return daily_trades(self.rates[symbol])
        return self.trades_per_day

    def _last_day(self) -> dt.date:
        return last_published(self.now())

    def _make(self, path: Path, symbol: str, day: dt.date) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        finished = path.with_name(f".{path.name}")  # renamed once its modification time is set
        trades = self._trades(symbol, day)
        write_day(finished, synthetic_day(symbol, day, trades, seed=self.seed))
        published = dt.datetime.combine(day + dt.timedelta(days=1), PUBLISHED_AT).timestamp()
        os.utime(finished, (published, published))
        finished.replace(path)
        log("INFO", "file made", file=path.name, trades=trades, bytes=path.stat().st_size)


def last_published(now: dt.datetime) -> dt.date:
    """The newest day whose file is published at `now`, a time in UTC."""
    return now.date() - dt.timedelta(days=1 if now.timetz() >= PUBLISHED_AT else 2)
