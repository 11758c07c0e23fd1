"""Part 1 of `make bench-live`: frames of 100 trades sent to a real Kafka by the producer and by its peers.

Every contender is a process on one core, measured from outside between `ready` and `done`, which it
prints when the broker has confirmed every record. The contenders alternate, and the medians of their rounds count.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # missing in its stubs
from rich.console import Console
from rich.table import Table

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.times import parse_day
from local.checkout import ROOT
from local.stack.ports import free_ports
from tests.bench.live_contenders import FRAME, PLAIN_TOPIC
from tests.bench.measuring import Goal, answer, await_word, cores, cpu_seconds, median
from tests.support.processes import RunningStack

FIXTURES: Final = ROOT / "tests" / "fixtures" / "bybit"
CAPTURE: Final = FIXTURES / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"
REAL_DAY: Final = FIXTURES / "BTCUSDT2020-03-25.csv.gz"
CRYPTOFEED: Final = ROOT / ".venv-bench" / "bin" / "python"
CRYPTOFEED_TOPIC: Final = "trades-BYBIT-BTC-USDT-PERP"
ROUNDS: Final = 5
FRAMES: Final = 3000
FEW_FRAMES: Final = 100
"""Frames for a contender that waits for each record before it sends the next."""
WANTED: Final = 100_000
WANTED_RATIO: Final = 5.0


@dataclass(slots=True)
class Contender:
    """A program that is compared. `seconds` and `cpu` have one figure per round, of all its trades."""

    title: str
    command: list[str]
    frames: int
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def per_second(self) -> float:
        """Trades a second of wall time."""
        return self.frames * FRAME / median(self.seconds)

    def us_of_cpu(self) -> float:
        """Microseconds of CPU a trade."""
        return median(self.cpu) / self.frames / FRAME * 1e6

    def per_core_second(self) -> float:
        """Trades a second of one core's time."""
        return 1e6 / self.us_of_cpu()


def compare_producers(console: Console) -> list[Goal]:
    """Run the contenders alternately, print the table, return the goals."""
    with tempfile.TemporaryDirectory() as folder, RunningStack(Path(folder) / "stack", ("kafka",)) as stack:
        brokers = stack.environ["KAFKA_BOOTSTRAP_SERVERS"]
        stack.set_up("topics")
        _create_topics(brokers)
        file = Path(folder) / "frames.jsonl"
        file.write_text("".join(f"{text}\n" for text in islice(frames(), FRAMES)))
        with _server(file) as url:
            contenders = _contenders(brokers, url, file)
            for number in range(ROUNDS):
                console.print(f"producer, round {number + 1} of {ROUNDS} ...", style="dim")
                for contender in contenders:
                    _run(contender)
    console.print(_table(contenders))
    return _goals(contenders)


def _create_topics(brokers: str) -> None:
    client = AdminClient({"bootstrap.servers": brokers})
    for outcome in client.create_topics([NewTopic(name, 4, 1) for name in (PLAIN_TOPIC, CRYPTOFEED_TOPIC)]).values():
        outcome.result(timeout=30)


def frames() -> Iterator[str]:
    """Recorded trades in frames of a hundred, one frame a millisecond, with ids of their own, without end.

    The capture's 56 trades alone would favour a program with a cache of values, so price, size and side are those of a
    real day's trades.
    """
    recorded = cycle([item for line in CAPTURE.read_text().splitlines() for item in json.loads(line)["data"]])
    with gzip.open(REAL_DAY, "rt", encoding="utf-8", newline="\n") as lines:
        real = cycle(read_day(lines, "BTCUSDT", parse_day("2020-03-25")).trades)
    ids = random.Random(0)
    first = next(recorded)
    time_ms, seq = first["T"], first["seq"]
    while True:
        data = []
        for item, trade in islice(zip(recorded, real, strict=False), FRAME):
            seq += 1
            changed: dict[str, Any] = {"T": time_ms, "i": str(uuid.UUID(int=ids.getrandbits(128))), "seq": seq}
            changed |= {"S": str(trade.taker_side), "p": plain(trade.price), "v": plain(trade.size)}
            data.append({**item, **changed})
        frame = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": time_ms + 1, "data": data}
        yield json.dumps(frame, separators=(",", ":"))
        time_ms += 1


def _contenders(brokers: str, url: str, file: Path) -> list[Contender]:
    module = [sys.executable, "-m", "tests.bench.live_contenders"]
    found = [
        Contender("ours", [*module, "ours", brokers, str(file)], FRAMES),
        Contender("json + confluent-kafka", [*module, "plain", brokers, str(file)], FRAMES),
        Contender("our socket alone", [*module, "socket", url, str(file)], FRAMES),
    ]
    if CRYPTOFEED.exists():
        script = str(Path(__file__).with_name("live_cryptofeed.py"))
        found.append(Contender("cryptofeed", [str(CRYPTOFEED), script, brokers, str(file)], FEW_FRAMES))
    return found


@contextmanager
def _server(file: Path) -> Iterator[str]:
    port = free_ports(["frames"])["frames"]
    command = [sys.executable, "-m", "tests.bench.live_contenders", "serve", str(port), str(file), str(FRAMES)]
    with _started(command) as process:
        await_word(process, "ready")
        answer(process)
        await_word(process, "serving")
        yield f"ws://127.0.0.1:{port}"
        answer(process)
        await_word(process, "done")


def _run(contender: Contender) -> None:
    with _started([*contender.command, str(contender.frames)]) as process:
        await_word(process, "ready")
        cpu, started = cpu_seconds(process.pid), time.monotonic()
        answer(process)
        await_word(process, "done")
        contender.seconds.append(time.monotonic() - started)
        contender.cpu.append(cpu_seconds(process.pid) - cpu)


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "src")))}
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        try:
            yield process
            process.communicate("\n")
            subprocess.CompletedProcess(command, process.returncode).check_returncode()
        except BaseException:
            process.kill()
            said.seek(0)
            sys.stderr.write(said.read()[-3000:])
            raise


def _table(contenders: list[Contender]) -> Table:
    title = f"producer: frames of {FRAME} trades into Kafka, one of {cores()} each, medians of {ROUNDS}"
    table = Table("", "trades", "trades/s", "CPU us a trade", "trades a core-second", "CPU, ours = 1", title=title)
    ours = contenders[0].us_of_cpu()
    for contender in contenders:
        cpu = contender.us_of_cpu()
        figures = f"{contender.frames * FRAME:,}", f"{contender.per_second():,.0f}", f"{cpu:.2f}"
        table.add_row(contender.title, *figures, f"{contender.per_core_second():,.0f}", f"{cpu / ours:.2f}")
    return table


def _goals(contenders: list[Contender]) -> list[Goal]:
    ours, peer = contenders[0], contenders[-1] if CRYPTOFEED.exists() else contenders[1]
    rate = ours.per_core_second()
    ratio = rate / peer.per_core_second()
    return [
        Goal("producer, trades a core-second", f">= {WANTED:,}", f"{rate:,.0f}", rate >= WANTED),
        Goal(f"the same, {peer.title} = 1", f">= {WANTED_RATIO:g}", f"{ratio:.1f}", ratio >= WANTED_RATIO),
    ]
