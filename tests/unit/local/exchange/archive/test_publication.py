"""Real files beside the synthetic market: a day of theirs is published in place of the market's own."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
from pathlib import Path

from local.checkout import ROOT
from local.exchange.archive.folder import Folder
from local.exchange.archive.publication import Overlay
from local.exchange.archive.synthetic import SyntheticArchive, last_published

REAL = ROOT / "tests" / "fixtures" / "bybit" / "BTCUSDT2020-03-25.csv.gz"
DAY = dt.date(2020, 3, 25)


def test_a_real_file_stands_in_place_of_the_markets_own(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    shutil.copy(REAL, files)
    shutil.copy(REAL, files / "XRPUSDT2020-03-24.csv.gz")
    market = SyntheticArchive(tmp_path / "cache", 0, 10, lambda: dt.datetime(2020, 4, 1, 12, tzinfo=dt.UTC))
    both = Overlay(Folder(files), market)
    assert asyncio.run(both.path("BTCUSDT", DAY)) == files / REAL.name
    made = asyncio.run(both.path("BTCUSDT", DAY + dt.timedelta(days=1)))
    assert made == asyncio.run(market.path("BTCUSDT", DAY + dt.timedelta(days=1)))
    assert both.symbols() == sorted([*market.symbols(), "XRPUSDT"])
    assert both.days("XRPUSDT") == [dt.date(2020, 3, 24)]
    assert both.days("BTCUSDT") == [dt.date(2020, 3, 25) + dt.timedelta(days=number) for number in range(7)]
    assert both.keys_per_page == 10


def test_a_day_is_published_on_the_next_one_at_ten_past_one() -> None:
    before, after = (dt.datetime(2026, 3, 3, 1, minute, tzinfo=dt.UTC) for minute in (9, 10))
    assert (last_published(before), last_published(after)) == (dt.date(2026, 3, 1), dt.date(2026, 3, 2))
