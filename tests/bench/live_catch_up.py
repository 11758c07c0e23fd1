"""Part 2 of `make bench-live`: the candles job reads a topic that was full before it started.

The same trades are in 1, 2 or all 4 partitions, each time in a new stack. CPU is the whole TaskManager's (JVM, its
compiler, checkpoints, JDBC), from before the job is submitted until Postgres holds every trade in confirmed candles.
The cost of a trade is measured in the second half, as Java is slow until it has compiled the job; the rest is a column.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from bitcoin_pipeline import names
from local.waiting import wait_for
from tests.bench.measuring import Goal, cores, cpu_seconds
from tests.support.backlog import Backlog
from tests.support.live import FLINK, PARTITIONS, STORES, conninfo
from tests.support.processes import RunningStack

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT")
START_US: Final = 1_700_000_040_000_000  # start of a minute
RATE: Final = 1000
"""Trades a second of the market's time."""
MINUTES: Final = 10
WANTED_US: Final = 30.0
"""Goal: microseconds of CPU a trade."""
LINEAR: Final = 1.25
"""Goal: greatest cost of a trade in all partitions, as a multiple of its cost in one."""
_SAMPLE_SECONDS: Final = 0.25
_PATIENCE_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Caught:
    """The figures of one catch-up.

    `seconds`: from the first row on. `cpu`: CPU seconds in all. `late_trades` and `late_cpu`: of the second half.
    """

    partitions: int
    trades: int
    seconds: float
    cpu: float
    late_trades: int
    late_cpu: float

    def us_of_cpu(self) -> float:
        """Microseconds of the TaskManager's CPU a trade, in the second half."""
        return self.late_cpu / self.late_trades * 1e6

    def start_seconds(self) -> float:
        """CPU seconds beyond the cost of all trades, which are those of the start."""
        return self.cpu - self.us_of_cpu() * self.trades / 1e6


def compare_catch_up(console: Console) -> list[Goal]:
    """Catch up with the trades in ever more partitions, print the table, return the goals."""
    found = []
    for partitions in (1, 2, PARTITIONS):
        console.print(f"catch-up from {partitions} of {PARTITIONS} partitions ...", style="dim")
        found.append(_catch_up(partitions))
    title = f"catch-up from a full topic on {cores()}, with Kafka and Postgres on the same machine"
    table = Table("partitions with trades", "trades", "trades/s", "CPU us a trade", "CPU s of the start", title=title)
    for caught in found:
        rate = caught.trades / caught.seconds
        figures = f"{caught.trades:,}", f"{rate:,.0f}", f"{caught.us_of_cpu():.1f}", f"{caught.start_seconds():.1f}"
        table.add_row(str(caught.partitions), *figures)
    console.print(table)
    each = [caught.us_of_cpu() for caught in found]
    ratio = each[-1] / each[0]
    return [
        Goal("catch-up, CPU us a trade when warm", f"<= {WANTED_US:g}", f"{each[-1]:.1f}", each[-1] <= WANTED_US),
        Goal(f"the same, in 1 partition of {PARTITIONS} = 1", f"<= {LINEAR:g}", f"{ratio:.2f}", ratio <= LINEAR),
    ]


def _catch_up(partitions: int) -> Caught:
    with tempfile.TemporaryDirectory() as folder, RunningStack(Path(folder), STORES) as stack:
        brokers = stack.environ["KAFKA_BOOTSTRAP_SERVERS"]
        stack.set_up("topics", "tables")
        trades = _fill(brokers, partitions)
        *cluster, job = FLINK
        for name in cluster:
            stack.start(name)
        pid = stack.processes["taskmanager"].pid
        before = cpu_seconds(pid)
        stack.start(job)
        samples = list(_samples(stack, pid, trades))
    (first_at, _, _), (last_at, last_cpu, _) = samples[0], samples[-1]
    half_at, half_cpu, half = next(sample for sample in samples if sample[2] * 2 >= trades)
    assert half_at < last_at, "one sample has all trades: there are too few of them"
    return Caught(partitions, trades, last_at - first_at, last_cpu - before, trades - half, last_cpu - half_cpu)


def _fill(brokers: str, partitions: int) -> int:
    """Send a backlog to the topic, each symbol to one of the first `partitions`; returns the number of its trades."""
    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "linger.ms": 5, "compression.type": "lz4"})
    backlog = Backlog(SYMBOLS, START_US, MINUTES, RATE / len(SYMBOLS))
    place = {symbol: number % partitions for number, symbol in enumerate(SYMBOLS)}
    for symbol, record in backlog.records():
        while True:
            try:
                producer.produce(names.TRADES_TOPIC, record, key=symbol, partition=place[symbol])
            except BufferError:
                producer.poll(0.1)
            else:
                break
    assert producer.flush(60) == 0
    return backlog.trade_count


def _samples(stack: RunningStack, pid: int, trades: int) -> Iterator[tuple[float, float, int]]:
    """Time, CPU seconds of the TaskManager and trades in Postgres, from the first trade there until all are final."""
    query = "SELECT coalesce(sum(trade_count), 0)::bigint, coalesce(bool_and(confirmed), false) FROM candles"
    with psycopg.connect(conninfo(stack), autocommit=True) as connection:

        def progress() -> tuple[int, bool]:
            row = connection.execute(query).fetchone()
            assert row is not None
            return row[0], row[1]

        wait_for("the first trade in Postgres", lambda: progress()[0], _PATIENCE_SECONDS, 0.05)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            stored, is_final = progress()
            yield time.monotonic(), cpu_seconds(pid), stored
            assert stored <= trades, f"{stored} trades in Postgres, {trades} in the topic"
            if stored == trades and is_final:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{stored} of {trades} trades in Postgres after {_PATIENCE_SECONDS} s")
            time.sleep(_SAMPLE_SECONDS)
