"""Synthetic archive files: always the same bytes, and Bybit's format of each era."""

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
from bitcoin_pipeline.times import day_of
from bitcoin_pipeline.trade import TakerSide, Trade
from local.checkout import ROOT
from local.exchange.synthetic import files
from local.exchange.synthetic.day import SyntheticDay, synthetic_day
from local.exchange.synthetic.eras import ERAS, Era, era_named
from local.exchange.synthetic.files import GENERATOR_VERSION, write_day
from local.exchange.synthetic.profiles import PROFILES

DAY = dt.date(2025, 10, 1)
OLD_COLUMNS = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"


def lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", newline="") as file:
        return file.read().split("\n")


def test_the_same_arguments_give_the_same_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_day(tmp_path / name, synthetic_day("BTCUSDT", DAY, 500, seed=seed))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_the_version_rises_when_the_generator_changes(tmp_path: Path) -> None:
    write_day(tmp_path / "a", synthetic_day("BTCUSDT", DAY, 500))
    text = "\n".join(lines(tmp_path / "a"))
    assert (GENERATOR_VERSION, hashlib.sha256(text.encode()).hexdigest()[:16]) == (2, "6a9af53e9f6760f4")


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.name)
@pytest.mark.parametrize("symbol", PROFILES)
def test_the_core_reads_back_what_was_synthetic(tmp_path: Path, symbol: str, era: Era, descending: bool) -> None:
    made = synthetic_day(symbol, DAY, 300, era=era)
    write_day(tmp_path / "a", made, descending=descending)
    found = read_day(lines(tmp_path / "a"), symbol, DAY)
    assert found.trades == list(made.trades())
    assert (found.rows, found.rejected, found.duplicates) == (300, [], 0)


def test_a_file_of_many_pieces_is_the_same_in_both_directions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_ROWS_AT_ONCE", 1000)
    made = synthetic_day("ETHUSDT", DAY, 3300)
    write_day(tmp_path / "up", made, descending=False)
    write_day(tmp_path / "down", made, descending=True)
    header, *up = lines(tmp_path / "up")
    assert [header, *reversed(up[:-1]), ""] == lines(tmp_path / "down")
    assert len(up) == 3301


def as_synthetic(trades: Sequence[Trade], era: Era) -> SyntheticDay:
    """Trades of a BTCUSDT day in the form of synthetic ones, with one decimal in prices and three in sizes."""
    return SyntheticDay(
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


def test_the_trades_of_a_real_file_are_written_as_in_that_file(tmp_path: Path) -> None:
    real = lines(ROOT / "tests/fixtures/bybit/BTCUSDT2020-03-25.csv.gz")
    trades = read_day(real, "BTCUSDT", dt.date(2020, 3, 25)).trades
    write_day(tmp_path / "a", as_synthetic(trades, era_named("2019")))
    # That file has ZeroMinusTick for every repeated price.
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
def test_each_era_writes_a_row_in_its_own_form(tmp_path: Path, era: str, time: str, amounts: str, values: str) -> None:
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
    write_day(tmp_path / "a", as_synthetic([trade], era_named(era)))
    header, row = lines(tmp_path / "a")[:2]
    assert header == OLD_COLUMNS + (",RPI" if era == "2025-09" else "")
    assert row == f"{time},BTCUSDT,Buy,{amounts},MinusTick,{trade_id},{values}"


def test_whole_and_round_numbers_by_era(tmp_path: Path) -> None:
    spelled = {}
    for era in ("2019", "2025"):
        trades = [
            replace(trade, price=Decimal(6500), size=size, time_us=1585180268_500000)
            for trade, size in zip(
                synthetic_day("BTCUSDT", DAY, 2).trades(), (Decimal(3), Decimal("0.04")), strict=True
            )
        ]
        write_day(tmp_path / "a", as_synthetic(trades, era_named(era)), descending=False)
        spelled[era] = [(row[0], row[3], row[4]) for row in (line.split(",") for line in lines(tmp_path / "a")[1:-1])]
    assert spelled == {
        "2019": [("1585180268.5", "3.0", "6500.0"), ("1585180268.5", "0.04", "6500.0")],
        "2025": [("1585180268.5", "3", "6500.0"), ("1585180268.5", "0.04", "6500.0")],
    }


def test_an_inverse_symbol_has_its_notionals_swapped(tmp_path: Path) -> None:
    write_day(tmp_path / "a", synthetic_day("BTCUSD", DAY, 200))
    with gzip.open(tmp_path / "a", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert row["homeNotional"] == row["size"]
        assert abs(Decimal(row["foreignNotional"]) - Decimal(row["size"]) / Decimal(row["price"])) <= Decimal("0.6e-8")


def test_tick_directions_agree_with_the_prices(tmp_path: Path) -> None:
    write_day(tmp_path / "a", synthetic_day("SOLUSDT", DAY, 3000))
    rows = [line.split(",") for line in lines(tmp_path / "a")[1:-1]]
    last = "MinusTick"
    assert rows[0][5] == last
    for before, row in pairwise(rows):
        change = Decimal(row[4]) - Decimal(before[4])
        expected = "PlusTick" if change > 0 else "MinusTick" if change < 0 else f"Zero{last.removeprefix('Zero')}"
        assert row[5] == expected
        last = expected
    assert {row[5] for row in rows} == {"PlusTick", "MinusTick", "ZeroPlusTick", "ZeroMinusTick"}


@pytest.mark.parametrize("trades", [0, 1, 2])
def test_very_few_trades(tmp_path: Path, trades: int) -> None:
    write_day(tmp_path / "a", synthetic_day("BTCUSDT", DAY, trades))
    assert len(read_day(lines(tmp_path / "a"), "BTCUSDT", DAY).trades) == trades


def test_the_command_writes_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["synthetic", "DOGEUSDT", "2025-10-01", "--trades=100", "--seed=7", *words])
        runpy.run_module("local.exchange.synthetic", run_name="__main__")

    write_day(tmp_path / "a", synthetic_day("DOGEUSDT", DAY, 100, seed=7, era=era_named("2022")), descending=False)
    run("--era=2022", "--ascending", f"--out={tmp_path / 'b'}")
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(SystemExit) as ended:
        run("--era=1999", "--ascending", f"--out={tmp_path / 'b'}")
    assert ended.value.code == 2
    assert "era must be one of 2019, 2022, 2023, 2025, 2025-09, got '1999'" in capsys.readouterr().err
