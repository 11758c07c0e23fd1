"""The Cloud Function `archive_live` under its real server, between Kafka and the GCS stand-in.

The topic has its defined settings, except that the producer sets the timestamps of records, so that a test can begin
another hour at once.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its list lacks it
from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.bybit.frames import PlainTrade
from bitcoin_pipeline.live.records import Gap, GapState, Heartbeat, encoded_trade, gap_record, heartbeat_record
from bitcoin_pipeline.times import from_datetime
from local.backing.interface import PROJECT
from local.checkout import ROOT
from local.stack.config import LAKE
from local.waiting import wait_for
from tests.support.processes import RunningStack

HOUR_MS = 3_600_000
PARTITIONS = 4
SECONDS = 120
DAY = dt.date(2026, 8, 9)
MIDNIGHT_US = from_datetime(dt.datetime(2026, 8, 10, tzinfo=dt.UTC))
NOTHING = {"trades": 0, "objects": 0, "duplicates": 0, "unreadable": 0, "more": False}
OURS = Heartbeat(time_us=MIDNIGHT_US, symbols=("BTCUSDT",), lag_ms=5, reconnects=0)


def trade(  # noqa: PLR0917  # as in the record
    symbol: str, number: int, time_us: int, seq: int = 7, side: str = "Buy", price: str = "1", **flags: bool
) -> bytes:
    return encoded_trade(PlainTrade(symbol, str(UUID(int=number)), time_us, seq, side, price, "2.5", "0.1", **flags))


class World:
    """A running stack: records are produced in hours of choice, the function is called, the lake is read."""

    def __init__(self, running: RunningStack) -> None:
        self.running = running
        self.bucket = storage.Client(PROJECT).create_bucket(LAKE)
        self.servers = {"bootstrap.servers": running.environ["KAFKA_BOOTSTRAP_SERVERS"]}
        definition = next(topic for topic in schemas.topics() if topic.name == names.TRADES_TOPIC)
        assert definition.partitions == PARTITIONS
        config = {**definition.config, "message.timestamp.type": "CreateTime"}
        topic = NewTopic(definition.name, definition.partitions, 1, config=config)
        admin = AdminClient(dict(self.servers))
        admin.create_topics([topic])[topic.topic].result(60)
        self.producer = Producer(self.servers)
        now_ms = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
        # In the past, but within the topic's retention; every hour of a test follows the one before.
        self.hour_ms = now_ms - now_ms % HOUR_MS - 100 * HOUR_MS

    def send(self, partition: int, *records: bytes) -> tuple[int, int]:
        """Appends `records` in the current hour; returns the offset of the first and the offset after the last."""
        offsets: list[int] = []

        def delivered(error: object, message: Any) -> None:
            assert error is None
            offsets.append(message.offset())

        for record in records:
            self.producer.produce(
                names.TRADES_TOPIC, record, partition=partition, timestamp=self.hour_ms, on_delivery=delivered
            )
        assert self.producer.flush(60) == 0
        return offsets[0], offsets[-1] + 1

    def end_hour(self) -> list[int]:
        """Begins the next hour with a heartbeat on every partition; returns their offsets."""
        self.hour_ms += HOUR_MS
        return [self.send(partition, heartbeat_record(OURS))[0] for partition in range(PARTITIONS)]

    def post(self) -> requests.Response:
        return requests.post(self.running.stack.url("archive_live"), timeout=SECONDS)

    def archive(self) -> dict[str, Any]:
        """Calls the function; returns its answer."""
        response = self.post()
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def objects(self, symbol: str) -> dict[str, bytes]:
        prefix = f"{names.TRADES_LIVE_PREFIX}symbol={symbol}/"
        return {blob.name: blob.download_as_bytes() for blob in self.bucket.list_blobs(prefix=prefix)}

    def go_back(self, offsets: list[int]) -> None:
        """Sets the group's committed offsets back to `offsets`, as a kill before a commit leaves them."""
        consumer = Consumer({**self.servers, "group.id": "archive-live", "enable.auto.commit": False})
        there = [TopicPartition(names.TRADES_TOPIC, partition, offset) for partition, offset in enumerate(offsets)]
        consumer.commit(offsets=there, asynchronous=False)
        consumer.close()

    def committed(self, partition: int) -> int:
        """The group's committed offset."""
        consumer = Consumer({**self.servers, "group.id": "archive-live"})
        [place] = consumer.committed([TopicPartition(names.TRADES_TOPIC, partition)], 60)
        consumer.close()
        return int(place.offset)

    def delete_before(self, partition: int, offset: int) -> None:
        """Deletes the records before `offset`, as the topic's retention does."""
        admin = AdminClient(dict(self.servers))
        for outcome in admin.delete_records([TopicPartition(names.TRADES_TOPIC, partition, offset)]).values():
            outcome.result(60)


def rows(content: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(pa.BufferReader(content)).to_pylist()
    return found


def ids(content: bytes) -> list[int]:
    return [UUID(bytes=row["id"]).int for row in rows(content)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("archive-live")
    services = ("metadata", "gcs", "kafka", "archive_live")
    with RunningStack(home, services) as running, pytest.MonkeyPatch.context() as patch:
        running.set_environment(patch)
        yield World(running)


@pytest.fixture
def world(stack: World) -> World:
    """All earlier records are archived, and a new hour has begun."""
    stack.end_hour()
    stack.archive()
    return stack


def test_every_trade_of_a_past_hour_is_in_the_lake_exactly(world: World) -> None:
    heartbeat = heartbeat_record(OURS)
    gap = gap_record(Gap("g", "AAAUSDT", MIDNIGHT_US, None, GapState.OPENED))
    start, _ = world.send(
        1,
        trade("AAAUSDT", 3, MIDNIGHT_US, 9, "Sell", "0.000000001"),
        heartbeat,
        trade("AAAUSDT", 2, MIDNIGHT_US, 9, "Sell", "123456789012345678.123456789"),
        trade("BBBUSDT", 4, MIDNIGHT_US + 5, 0),
        trade("AAAUSDT", 3, MIDNIGHT_US, 9, "Sell", "0.000000001"),
        gap,
        b"no record",
        b'{"type":"other"}',
        trade("AAAUSDT", 6, MIDNIGHT_US, 9).replace(b'"price":"1"', b'"price":1.0'),
        trade("../USDT", 7, MIDNIGHT_US, 9),
        trade("AAAUSDT", 1, MIDNIGHT_US - 1, 8, "Buy", "0.00001230", block_trade=True),
        trade("AAAUSDT", 5, MIDNIGHT_US, 8),
    )
    other = world.send(2, trade("AAAUSDT", 3, MIDNIGHT_US, 9, "Sell", "0.000000001"))
    assert world.archive() == NOTHING  # the hour is not over
    ends = world.end_hour()
    assert world.archive() == {"trades": 6, "objects": 4, "duplicates": 1, "unreadable": 4, "more": False}

    # A heartbeat opens the hour on every partition.
    piece = f"1-{start - 1:020d}-{ends[1]:020d}.parquet"
    elsewhere = f"2-{other[0] - 1:020d}-{ends[2]:020d}.parquet"
    found = world.objects("AAAUSDT")
    folder = "trades_live/symbol=AAAUSDT/date=2026-08-"
    assert sorted(found) == [f"{folder}09/{piece}", f"{folder}10/{piece}", f"{folder}10/{elsewhere}"]
    midnight = dt.datetime(2026, 8, 10, tzinfo=dt.UTC)
    assert rows(found[f"{folder}09/{piece}"]) == [
        {
            "time": midnight - dt.timedelta(microseconds=1),
            "price": Decimal("0.00001230"),
            "size": Decimal("2.5"),
            "side": "Buy",
            "id": UUID(int=1).bytes,
            "match_order": 0,
            "block_trade": True,
            "rpi": None,
            "seq": 8,
        }
    ]
    found_rows = [
        (UUID(bytes=row["id"]).int, row["match_order"], row["seq"], row["price"])
        for row in rows(found[f"{folder}10/{piece}"])
    ]
    assert found_rows == [
        (5, 0, 8, Decimal(1)),
        # A seller sweeps the book from the highest price down.
        (2, 1, 9, Decimal("123456789012345678.123456789")),
        (3, 2, 9, Decimal("0.000000001")),
    ]
    assert ids(found[f"{folder}10/{elsewhere}"]) == [3]  # another object may hold the same trade
    assert [ids(content) for content in world.objects("BBBUSDT").values()] == [[4]]
    schema = pq.read_schema(pa.BufferReader(found[f"{folder}09/{piece}"]))
    assert schema.names == list(schemas.table("lake.trades_live").names)
    assert (schema.field("price").type, schema.field("id").type) == (pa.decimal128(38, 9), pa.binary(16))


def test_a_repeated_call_writes_nothing(world: World) -> None:
    world.send(0, trade("CCCUSDT", 1, MIDNIGHT_US))
    world.end_hour()
    assert world.archive()["trades"] == 1
    [blob] = world.bucket.list_blobs(prefix="trades_live/symbol=CCCUSDT/")
    assert world.archive() == NOTHING
    [again] = world.bucket.list_blobs(prefix="trades_live/symbol=CCCUSDT/")
    assert (again.name, again.updated) == (blob.name, blob.updated)


def test_a_call_that_died_before_its_commit_is_repeated_object_by_object(world: World) -> None:
    starts = [world.send(partition, trade("DDDUSDT", partition, MIDNIGHT_US))[0] for partition in range(PARTITIONS)]
    world.end_hour()
    world.send(3, trade("DDDUSDT", 10, MIDNIGHT_US))
    world.end_hour()
    assert world.archive()["objects"] == 5
    before = world.objects("DDDUSDT")
    # The second call runs when more hours are over than at the first. The heartbeat before each start is the cut.
    world.send(0, trade("DDDUSDT", 11, MIDNIGHT_US))
    world.end_hour()
    world.go_back([start - 1 for start in starts])
    assert world.archive()["objects"] == 6
    after = world.objects("DDDUSDT")
    assert {name: after[name] for name in before} == before
    assert sorted(number for content in after.values() for number in ids(content)) == [0, 1, 2, 3, 10, 11]


def test_a_call_killed_midway_is_made_good_by_the_next(world: World) -> None:
    sent = fill(world, "EEEUSDT", hours=12)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(world.post)
        wait_for("an object", lambda: any(world.bucket.list_blobs(prefix="trades_live/symbol=EEEUSDT/")), SECONDS)
        world.running.kill("archive_live")
        assert isinstance(call.exception(SECONDS), requests.ConnectionError)
    assert len(world.objects("EEEUSDT")) < 12 * PARTITIONS
    world.running.start("archive_live")
    assert world.archive()["more"] is False
    found = world.objects("EEEUSDT")
    assert len(found) == 12 * PARTITIONS
    assert sorted(number for content in found.values() for number in ids(content)) == sent


def test_calls_at_once_write_every_object_once(world: World) -> None:
    sent = fill(world, "FFFUSDT", hours=3)
    with ThreadPoolExecutor(2) as pool:
        answers = [call.result() for call in [pool.submit(world.archive) for _ in range(2)]]
    assert sum(answer["trades"] for answer in answers) >= len(sent)
    found = world.objects("FFFUSDT")
    assert len(found) == 3 * PARTITIONS
    assert sorted(number for content in found.values() for number in ids(content)) == sent
    assert world.archive() == NOTHING or world.archive() == NOTHING


def fill(world: World, symbol: str, hours: int) -> list[int]:
    """Sends hours of trades to every partition; returns their numbers."""
    count = 0
    for _ in range(hours):
        for partition in range(PARTITIONS):
            world.send(partition, *(trade(symbol, count + number, MIDNIGHT_US + number) for number in range(50)))
            count += 50
        world.end_hour()
    return list(range(count))


def test_hours_without_trades_write_nothing_and_are_committed(world: World) -> None:
    for _ in range(3):
        world.end_hour()
    assert world.archive() == NOTHING
    assert world.committed(0) == world.end_hour()[0] - 1  # the heartbeat that began the current hour


def test_the_loss_of_records_is_logged_and_the_rest_is_archived(world: World) -> None:
    start, _ = world.send(1, *(trade("HHHUSDT", number, MIDNIGHT_US + number) for number in range(4)))
    world.end_hour()
    world.delete_before(1, start + 2)
    assert world.archive()["trades"] == 2
    assert sorted(number for content in world.objects("HHHUSDT").values() for number in ids(content)) == [2, 3]
    [event] = [json.loads(line) for line in world.running.log("archive_live").splitlines() if "were deleted" in line]
    assert event.pop("end") > start
    assert event == {
        **{"severity": "ERROR", "message": "records were deleted before they were archived"},
        **{"partition": 1, "committed": start - 1, "oldest": start + 2},
    }


def test_only_post(world: World) -> None:
    response = requests.get(world.running.stack.url("archive_live"), timeout=SECONDS)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


def test_all_faults_of_the_settings_come_at_once_when_the_server_starts() -> None:
    wrong = {"KAFKA_BOOTSTRAP_SERVERS": "", "PIPELINE_LAKE": "", "ARCHIVE_LIVE_PERIOD_SECONDS": "7"}
    command = [sys.executable, str(ROOT / "functions" / "archive_live" / "main.py")]
    process = subprocess.run(
        command, check=False, env={**os.environ, **wrong}, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 1
    for fault in (
        "KAFKA_BOOTSTRAP_SERVERS is not set",
        "PIPELINE_LAKE is not set",
        "ARCHIVE_LIVE_PERIOD_SECONDS: must be whole seconds that divide a day, got '7'",
    ):
        assert fault in process.stderr


def test_an_unreachable_service_is_named(world: World) -> None:
    world.send(0, trade("GGGUSDT", 1, MIDNIGHT_US))
    world.end_hour()
    for service, words in (("gcs", "the lake failed"), ("kafka", "the broker failed")):
        world.running.kill(service)
        response = world.post()
        assert response.status_code == 503
        assert words in response.json()["error"]
        world.running.start(service)
    assert world.archive()["trades"] == 1
    assert [ids(content) for content in world.objects("GGGUSDT").values()] == [[1]]
