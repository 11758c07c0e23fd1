"""Kafka and Postgres of a stack: set up twice, killed and started again; and the guards of the live plane's tables."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # its list lacks it

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.times import MINUTE_US, floor_us
from candles_stream.topic import first_whole_minute
from local.waiting import wait_for
from tests.support.live import conninfo
from tests.support.processes import RunningStack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("stores"), ("kafka", "postgres")) as running:
        for _ in range(2):  # a second run changes nothing
            running.set_up("topics", "tables")
        yield running


@pytest.fixture
def database(stack: RunningStack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(conninfo(stack), autocommit=True) as connection:
        connection.execute("TRUNCATE candles, feed_status, gaps")
        yield connection


def test_topics_are_as_the_definition_says(stack: RunningStack) -> None:
    client = AdminClient({"bootstrap.servers": stack.environ["KAFKA_BOOTSTRAP_SERVERS"]})
    found = client.list_topics(timeout=30).topics
    for topic in schemas.topics():
        assert len(found[topic.name].partitions) == topic.partitions
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
        found_config = client.describe_configs([resource])[resource].result(30)
        assert {name: found_config[name].value for name in topic.config} == topic.config


def test_a_password_is_needed(stack: RunningStack) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(conninfo(stack).partition(" passfile=")[0] + " passfile=/dev/null")


def test_what_was_confirmed_survives_a_kill(stack: RunningStack, database: psycopg.Connection) -> None:
    servers = {"bootstrap.servers": stack.environ["KAFKA_BOOTSTRAP_SERVERS"]}
    producer = Producer({**servers, "acks": "all", "enable.idempotence": True})
    for number in range(1000):
        producer.produce(names.REPLAY_TOPIC, str(number).encode(), partition=2)
    assert producer.flush(30) == 0
    database.execute("INSERT INTO feed_status VALUES ('BTCUSDT', now(), 5, 0)")
    for name in ("kafka", "postgres"):
        stack.kill(name)
        stack.start(name)
    consumer = Consumer({**servers, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(names.REPLAY_TOPIC, 2, 0)])
    read: list[bytes | None] = []

    def all_read() -> bool:
        read.extend(message.value() for message in consumer.consume(1000, 1) if not message.error())
        return len(read) >= 1000

    wait_for("the thousand records", all_read, 60)
    consumer.close()
    assert read == [str(number).encode() for number in range(1000)]
    with psycopg.connect(conninfo(stack)) as again:
        assert again.execute("SELECT symbol FROM feed_status").fetchall() == [("BTCUSDT",)]


def upsert(
    database: psycopg.Connection, close: int, trade_count: int | None, status: str, confirmed: bool | None = None
) -> tuple[object, ...]:
    """Write one candle as Flink does, and return the row that is stored after it."""
    database.execute(
        """
        INSERT INTO candles (symbol, open_time, source, open, high, low, close, volume, turnover, trade_count, status,
          confirmed)
        VALUES ('BTCUSDT', '2026-08-09 19:20Z', 'live', 1, 1, 1, %s, 1, 1, %s, %s, %s)
        ON CONFLICT (symbol, open_time, source) DO UPDATE
        SET close = excluded.close, trade_count = excluded.trade_count, status = excluded.status,
          confirmed = excluded.confirmed
        """,
        (close, trade_count, status, confirmed),
    )
    row = database.execute("SELECT close::int, trade_count, status, updated_at FROM candles").fetchone()
    assert row
    return tuple(row)


@pytest.mark.parametrize(
    ("stored", "written", "stands"),
    [
        ((1, 5, "forming"), (2, 6, "forming"), (2, 6, "forming")),
        ((1, 5, "forming"), (2, 5, "final"), (2, 5, "final")),
        # A smaller count is refused with any status, and at the same count a lower rank of status.
        ((1, 5, "forming"), (2, 4, "forming"), (1, 5, "forming")),
        ((1, 5, "forming"), (2, 4, "final"), (1, 5, "forming")),
        ((1, 5, "final"), (2, 4, "partial"), (1, 5, "final")),
        ((1, 5, "final"), (2, 5, "forming"), (2, 5, "final")),
        ((1, 5, "partial"), (2, 5, "final"), (2, 5, "partial")),
        ((1, 5, "partial"), (2, 6, "repaired"), (2, 6, "repaired")),
        # A record that counts more trades comes before the last of them.
        ((1, 5, "final"), (2, 6, "forming"), (2, 6, "forming")),
        # A gap that opens later, also at the same count.
        ((1, 5, "repaired"), (2, 5, "partial"), (2, 5, "partial")),
        ((1, 5, "repaired"), (2, 6, "partial"), (2, 6, "partial")),
        ((1, 5, "final"), (2, 5, "partial"), (2, 5, "partial")),
        ((1, None, "final"), (2, 3, "final"), (2, 3, "final")),
        ((1, 5, "final"), (2, None, "final"), (2, None, "final")),
    ],
)
def test_a_candle_never_goes_back(
    database: psycopg.Connection,
    stored: tuple[int, int | None, str],
    written: tuple[int, int | None, str],
    stands: tuple[int, int | None, str],
) -> None:
    upsert(database, *stored)
    assert upsert(database, *written)[:3] == stands


@pytest.mark.parametrize(
    ("stored", "written", "stands"),
    [
        ((5, "final", True), (5, "final", False), True),
        ((5, "final", None), (5, "final", True), True),
        ((5, "final", False), (5, "final", True), True),
        ((5, "final", True), (4, "final", False), True),
        # Another trade, or a gap that opens later.
        ((5, "final", True), (6, "final", False), False),
        ((5, "repaired", True), (5, "partial", False), False),
    ],
)
def test_a_candle_stays_confirmed_while_its_trades_are_the_same(
    database: psycopg.Connection,
    stored: tuple[int, str, bool | None],
    written: tuple[int, str, bool | None],
    *,
    stands: bool,
) -> None:
    for trade_count, status, confirmed in (stored, written):
        upsert(database, 1, trade_count, status, confirmed)
    assert database.execute("SELECT confirmed FROM candles").fetchall() == [(stands,)]


def test_a_write_that_changes_nothing_is_no_update(database: psycopg.Connection) -> None:
    before = upsert(database, 1, 5, "final")
    assert upsert(database, 1, 5, "final") == before
    assert upsert(database, 9, 4, "forming") == before
    assert upsert(database, 2, 6, "final")[3] > before[3]  # type: ignore[operator]


def test_a_gap_never_goes_back(database: psycopg.Connection) -> None:
    def write(to_time: str | None, state: str) -> tuple[object, ...] | None:
        database.execute(
            """
            INSERT INTO gaps (gap_id, symbol, from_time, to_time, state)
            VALUES ('g', 'BTCUSDT', '2026-08-09 19:20Z', %s, %s)
            ON CONFLICT (gap_id) DO UPDATE SET to_time = excluded.to_time, state = excluded.state
            """,
            (to_time, state),
        )
        return database.execute("SELECT to_char(to_time, 'HH24:MI'), state FROM gaps").fetchone()

    assert write(None, "opened") == (None, "opened")
    assert write("2026-08-09 19:21Z", "opened") == ("19:21", "opened")
    assert write(None, "opened") == ("19:21", "opened")
    assert write("2026-08-09 19:21Z", "closed") == ("19:21", "closed")
    assert write("2026-08-09 19:21Z", "opened") == ("19:21", "closed")


def test_the_job_begins_at_the_first_minute_that_is_whole(stack: RunningStack) -> None:
    servers = {"bootstrap.servers": stack.environ["KAFKA_BOOTSTRAP_SERVERS"]}
    producer = Producer(servers)
    for partition in (0, 3):
        producer.produce(names.TRADES_TOPIC, b"old", partition=partition)
        producer.produce(names.TRADES_TOPIC, b"new", partition=partition)
    assert producer.flush(30) == 0
    assert first_whole_minute(servers, names.TRADES_TOPIC) == 0
    client = AdminClient(dict(servers))
    before_us = time.time_ns() // 1000
    for outcome in client.delete_records([TopicPartition(names.TRADES_TOPIC, 3, 1)]).values():
        outcome.result(30)
    start_us = first_whole_minute(servers, names.TRADES_TOPIC)
    assert start_us % MINUTE_US == 0
    assert 0 < start_us - floor_us(before_us) <= 2 * MINUTE_US
