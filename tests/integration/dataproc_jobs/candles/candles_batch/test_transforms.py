"""The candles job's transforms in an interpreter of their own, as a worker of Spark is."""

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
"""A trade of 2024-05-06 and a row that is rejected, so that the block is read line by line."""


def test_pandas_is_never_imported(tmp_path: Path) -> None:
    # Importing it costs a new worker a second; this one cannot be imported at all.
    (tmp_path / "pandas.py").write_text("raise RuntimeError('pandas was imported')")
    code = f"""
import datetime, pathlib
from candles_batch import transforms
day = transforms.read_day([pathlib.Path({str(REAL_FILE)!r}).read_bytes()], "BTCUSDT", datetime.date(2020, 3, 25))
transforms.candles(day), transforms.trades_parquet(day)
day = transforms.read_day([{UNUSUAL!r}], "BTCUSDT", datetime.date(2024, 5, 6))
transforms.candles(day), transforms.trades_parquet(day)
print(len(day.trades))
"""
    path = os.pathsep.join(map(str, (tmp_path, ROOT / "dataproc_jobs" / "candles", ROOT / "src")))
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("1\n", "")
