"""A backfill of 60 days of 4 symbols of the synthetic market whose command is killed with SIGKILL every 20 seconds.

`python -m tests.bench.backfill_kills` (or `make chaos-backfill`). It prints what happened, and ends with 1 unless the
backfill ends, no row is there twice, no day was computed more than twice, and candles equal those of the core.
"""

from __future__ import annotations

import datetime as dt
import gzip
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

import requests

from bitcoin_pipeline.batches import Manifest, parse_manifest
from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.candle import Source, minute_candles
from bitcoin_pipeline.names import archive_key
from local.environment import read_env_file
from local.stack.config import STAGING
from tests.e2e.rows import csv_row
from tests.support.command import Pipeline

SYMBOLS: Final = ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT")
START, END = dt.date(2024, 1, 1), dt.date(2024, 2, 29)
EVERY_S: Final = 20.0
DAYS_PER_BATCH: Final = 40
MOST_COMPUTED: Final = 2
COMPARED: Final = (START, dt.date(2024, 1, 11), dt.date(2024, 2, 1), END)
"""Days of which every candle is compared with the core's."""

_COUNTS: Final = """
SELECT (SELECT count(*) FROM ingests) AS ingests,
       (SELECT count(DISTINCT (symbol, date)) FROM ingests WHERE status = 'loaded') AS loaded,
       (SELECT sum(row_count) FROM ingests) AS trades,
       (SELECT count(*) FROM candles WHERE source = 'archive') AS candles,
       (SELECT count(DISTINCT (symbol, open_time)) FROM candles WHERE source = 'archive') AS keys,
       (SELECT sum(trade_count) FROM candles WHERE source = 'archive') AS counted,
       (SELECT count(*) FROM candle_history) AS changed
"""


def main() -> None:
    """Run the backfill on a stack of its own, and print what happened."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(
            Path(folder) / "home", PIPELINE_SYMBOLS=",".join(SYMBOLS), PIPELINE_DAYS_PER_BATCH=str(DAYS_PER_BATCH)
        )
        try:
            pipeline.done("up")
            sys.exit(1 if _harass(pipeline) else 0)
        finally:
            pipeline.done("down", "--remove-data")


def _harass(pipeline: Pipeline) -> list[str]:
    """Kill the command until it ends by itself; returns the faults, which are printed too."""
    words = ("backfill", ",".join(SYMBOLS), START.isoformat(), END.isoformat())
    began = time.monotonic()
    kills = 0
    batches: dict[str, Manifest] = {}
    while True:
        process = pipeline.start(*words)
        if not _ends(process, pipeline, batches):
            process.kill()
            process.communicate()
            kills += 1
            continue
        err = process.communicate()[1]
        if process.returncode == 0:
            break
        print(f"ended with {process.returncode}: {err[-500:]}", flush=True)  # noqa: T201
    seconds = time.monotonic() - began
    [counts] = pipeline.done("sql", _COUNTS, "--format", "csv").rows
    computed = Counter(str(item) for manifest in batches.values() for item in manifest.load)
    days = len(SYMBOLS) * ((END - START).days + 1)
    faults = [
        *([f"{counts['loaded']} of {days} days loaded"] if int(counts["loaded"]) != days else []),
        *([f"{counts['ingests']} rows of ingests"] if int(counts["ingests"]) != days else []),
        *([f"{counts['candles']} candles of {counts['keys']} minutes"] if counts["candles"] != counts["keys"] else []),
        *([f"{counts['counted']} trades in candles"] if counts["counted"] != counts["trades"] else []),
        *([f"{counts['changed']} candles changed"] if counts["changed"] != "0" else []),
        *(f"{item} computed {times} times" for item, times in computed.items() if times > MOST_COMPUTED),
        *(fault for symbol in SYMBOLS for day in COMPARED for fault in _different(pipeline, symbol, day)),
    ]
    print(  # noqa: T201
        f"{days} days loaded in {seconds:.0f} s by {len(batches)} batches, with {kills} kills of the command; "
        f"{counts['trades']} trades, {counts['candles']} candles; days computed once, twice, more often: "
        f"{', '.join(str(count) for count in _times(computed))}; "
        f"{len(SYMBOLS) * len(COMPARED)} days compared with the core; faults: {faults or 'none'}"
    )
    return faults


def _ends(process: subprocess.Popen[str], pipeline: Pipeline, batches: dict[str, Manifest]) -> bool:
    """True when the command ends by itself in time; adds the manifests of batches that are there meanwhile, by id."""
    until = time.monotonic() + EVERY_S
    while process.poll() is None and time.monotonic() < until:
        for file in (pipeline.home / "gcs" / STAGING).rglob("manifest.json"):
            with suppress(OSError, ValueError):  # the batch has removed it, or the command has not finished it
                batches[file.parent.name] = parse_manifest(file.read_bytes())
        time.sleep(0.3)
    return process.poll() is not None


def _times(computed: Counter[str]) -> tuple[int, int, int]:
    times = list(computed.values())
    return times.count(1), times.count(2), sum(each > MOST_COMPUTED for each in times)


def _different(pipeline: Pipeline, symbol: str, day: dt.date) -> list[str]:
    """A fault where the candles of a day are not those that the core computes from the exchange's file."""
    address = read_env_file(pipeline.home / "env")["BYBIT_ARCHIVE_URL"]
    answer = requests.get(f"{address}/{archive_key(symbol, day)}", headers={"User-Agent": "test"}, timeout=60)
    answer.raise_for_status()
    trades = read_day(gzip.decompress(answer.content).decode().split("\n"), symbol, day).trades
    expected = [csv_row(candle) for candle in minute_candles(trades, Source.ARCHIVE)]
    rows = pipeline.done("candles", symbol, day.isoformat(), "--plane", "archive", "--format", "csv").rows
    return [] if rows == expected else [f"{symbol} {day}: {len(rows)} candles differ from the core's {len(expected)}"]


if __name__ == "__main__":
    main()
