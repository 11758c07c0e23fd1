"""Parts 3 and 4 of `make bench-live`: the whole live path of the synthetic market, trade to row, and its memory.

Exchange simulator -> producer -> Kafka -> Flink -> Postgres -> dashboard with one viewer: every service of `pipeline
up` that a live trade passes. A trade's latency is from its time T at the exchange to the first commit in Postgres whose
candle counts it: a trigger notifies of each row at its commit, and the k-th trade of a symbol's minute in the order of
the topic counts as visible once trade_count has reached k. All clocks are this machine's.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import psycopg
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from bitcoin_pipeline import names
from bitcoin_pipeline.times import MINUTE_US, SECOND_US, floor_us
from local.backing.warehouse import create_warehouse
from local.checkout import ROOT
from local.stack.options import SyntheticMarket
from local.waiting import wait_for
from tests.bench.measuring import Goal, busy_seconds, cores, cpu_seconds, quantile, resident_mib
from tests.support.live import FLINK, PARTITIONS, STORES, conninfo
from tests.support.processes import RunningStack

SYMBOLS: Final = ("1000PEPEUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT")
WARM_SECONDS: Final = 60.0
"""Time from the first row until latencies count, as a JVM that has just started is slow."""
LEAST_SECONDS: Final = 130
"""Shortest run, in which the end of a minute lies between the warm-up and the end of the run."""
WANTED_MS: Final = 300.0
WANTED_FINAL_S: Final = 2.0
WANTED_CORES: Final = {"producer": 0.05, "kafka": 0.12, "taskmanager": 0.20, "dashboard": 0.05}
"""Goals of the CPU of services at 1,000 trades a second, in frames of one to a few trades as the exchange's are."""
WANTED_TYPICAL_FINAL_S: Final = 1.0
_GRACE_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 240

_NOTIFY: Final = """
CREATE FUNCTION notify_candle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('candle', concat_ws(' ', NEW.symbol, extract(epoch FROM NEW.open_time)::bigint, NEW.trade_count,
    NEW.status));
  RETURN NULL;
END
$$;
CREATE TRIGGER notify_candle AFTER INSERT OR UPDATE ON candles FOR EACH ROW EXECUTE FUNCTION notify_candle();
"""

Minute = tuple[str, int]
"""A symbol and the start of one of its minutes, microseconds."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A committed row of `candles`. `at_us`: the time at which its notification arrived."""

    at_us: int
    trade_count: int
    status: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A trade in the topic: its time, and the time at which the broker appended it."""

    time_us: int
    appended_us: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a service: MiB after the warm-up and at the end, and the cores that it used in between."""

    early_mib: float
    late_mib: float
    cores: float


@dataclass(frozen=True, slots=True)
class Market:
    """The figures of one run at one rate: latencies in milliseconds, delays of final rows in seconds.

    `others`: cores that the rest of the machine used meanwhile.
    """

    rate: int
    seconds: float
    to_broker: list[float]
    to_row: list[float]
    final: list[float]
    usage: dict[str, Usage]
    others: float


def run_market(rate: int, seconds: float, console: Console) -> Market:
    """Run the synthetic market for `seconds` from the first row on. Raises TimeoutError and AssertionError."""
    console.print(f"whole path at {rate:,} trades/s for {seconds:g} s ...", style="dim")
    with (
        tempfile.TemporaryDirectory() as folder,
        _stack(Path(folder), rate) as stack,
        Listener(stack) as listener,
        _viewer(stack, seconds + _PATIENCE_SECONDS),
    ):
        stack.start("producer")
        wait_for("the first row in Postgres", lambda: listener.commits, _PATIENCE_SECONDS)
        began = time.monotonic()
        _pass_until(began + WARM_SECONDS)
        from_us, early, early_busy = _now_us(), _measure(stack), busy_seconds()
        _pass_until(began + seconds)
        to_us, late, late_busy = _now_us(), _measure(stack), busy_seconds()
        _pass_until(began + seconds + _GRACE_SECONDS)
        stack.kill("producer")
        sent, commits = _sent(stack), listener.commits
        wait_for("the rows to hold every trade", lambda: _is_whole(sent, commits), _PATIENCE_SECONDS)
    lasted = (to_us - from_us) / SECOND_US
    usage = {name: Usage(early[name][0], late[name][0], (late[name][1] - early[name][1]) / lasted) for name in early}
    others = (late_busy - early_busy) / lasted - sum(used.cores for used in usage.values())
    to_broker, to_row = _latencies(sent, commits, from_us, to_us)
    return Market(rate, lasted, to_broker, to_row, _final_delays(sent, commits, from_us, to_us), usage, others)


@contextmanager
def _stack(folder: Path, rate: int) -> Iterator[RunningStack]:
    """Every service except the producer, whose start begins the flow of trades."""
    running = RunningStack(folder, ("exchange", "metadata", "bigquery", *STORES))
    running.stack = dataclasses.replace(running.stack, market=SyntheticMarket(symbols=SYMBOLS, rate=rate))
    with running as stack:
        stack.set_up("topics", "tables")
        with psycopg.connect(conninfo(stack)) as connection:
            connection.execute(_NOTIFY)
        create_warehouse(stack.bigquery())
        for name in (*FLINK, "dashboard"):
            stack.start(name)
        yield stack


@contextmanager
def _viewer(stack: RunningStack, seconds: float) -> Iterator[None]:
    """A reader of one page's stream, for at most so long."""
    address = f"{stack.stack.url('dashboard')}/api/stream?symbol=BTCUSDT&interval=1m"
    command = [sys.executable, "-m", "tests.bench.dashboard_viewers", address, "1", str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


class Listener:
    """Receives notifications of candles on a thread of its own; a context manager. `commits`: by minute."""

    def __init__(self, stack: RunningStack) -> None:
        self.commits: dict[Minute, list[Commit]] = defaultdict(list)
        self._connection = psycopg.connect(conninfo(stack), autocommit=True)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Listener:
        self._connection.execute("LISTEN candle")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def _listen(self) -> None:
        while not self._stop.is_set():
            for notice in self._connection.notifies(timeout=0.5):
                at_us = _now_us()
                symbol, minute, trade_count, status = notice.payload.split()
                self.commits[symbol, int(minute) * SECOND_US].append(Commit(at_us, int(trade_count), status))


def _now_us() -> int:
    return time.time_ns() // 1000


def _pass_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))  # the wait is for time, not for a condition


def _measure(stack: RunningStack) -> dict[str, tuple[float, float]]:
    """MiB and CPU seconds of every service so far."""
    return {name: (resident_mib(process.pid), cpu_seconds(process.pid)) for name, process in stack.processes.items()}


def _sent(stack: RunningStack) -> dict[Minute, list[Sent]]:
    """The trades of every minute in the order of the topic."""
    sent: dict[Minute, list[Sent]] = defaultdict(list)
    servers = stack.environ["KAFKA_BOOTSTRAP_SERVERS"]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "enable.auto.commit": False})
    try:
        for partition in range(PARTITIONS):
            place = TopicPartition(names.TRADES_TOPIC, partition, 0)
            _, high = consumer.get_watermark_offsets(place, timeout=30)
            consumer.assign([place])
            at = 0
            while at < high:
                messages = consumer.consume(min(10_000, high - at), timeout=30)
                assert messages, f"partition {partition} ends at {at} of {high}"
                for message in messages:
                    record = json.loads(message.value() or b"")
                    if record["type"] == "trade":
                        minute = record["symbol"], floor_us(record["time"])
                        sent[minute].append(Sent(record["time"], message.timestamp()[1] * 1000))
                at = (messages[-1].offset() or 0) + 1
    finally:
        consumer.close()
    return sent


def _is_whole(sent: dict[Minute, list[Sent]], commits: dict[Minute, list[Commit]]) -> bool:
    return all(commits[minute] and commits[minute][-1].trade_count == len(trades) for minute, trades in sent.items())


def _latencies(
    sent: dict[Minute, list[Sent]], commits: dict[Minute, list[Commit]], from_us: int, to_us: int
) -> tuple[list[float], list[float]]:
    """Milliseconds from T to the broker and to the row, of the trades from `from_us` to `to_us`."""
    to_broker, to_row = [], []
    for minute, trades in sent.items():
        rows = iter(commits[minute])
        row = next(rows, None)
        for number, trade in enumerate(trades, 1):
            while row is not None and row.trade_count < number:
                row = next(rows, None)
            if from_us <= trade.time_us < to_us:
                assert row is not None, f"{minute}: trade {number} of {len(trades)} has no row"
                to_broker.append((trade.appended_us - trade.time_us) / 1000)
                to_row.append((row.at_us - trade.time_us) / 1000)
    return to_broker, to_row


def _final_delays(
    sent: dict[Minute, list[Sent]], commits: dict[Minute, list[Commit]], from_us: int, to_us: int
) -> list[float]:
    """Seconds from a minute's end to its row being final and whole, of the minutes that ended from `from_us` on."""
    delays = []
    for minute, trades in sent.items():
        end_us = minute[1] + MINUTE_US
        if from_us <= end_us < to_us:
            last = next((row for row in commits[minute] if row.status == "final"), None)
            assert last is not None, f"{minute} was never final: {commits[minute][-1:]}"
            assert commits[minute][-1].trade_count == len(trades), (
                f"{minute}: {commits[minute][-1]}, sent {len(trades)}"
            )
            delays.append((last.at_us - end_us) / SECOND_US)
    return delays


def latency_table(market: Market) -> Table:
    """A table of latencies and of delays of the final rows, with the load of other processes in the title."""
    title = f"{market.rate:,} trades/s on {cores()}, of which others used {market.others:.1f}"
    table = Table("", "measured", "p50", "p95", "p99", "longest", title=title)
    for name, values, unit in (
        ("trade to broker, ms", market.to_broker, "trades"),
        ("trade to row, ms", market.to_row, "trades"),
        ("final row after its minute, ms", [seconds * 1000 for seconds in market.final], "rows"),
    ):
        shown = (f"{quantile(values, share):.0f}" for share in (0.5, 0.95, 0.99, 1.0))
        table.add_row(name, f"{len(values):,} {unit}", *shown)
    return table


def latency_goals(market: Market) -> list[Goal]:
    """The goals at the rate of `market`."""
    p95 = quantile(market.to_row, 0.95)
    typical, longest = quantile(market.final, 0.5), max(market.final)
    return [
        Goal(f"trade to row p95 at {market.rate:,}/s", f"< {WANTED_MS:g} ms", f"{p95:.0f} ms", p95 < WANTED_MS),
        Goal(
            "final after its minute, typical",
            f"<= {WANTED_TYPICAL_FINAL_S:g} s",
            f"{typical:.2f} s",
            typical <= WANTED_TYPICAL_FINAL_S,
        ),
        Goal(
            "final after its minute, longest", f"<= {WANTED_FINAL_S:g} s", f"{longest:.2f} s", longest <= WANTED_FINAL_S
        ),
        *(
            Goal(
                f"cores of {name}", f"<= {most:g}", f"{market.usage[name].cores:.2f}", market.usage[name].cores <= most
            )
            for name, most in WANTED_CORES.items()
        ),
    ]


def memory_table(market: Market) -> Table:
    """A table of memory and CPU of every service."""
    title = f"memory at {market.rate:,} trades/s (MiB; pages that processes share count once)"
    end = f"after {(market.seconds + WARM_SECONDS) / 60:.1f} minutes"
    table = Table("", "after 1 minute", end, "cores", title=title)
    for name, usage in market.usage.items():
        table.add_row(name, f"{usage.early_mib:.0f}", f"{usage.late_mib:.0f}", f"{usage.cores:.2f}")
    used = list(market.usage.values())
    early, late = sum(usage.early_mib for usage in used), sum(usage.late_mib for usage in used)
    table.add_row("all", f"{early:.0f}", f"{late:.0f}", f"{sum(usage.cores for usage in used):.2f}")
    return table
