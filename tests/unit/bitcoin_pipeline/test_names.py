"""Names: the contract's paths and batch ids, spelled out."""

from __future__ import annotations

import datetime as dt

import pytest

from bitcoin_pipeline import names

DAY = dt.date(2020, 3, 25)


def test_names_are_those_of_the_contract() -> None:
    assert names.archive_file("BTCUSDT", DAY) == "BTCUSDT2020-03-25.csv.gz"
    assert names.archive_key("BTCUSDT", DAY) == "trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz"
    assert names.archive_folder("BTCUSDT") == "trading/BTCUSDT/"
    partition = "symbol=BTCUSDT/date=2020-03-25"
    assert names.raw_object("BTCUSDT", DAY) == f"raw/bybit/trading/{partition}/BTCUSDT2020-03-25.csv.gz"
    assert names.trades_object("BTCUSDT", DAY) == f"trades/{partition}/trades.parquet"
    live = f"trades_live/{partition}/3-00000000000000000007-00000000000000200007.parquet"
    assert names.trades_live_object("BTCUSDT", DAY, 3, 7, 200_007) == live
    assert names.quarantine_object("BTCUSDT", DAY) == f"quarantine/{partition}/rows.jsonl"
    assert names.staging_object("run", "candles.parquet") == "staging/run/candles.parquet"


@pytest.mark.parametrize("unique", ["0", "20240102-ab12", "a" * 55])
def test_batch_ids(unique: str) -> None:
    assert names.batch_id("candles", unique) == f"candles-{unique}"


@pytest.mark.parametrize("unique", ["", "-", "A", "a_b", "a.b", "a\n", "a" * 56])
def test_no_batch_ids(unique: str) -> None:
    with pytest.raises(ValueError, match="a batch id is 4 to 63"):
        names.batch_id("candles", unique)
