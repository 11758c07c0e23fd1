"""The live path's back half for tests: real Kafka, Flink and Postgres, fed with records and read as candles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition
from psycopg.conninfo import make_conninfo

from bitcoin_pipeline import names
from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.live.records import Heartbeat, heartbeat_record, trade_record
from bitcoin_pipeline.schemas import topics
from bitcoin_pipeline.times import DAY_US, MINUTE_US, floor_us, from_datetime
from bitcoin_pipeline.trade import Trade
from local.waiting import wait_for
from tests.support.processes import RunningStack
from tests.support.whole_path import WholePath

STORES: Final = ("kafka", "postgres")
FLINK: Final = ("jobmanager", "taskmanager", "candles_job")
PARTITIONS: Final = next(topic.partitions for topic in topics() if topic.name == names.TRADES_TOPIC)
PATIENCE_SECONDS: Final = 120
"""Upper bound on a wait that takes a second on an idle machine."""


def conninfo(stack: RunningStack) -> str:
    """The connection string of libpq for the stack's Postgres."""
    environ = stack.environ
    words = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE", "passfile": "PGPASSFILE"}
    return make_conninfo(**{word: environ[variable] for word, variable in words.items()})


class LivePath:
    """Kafka, Postgres and the candles job, in `home`, in another time zone; a context manager.

    Heartbeats move time forward only, so each test uses minutes after those of the tests before it.
    """

    def __init__(self, home: Path) -> None:
        self.stack = RunningStack(home, STORES, variables={"TZ": "Asia/Tokyo"})
        self.proven_us = 1_700_000_000_000_000

    def __enter__(self) -> LivePath:
        self.stack.__enter__()
        try:
            self.stack.set_up("topics", "tables")
            for name in FLINK:
                self.stack.start(name)
        except BaseException:
            self.stack.stop()
            raise
        self.producer = Producer({**self._servers, "acks": "all", "enable.idempotence": True, "linger.ms": 5})
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.stop()

    @property
    def _servers(self) -> dict[str, str]:
        return {"bootstrap.servers": self.stack.environ["KAFKA_BOOTSTRAP_SERVERS"]}

    def fresh_minute(self) -> int:
        """The start (us) of the minute after the last heartbeat."""
        return floor_us(self.proven_us) + MINUTE_US

    def fresh_day(self) -> int:
        """The start (us) of the day after the last heartbeat."""
        return floor_us(self.proven_us, DAY_US) + DAY_US

    def send(self, symbol: str, *records: bytes | None) -> None:
        """Send records to the topic as the producer does: keyed by symbol, so to one partition, in order."""
        for record in records:
            self.producer.produce(names.TRADES_TOPIC, record, key=symbol)
            self.producer.poll(0)

    def send_trades(self, trades: Iterable[Trade]) -> None:
        """Send trades to the topic, in the order given."""
        for trade in trades:
            assert isinstance(trade.order, tuple)
            self.send(trade.symbol, trade_record(trade, trade.order[0]))

    def prove(self, time_us: int, *symbols: str) -> None:
        """Send a heartbeat to every partition, and wait until the broker has every record."""
        self.proven_us = max(self.proven_us, time_us)
        record = heartbeat_record(Heartbeat(time_us, symbols, lag_ms=250, reconnects=1))
        for partition in range(PARTITIONS):
            self.producer.produce(names.TRADES_TOPIC, record, partition=partition)
        assert self.producer.flush(60) == 0

    @contextmanager
    def market(self, capture: Path, speed: float) -> Iterator[WholePath]:
        """The exchange, which will play `capture`, and the producer in front of the topic, until the context ends.

        The exchange accepts connections and answers nothing, and so plays nothing, until its faults are cleared.
        """
        alone = self.stack.stack
        self.stack.stack = replace(alone, capture=capture, speed=speed)
        try:
            self.stack.start("exchange")
            path = WholePath(self.stack.environ)
            path.fault("half_open")
            self.stack.start("producer")
            yield path
            self.proven_us = max(self.proven_us, path.exchange_us())
        finally:
            for name in ("producer", "exchange"):
                if name in self.stack.processes:
                    self.stack.kill(name)
            self.stack.stack = alone

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a query returns."""
        with psycopg.connect(conninfo(self.stack)) as connection:
            return connection.execute(query, values).fetchall()

    def candles(self, *symbols: str) -> list[Candle]:
        """The rows of these symbols as candles, by symbol and open time."""
        found = self.rows(
            """
            SELECT symbol, open_time, source, open, high, low, close, volume, turnover, trade_count,
              buy_volume, buy_turnover, first_trade_id, last_trade_id, status
            FROM candles WHERE symbol = ANY(%s) ORDER BY symbol COLLATE "C", open_time
            """,
            list(symbols),
        )
        fields: list[tuple[Any, ...]] = [
            (symbol, from_datetime(open_time), Source(source), *values, Status(status))
            for symbol, open_time, source, *values, status in found
        ]
        return [Candle(*values) for values in fields]

    def wait_for_candles(self, expected: list[Candle]) -> None:
        """Wait until the rows of the expected candles' symbols are exactly these, or raise AssertionError."""
        symbols = sorted({candle.symbol for candle in expected})
        try:
            wait_for(f"candles of {symbols}", lambda: self.candles(*symbols) == expected, PATIENCE_SECONDS, 0.2)
        except TimeoutError:
            found = self.candles(*symbols)
            assert found == expected, f"found {found}"

    def dead_letters(self) -> list[dict[str, Any]]:
        """All records of the dead-letter topic."""
        consumer = Consumer({**self._servers, "group.id": "test", "enable.auto.commit": False})
        try:
            _, high = consumer.get_watermark_offsets(TopicPartition(names.DEAD_LETTER_TOPIC, 0), timeout=30)
            consumer.assign([TopicPartition(names.DEAD_LETTER_TOPIC, 0, 0)])
            records = consumer.consume(high, PATIENCE_SECONDS) if high else []
        finally:
            consumer.close()
        return [json.loads(record.value() or b"") for record in records]
