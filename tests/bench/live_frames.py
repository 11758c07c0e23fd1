"""Part of `make bench-live`: the producer and Kafka with frames of one to a few trades, as the exchange sends them.

The simulator, the producer and Kafka are the stack's own. A request of the producer is a batch of records in one
partition; as the broker stamps a batch with the time at which it appended it, the distinct times are counted.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer
from rich.console import Console
from rich.table import Table

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.kafka import read, tail
from local.stack.options import SyntheticMarket
from local.waiting import wait_for
from tests.bench.measuring import Goal, cores, cpu_seconds
from tests.support.processes import RunningStack

SYMBOLS: Final = ("1000PEPEUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT")
RATE: Final = 1_000
SECONDS: Final = 30.0
WARM_SECONDS: Final = 10.0
WANTED_PRODUCER: Final = 0.05
WANTED_KAFKA: Final = 0.12
_ALL: Final = 10**9


def measure_frames(console: Console) -> list[Goal]:
    """Run the market for a while, print the table, return the goals."""
    console.print(f"frames as they are at {RATE:,} trades/s ...", style="dim")
    with tempfile.TemporaryDirectory() as folder:
        running = RunningStack(Path(folder), ("exchange", "kafka"))
        running.stack = dataclasses.replace(running.stack, market=SyntheticMarket(symbols=SYMBOLS, rate=RATE))
        with running as stack:
            stack.set_up("topics")
            stack.start("producer")
            wait_for("the first records", lambda: _appended(stack)[0] > 0, 60)
            time.sleep(WARM_SECONDS)  # the wait is for time, not for a condition
            began, before, records = time.monotonic(), _cpu(stack), _appended(stack)
            time.sleep(SECONDS)
            lasted, after = time.monotonic() - began, _cpu(stack)
            records_after = _appended(stack)
    producer, kafka = ((after[name] - before[name]) / lasted for name in ("producer", "kafka"))
    sent, requests = ((late - early) / lasted for early, late in zip(records, records_after, strict=True))
    title = f"frames as they are, {cores()}"
    table = Table("records/s", "requests/s", "producer, cores", "Kafka, cores", title=title)
    table.add_row(f"{sent:,.0f}", f"{requests:,.0f}", f"{producer:.3f}", f"{kafka:.3f}")
    console.print(table)
    return [
        Goal(
            f"producer at {RATE:,} trades/s, cores",
            f"<= {WANTED_PRODUCER}",
            f"{producer:.3f}",
            producer <= WANTED_PRODUCER,
        ),
        Goal("Kafka meanwhile, cores", f"<= {WANTED_KAFKA}", f"{kafka:.3f}", kafka <= WANTED_KAFKA),
    ]


def _cpu(stack: RunningStack) -> dict[str, float]:
    return {name: cpu_seconds(process.pid) for name, process in stack.processes.items()}


def _appended(stack: RunningStack) -> tuple[int, int]:
    """The number of records in the topic, and of the batches in which they were appended."""
    servers = stack.environ["KAFKA_BOOTSTRAP_SERVERS"]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "enable.auto.commit": False})
    records = batches = 0
    try:
        for place in tail(consumer, names.TRADES_TOPIC, _ALL, 30):
            _, high = consumer.get_watermark_offsets(place, timeout=30)
            times = [message.timestamp()[1] for message in read(consumer, place, high, 30)]
            records, batches = records + len(times), batches + len(set(times))
    finally:
        consumer.close()
    return records, batches
