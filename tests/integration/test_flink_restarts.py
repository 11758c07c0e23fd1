"""How the candles job begins: in a topic whose start is deleted, with another plan, from broken checkpoints.

The broker has TLS and passwords, as the cloud's has; the producer is tested against it, too. Records carry their own
times, so that minutes pass at once.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its list lacks it

from bitcoin_pipeline import schemas
from bitcoin_pipeline.adapters.kafka import read
from bitcoin_pipeline.candle import Candle, Source, minute_candles
from bitcoin_pipeline.live.records import Heartbeat, heartbeat_record, minute_record, trade_record
from bitcoin_pipeline.names import TRADES_TOPIC
from bitcoin_pipeline.times import MINUTE_US, SECOND_US, floor_us, from_datetime
from bitcoin_pipeline.trade import Trade
from local.waiting import wait_for
from tests.integration.test_flink_candles import spread, synthetic
from tests.support.live import FLINK, PARTITIONS, PATIENCE_SECONDS, LivePath, minutes_of
from tests.support.secure_kafka import SecureKafka

SYMBOLS: Final = ("BTCUSDT", "SOLUSDT", "DOGEUSDT", "XRPUSDT", "ETHUSDT", "ADAUSDT")


class World(LivePath):
    """Flink and Postgres beside a broker with TLS, to which tests send whole minutes of trades of all symbols."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.stack.names = ("postgres",)
        self.kafka = SecureKafka(home.parent / "secure-kafka", self.stack.stack.ports["kafka"])
        self.start_us = floor_us(time.time_ns() // 1000) - 20 * MINUTE_US
        self.sent: list[Trade] = []
        self._at_exit = ExitStack()

    def __enter__(self) -> World:
        with ExitStack() as stack:
            stack.enter_context(self.kafka)
            self.stack.__enter__()
            stack.push(self.stack)
            self.stack.set_up("tables")
            admin = AdminClient({"bootstrap.servers": self.kafka.inside})
            by_producer = {"message.timestamp.type": "CreateTime"}
            topics = [
                NewTopic(topic.name, topic.partitions, 1, config=topic.config | by_producer)
                for topic in schemas.topics()
            ]
            for outcome in admin.create_topics(topics).values():
                outcome.result(60)
            self.producer = Producer({"bootstrap.servers": self.kafka.inside, "enable.idempotence": True})
            self._at_exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._at_exit.close()

    @property
    def _servers(self) -> dict[str, str]:
        return {"bootstrap.servers": self.kafka.inside}

    def trade(self, minutes: int) -> None:
        """Send minutes of trades and their records, and a heartbeat every ten seconds, each with its own time."""
        start_us = self.start_us + len(self.sent) // (60 * len(SYMBOLS)) * MINUTE_US
        trades = [
            trade
            for symbol in SYMBOLS
            for trade in synthetic(symbol, spread(start_us, minutes * 60, minutes * 60, start_us), start_us)
        ]
        trades.sort(key=lambda trade: trade.time_us)
        self.sent += trades
        proven_us = start_us
        for trade in trades:
            while proven_us + 10 * SECOND_US <= trade.time_us:
                proven_us += 10 * SECOND_US
                self._prove_at(proven_us)
            assert isinstance(trade.order, tuple)
            record = trade_record(trade, trade.order[0])
            self.producer.produce(TRADES_TOPIC, record, key=trade.symbol, timestamp=trade.time_us // 1000)
        for minute in minutes_of(trades):
            end_ms = (minute.open_time_us + MINUTE_US) // 1000
            self.producer.produce(TRADES_TOPIC, minute_record(minute), key=minute.symbol, timestamp=end_ms)
        self._prove_at(start_us + minutes * MINUTE_US)
        assert self.producer.flush(60) == 0

    def _prove_at(self, time_us: int) -> None:
        record = heartbeat_record(Heartbeat(time_us - 1000, SYMBOLS, lag_ms=1, reconnects=0))
        for partition in range(PARTITIONS):
            self.producer.produce(TRADES_TOPIC, record, partition=partition, timestamp=time_us // 1000)

    def delete_before(self, time_us: int) -> int:
        """Delete the records before a time, of each partition a little later than of the one before.

        Returns the time of the oldest record of the partition that begins last.
        """
        consumer = Consumer({**self._servers, "group.id": "test"})
        wanted = [
            TopicPartition(TRADES_TOPIC, partition, (time_us + partition * 3 * SECOND_US) // 1000)
            for partition in range(PARTITIONS)
        ]
        starts = consumer.offsets_for_times(wanted, 60)
        admin = AdminClient(dict(self._servers))
        for outcome in admin.delete_records(starts).values():
            outcome.result(60)
        oldest = []
        for start in starts:
            assert start.offset > 0, f"{wanted} was found at {starts}"
            [first] = read(consumer, start, start.offset + 1, 60)
            assert consumer.get_watermark_offsets(start, 60)[0] == first.offset() == start.offset
            oldest.append(first.timestamp()[1] * 1000)
        consumer.close()
        return max(oldest)

    def expected(self, from_us: int) -> list[Candle]:
        return minute_candles((trade for trade in self.sent if trade.time_us >= from_us), Source.LIVE)

    def stored(self) -> list[tuple[Any, ...]]:
        """All columns of every row, with the time of its last write."""
        return self.rows("SELECT * FROM candles WHERE symbol = ANY(%s) ORDER BY symbol, open_time", list(SYMBOLS))

    def job(self, path: str = "", method: str = "GET") -> Any:
        """The answer of Flink's REST API about the job that runs."""
        rest = self.stack.stack.url("flink_rest")
        jobs = json.loads(page(f"{rest}/jobs/overview"))["jobs"]
        [job] = [job["jid"] for job in jobs if job["state"] not in ("CANCELED", "FAILED")]
        return json.loads(page(f"{rest}/jobs/{job}{path}", method))

    def left_by_another_plan(self) -> Path:
        return self.stack.stack.home / "flink" / "checkpoints" / "another-plan" / "job" / "chk-9"

    def checkpoints(self) -> list[Path]:
        return sorted((self.stack.stack.home / "flink" / "checkpoints").glob("*/*/chk-*/_metadata"), key=written)

    def end_job(self) -> None:
        """Kill the keeper and cancel the job, which leaves two checkpoints."""
        wait_for("two checkpoints", lambda: len(self.checkpoints()) >= 2, PATIENCE_SECONDS)
        self.stack.kill("candles_job")
        self.job("?mode=cancel", "PATCH")
        jobs = f"{self.stack.stack.url('flink_rest')}/jobs/overview"
        wait_for("the job's end", lambda: '"running":0' in tasks(jobs), PATIENCE_SECONDS)

    def keepers_events(self) -> list[tuple[str, str | None]]:
        """The messages in the keeper's log, each with the checkpoint that it names."""
        lines = [json.loads(line) for line in self.stack.log("candles_job").splitlines() if line.startswith("{")]
        return [(line["message"], line.get("checkpoint")) for line in lines]


def written(path: Path) -> int:
    return path.stat().st_mtime_ns


def tasks(jobs: str) -> str:
    states = json.loads(page(jobs))["jobs"]
    return json.dumps({"running": sum(job["end-time"] == -1 for job in states)}, separators=(",", ":"))


def page(address: str, method: str = "GET") -> str:
    request = urllib.request.Request(address, method=method)  # noqa: S310  # the stack's own
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return answer.read().decode()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("restarts") / "a home")
    with pytest.MonkeyPatch.context() as patch, world:
        for name, value in world.kafka.environ().items():
            patch.setenv(name, value)
        yield world


@pytest.fixture(scope="module")
def first_us(world: World) -> int:
    """The first minute of which the topic holds every trade, after the job has begun there."""
    world.trade(7)
    oldest_us = world.delete_before(world.start_us + 70 * SECOND_US)
    another = world.left_by_another_plan()
    another.mkdir(parents=True)
    (another / "_metadata").touch()
    for name in FLINK:
        world.stack.start(name)
    # At least a minute after the oldest record, as clocks may differ by that much.
    return floor_us(oldest_us + SECOND_US) + 2 * MINUTE_US


def test_where_the_topics_start_is_gone_every_candle_is_whole(world: World, first_us: int) -> None:
    assert first_us - world.start_us == 3 * MINUTE_US
    world.wait_for_candles(world.expected(first_us))
    assert len(world.stored()) == 4 * len(SYMBOLS)


def test_what_another_plan_left_is_no_beginning_and_goes(world: World, first_us: int) -> None:
    assert first_us
    assert world.keepers_events() == [("job is submitted", None)]
    wait_for("the other's to go", lambda: not world.left_by_another_plan().parent.exists(), PATIENCE_SECONDS)
    assert world.checkpoints()


@pytest.mark.timeout(600)  # three submissions, on a busy machine
def test_broken_checkpoints_are_set_aside_one_after_the_other(world: World, first_us: int) -> None:
    """In the end the job begins in the topic again, and no row that was right changes."""
    world.end_job()
    before, already = world.stored(), len(world.keepers_events())
    *_, older, newest = world.checkpoints()
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    state = [*older.parents[1].glob("shared/*"), *(path for path in older.parent.iterdir() if path != older)]
    assert state
    for path in state:
        path.unlink()
    world.trade(2)
    world.stack.start("candles_job")
    world.wait_for_candles(world.expected(first_us))
    assert [row for row in world.stored() if row in before] == before
    assert world.keepers_events()[already:] == [
        ("job is submitted", f"file://{newest.parent}"),
        ("submission failed", None),
        ("checkpoint cannot be read and is set aside", f"file://{newest.parent}"),
        ("job is submitted", f"file://{older.parent}"),
        ("checkpoint cannot be read and is set aside", f"file://{older.parent}"),
        ("job is submitted", None),
    ]


def test_the_brokers_password_shows_nowhere(world: World, first_us: int) -> None:
    assert first_us
    shown = [world.stack.log(name) for name in FLINK]
    shown += [json.dumps(world.job(path)) for path in ("", "/config", "/plan", "/checkpoints")]
    shown.append(page(f"{world.stack.stack.url('flink_rest')}/jobmanager/config"))
    assert all(shown)
    assert not [text for text in shown if world.kafka.password in text]
    files = [path for path in (world.stack.stack.home / "flink").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if world.kafka.password.encode() in path.read_bytes()]


def test_the_producer_reaches_flink_through_tls_too(world: World, first_us: int) -> None:
    now_us = time.time_ns() // 1000
    assert first_us < now_us
    world.stack.start("exchange")
    world.stack.start("producer")

    def newest_us() -> int:
        [[newest]] = world.rows("SELECT max(open_time) FROM candles")
        return from_datetime(newest)

    wait_for("candles of what the producer sends now", lambda: newest_us() >= floor_us(now_us), PATIENCE_SECONDS)
