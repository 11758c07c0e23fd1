"""What a Spark worker of the candles job imports, in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from local.checkout import ROOT

REAL_FILE: Final = ROOT / "tests" / "fixtures" / "bybit" / "BTCUSDT2020-03-25.csv.gz"

UNUSUAL: Final = b"""timestamp,symbol,side,size,price,trdMatchID
1714953600.5,BTCUSDT,Buy,0.5,100.5,00000000-0000-0000-0000-000000000001
1714953600.5,BTCUSDT,Bid,0.5,100.5,00000000-0000-0000-0000-000000000002
"""
"""A trade of 2024-05-06 and a row that is rejected, so that the core reads the block line by line."""


def test_pandas_is_never_imported(tmp_path: Path) -> None:
    # Importing pandas costs a new worker a second; this pandas cannot be imported at all.
    (tmp_path / "pandas.py").write_text("raise RuntimeError('pandas was imported')")
    code = f"""
import datetime, pathlib
from candles_batch.task import minute_candles, read_day, trades_parquet
day = read_day([pathlib.Path({str(REAL_FILE)!r}).read_bytes()], "BTCUSDT", datetime.date(2020, 3, 25))
minute_candles(day), trades_parquet(day)
day = read_day([{UNUSUAL!r}], "BTCUSDT", datetime.date(2024, 5, 6))
minute_candles(day), trades_parquet(day)
print(len(day.trades))
"""
    assert run(code, tmp_path) == ("1\n", "")


def test_a_task_loads_neither_spark_nor_bigquery() -> None:
    code = """
import sys
import candles_batch.task
print([name for name in ("pyspark", "google.cloud.bigquery", "requests", "pandas") if name in sys.modules])
"""
    assert run(code) == ("[]\n", "")


def run(code: str, *folders: Path) -> tuple[str, str]:
    """Standard output and errors of `code` where the packages of the job and of `folders` can be imported."""
    path = os.pathsep.join(map(str, (*folders, ROOT / "dataproc_jobs" / "candles", ROOT / "src")))
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout, result.stderr
