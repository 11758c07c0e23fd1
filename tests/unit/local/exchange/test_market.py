"""The invented market: the same bytes always, Bybit's format of each era, and trades that a market could make."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import runpy
import sys
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.times import day_of, day_start_us
from bitcoin_pipeline.trade import TakerSide, Trade
from local.checkout import ROOT
from local.exchange import market
from local.exchange.market import ERAS, PROFILES, VERSION, Era, InventedDay, era_named, era_of, invented_day, write_day

DAY = dt.date(2025, 10, 1)
OLD_COLUMNS = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"


def lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", newline="") as file:
        return file.read().split("\n")


def test_the_same_arguments_give_the_same_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_day(tmp_path / name, invented_day("BTCUSDT", DAY, 500, seed=seed))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_the_version_rises_when_the_market_changes(tmp_path: Path) -> None:
    write_day(tmp_path / "a", invented_day("BTCUSDT", DAY, 500))
    text = "\n".join(lines(tmp_path / "a"))
    assert (VERSION, hashlib.sha256(text.encode()).hexdigest()[:16]) == (1, "afe8c13eb71bce82")


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.name)
@pytest.mark.parametrize("symbol", PROFILES)
def test_the_core_reads_back_what_was_invented(tmp_path: Path, symbol: str, era: Era, descending: bool) -> None:
    invented = invented_day(symbol, DAY, 300, era=era)
    write_day(tmp_path / "a", invented, descending=descending)
    found = read_day(lines(tmp_path / "a"), symbol, DAY)
    assert found.trades == list(invented.trades())
    assert (found.rows, found.rejected, found.duplicates) == (300, [], 0)


def test_many_pieces_are_one_file_in_both_directions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "_ROWS_AT_ONCE", 1000)
    invented = invented_day("ETHUSDT", DAY, 3300)
    write_day(tmp_path / "up", invented, descending=False)
    write_day(tmp_path / "down", invented, descending=True)
    header, *up = lines(tmp_path / "up")
    assert [header, *reversed(up[:-1]), ""] == lines(tmp_path / "down")
    assert len(up) == 3301


def as_invented(trades: Sequence[Trade], era: Era) -> InventedDay:
    """Trades of a BTCUSDT day, one decimal in prices and three in sizes, as if they were invented."""
    return InventedDay(
        symbol="BTCUSDT",
        day=day_of(trades[0].time_us),
        era=era,
        time_us=np.array([trade.time_us for trade in trades]),
        price=np.array([int(trade.price * 10) for trade in trades]),
        price_decimals=1,
        size=np.array([int(trade.size * 1000) for trade in trades]),
        size_decimals=3,
        is_buy=np.array([trade.taker_side is TakerSide.BUY for trade in trades]),
        is_rpi=np.array([False for _ in trades]),
        trade_id=np.array([list(UUID(trade.trade_id).bytes) for trade in trades], np.uint8),
    )


def test_the_trades_of_a_real_file_are_spelled_as_it_spells_them(tmp_path: Path) -> None:
    real = lines(ROOT / "tests/fixtures/bybit/BTCUSDT2020-03-25.csv.gz")
    trades = read_day(real, "BTCUSDT", dt.date(2020, 3, 25)).trades
    write_day(tmp_path / "a", as_invented(trades, era_named("2019")))
    # That file tells every repeated price as ZeroMinusTick.
    assert [line.replace("ZeroPlusTick", "ZeroMinusTick") for line in lines(tmp_path / "a")] == real


@pytest.mark.parametrize(
    ("era", "time", "amounts", "values"),
    [
        ("2019", "1585180268.728512", "0.082,6676.5", "54747299999.99999,0.082,547.473"),
        ("2022", "1585180268", "0.082,6676.5", "54747299999.99999,0.082,547.473"),
        ("2023", "1585180268.728", "0.082,6676.5", "5.474729999999999e+10,0.082,547.473"),
        ("2025", "1585180268.7285", "0.082,6676.5", "5.474729999999999e+10,0.082,547.473"),
        ("2025-09", "1585180268.7285", "0.082,6676.5", "5.474729999999999e+10,0.082,547.473,0"),
    ],
)
def test_each_era_spells_a_row_its_own_way(tmp_path: Path, era: str, time: str, amounts: str, values: str) -> None:
    trade_id = "fd0a0488-3769-5c38-affc-4719c9738bab"
    trade = Trade(
        symbol="BTCUSDT",
        trade_id=trade_id,
        time_us=1585180268_728512,
        price=Decimal("6676.5"),
        size=Decimal("0.082"),
        taker_side=TakerSide.BUY,
        turnover=Decimal("547.473"),
        order=0,
    )
    write_day(tmp_path / "a", as_invented([trade], era_named(era)))
    header, row = lines(tmp_path / "a")[:2]
    assert header == OLD_COLUMNS + (",RPI" if era == "2025-09" else "")
    assert row == f"{time},BTCUSDT,Buy,{amounts},MinusTick,{trade_id},{values}"


def test_whole_and_round_numbers_by_era(tmp_path: Path) -> None:
    spelled = {}
    for era in ("2019", "2025"):
        trades = [
            replace(trade, price=Decimal(6500), size=size, time_us=1585180268_500000)
            for trade, size in zip(invented_day("BTCUSDT", DAY, 2).trades(), (Decimal(3), Decimal("0.04")), strict=True)
        ]
        write_day(tmp_path / "a", as_invented(trades, era_named(era)), descending=False)
        spelled[era] = [(row[0], row[3], row[4]) for row in (line.split(",") for line in lines(tmp_path / "a")[1:-1])]
    assert spelled == {
        "2019": [("1585180268.5", "3.0", "6500.0"), ("1585180268.5", "0.04", "6500.0")],
        "2025": [("1585180268.5", "3", "6500.0"), ("1585180268.5", "0.04", "6500.0")],
    }


def test_an_inverse_symbol_has_its_notionals_swapped(tmp_path: Path) -> None:
    write_day(tmp_path / "a", invented_day("BTCUSD", DAY, 200))
    with gzip.open(tmp_path / "a", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert row["homeNotional"] == row["size"]
        assert abs(Decimal(row["foreignNotional"]) - Decimal(row["size"]) / Decimal(row["price"])) <= Decimal("0.6e-8")


def test_days_have_the_era_of_their_date() -> None:
    dates = ["2019-10-01", "2021-12-31", "2022-01-01", "2023-06-01", "2025-08-31", "2025-09-01", "2026-11-22"]
    names = ["2019", "2019", "2022", "2023", "2025", "2025-09", "2025-09"]
    assert [era_of(dt.date.fromisoformat(date)).name for date in dates] == names


def test_takers_sweep_the_book() -> None:
    invented = invented_day("BTCUSDT", DAY, 20_000, era=era_named("2019"))
    assert (np.diff(invented.time_us) >= 0).all()
    shared = np.diff(invented.time_us) == 0
    assert 0.4 < shared.mean() < 0.7
    buys, price = invented.is_buy, np.diff(invented.price)
    assert (buys[1:] == buys[:-1])[shared].all()
    assert (price[shared & buys[1:]] >= 0).all()
    assert (price[shared & ~buys[1:]] <= 0).all()
    assert (price[shared] != 0).any()
    assert (invented.price % 10 == 0).all()  # a tick is 0.10
    assert 0.4 < buys.mean() < 0.6


def test_some_minutes_are_silent_and_all_trades_lie_in_the_day() -> None:
    invented = invented_day("BTCUSDT", DAY, 200_000)
    since_midnight = invented.time_us - day_start_us(DAY)
    assert 0 <= since_midnight.min() < since_midnight.max() < 86_400_000_000
    minutes = len(np.unique(since_midnight // 60_000_000))
    assert 1340 < minutes < 1430


def test_tick_directions_agree_with_the_prices(tmp_path: Path) -> None:
    write_day(tmp_path / "a", invented_day("SOLUSDT", DAY, 3000))
    rows = [line.split(",") for line in lines(tmp_path / "a")[1:-1]]
    last = "MinusTick"
    assert rows[0][5] == last
    for before, row in pairwise(rows):
        change = Decimal(row[4]) - Decimal(before[4])
        expected = "PlusTick" if change > 0 else "MinusTick" if change < 0 else f"Zero{last.removeprefix('Zero')}"
        assert row[5] == expected
        last = expected
    assert {row[5] for row in rows} == {"PlusTick", "MinusTick", "ZeroPlusTick", "ZeroMinusTick"}


def test_a_day_ends_about_where_the_next_one_begins() -> None:
    today, tomorrow = (invented_day("ETHUSDT", DAY + dt.timedelta(days=n), 20_000) for n in (0, 1))
    assert abs(int(today.price[-1]) / int(tomorrow.price[0]) - 1) < 0.002


def test_sizes_reach_a_billion_and_prices_seven_decimals() -> None:
    trades = list(invented_day("1000PEPEUSDT", DAY, 20_000).trades())
    assert max(trade.size for trade in trades) > 10**9
    assert min(trade.price for trade in trades).as_tuple().exponent == -7
    assert len({trade.trade_id for trade in trades}) == 20_000


@pytest.mark.parametrize("trades", [0, 1, 2])
def test_hardly_any_trades(tmp_path: Path, trades: int) -> None:
    write_day(tmp_path / "a", invented_day("BTCUSDT", DAY, trades))
    assert len(read_day(lines(tmp_path / "a"), "BTCUSDT", DAY).trades) == trades


def test_what_cannot_be_invented_is_told() -> None:
    with pytest.raises(ValueError, match=r"the invented market has BTCUSDT, .*, got 'XRPUSDT'"):
        invented_day("XRPUSDT", DAY, 1)
    with pytest.raises(ValueError, match="must not be negative, got -1 and 0"):
        invented_day("BTCUSDT", DAY, -1)
    with pytest.raises(ValueError, match="era must be one of 2019, 2022, 2023, 2025, 2025-09, got '1999'"):
        era_named("1999")


def test_the_command_writes_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["market.py", "DOGEUSDT", "2025-10-01", "--trades=100", "--seed=7", *words])
        runpy.run_path(str(market.__file__), run_name="__main__")

    write_day(tmp_path / "a", invented_day("DOGEUSDT", DAY, 100, seed=7, era=era_named("2022")), descending=False)
    run("--era=2022", "--ascending", f"--out={tmp_path / 'b'}")
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(SystemExit) as ended:
        run("--era=1999", "--ascending", f"--out={tmp_path / 'b'}")
    assert ended.value.code == 2
    assert "era must be one of 2019, 2022, 2023, 2025, 2025-09, got '1999'" in capsys.readouterr().err
