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
from bitcoin_pipeline.candle import Candle, Source, Status, minute_candles
from bitcoin_pipeline.live.records import Heartbeat, Minute, heartbeat_record, minute_record, trade_record
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


def minutes_of(trades: Iterable[Trade], *, confirmed: bool = False) -> list[Minute]:
    """The minutes of trades as the producer counts them: each id once."""
    distinct = {(trade.symbol, trade.trade_id): trade for trade in reversed(list(trades))}
    return [
        Minute(candle.symbol, candle.open_time_us, candle.trade_count or 0, candle.volume, candle.turnover, confirmed)
        for candle in minute_candles(distinct.values(), Source.LIVE)
    ]


class LivePath:
    """Kafka, Postgres and the candles job, in `home`, in another time zone; a context manager.

    Each test uses minutes after those of the tests before it, as the exchange's time never goes back.
    """

    def __init__(self, home: Path) -> None:
        self.stack = RunningStack(home, STORES, variables={"TZ": "Asia/Tokyo"})
        self.used_us = 1_700_000_000_000_000
        """The time up to which tests have used minutes."""

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
        """The start (us) of the minute after all that were used."""
        return floor_us(self.used_us) + MINUTE_US

    def fresh_day(self) -> int:
        """The start (us) of the day after all minutes that were used."""
        return floor_us(self.used_us, DAY_US) + DAY_US

    def send(self, symbol: str, *records: bytes | None) -> None:
        """Send records to the topic as the producer does: keyed by symbol, so to one partition, in order."""
        for record in records:
            while True:
                try:
                    self.producer.produce(names.TRADES_TOPIC, record, key=symbol)
                except BufferError:
                    self.producer.poll(0.1)
                else:
                    break

    def send_trades(self, trades: Iterable[Trade]) -> None:
        """Send trades to the topic, in the order given."""
        for trade in trades:
            assert isinstance(trade.order, tuple)
            self.send(trade.symbol, trade_record(trade, trade.order[0]))

    def close_minutes(self, minutes: Iterable[Minute]) -> None:
        """Send the records of minutes, and wait until the broker has every record."""
        for minute in minutes:
            self.used_us = max(self.used_us, minute.open_time_us)
            self.send(minute.symbol, minute_record(minute))
        assert self.producer.flush(60) == 0

    def prove(self, time_us: int, *symbols: str) -> None:
        """Send a heartbeat to every partition, and wait until the broker has every record."""
        self.used_us = max(self.used_us, time_us)
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
            self.used_us = max(self.used_us, path.exchange_us())
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
              buy_volume, buy_turnover, first_trade_id, last_trade_id, status, confirmed
            FROM candles WHERE symbol = ANY(%s) ORDER BY symbol COLLATE "C", open_time
            """,
            list(symbols),
        )
        fields: list[tuple[Any, ...]] = [
            (symbol, from_datetime(open_time), Source(source), *values, Status(status), confirmed)
            for symbol, open_time, source, *values, status, confirmed in found
        ]
        return [Candle(*values) for values in fields]

    def wait_for_candles(self, expected: list[Candle]) -> None:
        """Wait until the rows of the expected candles' symbols are exactly these, or raise AssertionError.

        A candle that is expected with None in `confirmed` is expected as not confirmed.
        """
        symbols = sorted({candle.symbol for candle in expected})

        def compared(candles: list[Candle]) -> list[tuple[Candle, bool]]:
            return [(candle, candle.confirmed or False) for candle in candles]

        def is_stored() -> bool:
            return compared(self.candles(*symbols)) == compared(expected)

        try:
            wait_for(f"candles of {symbols}", is_stored, PATIENCE_SECONDS, 0.2)
        except TimeoutError:
            found = self.candles(*symbols)
            assert compared(found) == compared(expected), f"found {found}"

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
