"""The live path of a stack, for tests: the content of its exchange, its topic and its tables."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg
import requests
from confluent_kafka import Consumer, TopicPartition
from psycopg.rows import dict_row

from bitcoin_pipeline import names
from bitcoin_pipeline.bybit.frames import to_trade
from bitcoin_pipeline.bybit.rest import RECENT_TRADES
from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.times import MS_US, floor_us, from_datetime
from bitcoin_pipeline.trade import Trade
from local.environment import read_env_file
from local.stack.lifecycle import LocalStack

_COLUMNS: Final = (
    "symbol, open_time, source, open, high, low, close, volume, turnover, trade_count,"
    " buy_volume, buy_turnover, first_trade_id, last_trade_id, status, confirmed"
)


@dataclass(frozen=True, slots=True)
class StoredGap:
    """A row of the table `gaps` in Postgres; `to_us` is None while the feed is disconnected."""

    gap_id: str
    symbol: str
    from_us: int
    to_us: int | None
    state: str

    def holds(self, time_us: int) -> bool:
        """True for a time within the gap, both ends included."""
        return self.from_us <= time_us and (self.to_us is None or time_us <= self.to_us)


@dataclass(frozen=True, slots=True)
class ServedPage:
    """An answer of REST to recent-trade, at the exchange's time `at_us`; `oldest_us`: the time of its oldest trade."""

    symbol: str
    at_us: int
    oldest_us: int
    is_full: bool
    """True for a page with as many trades as REST returns at most, so that older trades may exist."""


@dataclass(slots=True)
class TopicContent:
    """The content of the topic `trades`.

    `ids`: the trade ids of each symbol. `repeated`: the number of records whose id is in an earlier record.
    `gap_opened_us`: the time of the last record of each opened gap. `after_their_minute`: the number of each symbol's
    trades that follow a record of their minute. `counted`: the highest count of trades in the records of each symbol
    and minute.
    """

    ids: dict[str, set[str]] = field(default_factory=dict)
    repeated: int = 0
    gap_opened_us: dict[str, int] = field(default_factory=dict)
    after_their_minute: Counter[str] = field(default_factory=Counter)
    counted: dict[tuple[str, int], int] = field(default_factory=dict)


class WholePath:
    """A live path; `environ` has the variables with its addresses."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.symbols = self.environ["PIPELINE_SYMBOLS"].split(",")
        self._exchange = self.environ["BYBIT_REST_URL"]

    # The exchange.

    def fault(self, name: str, **parameters: object) -> None:
        """Set a fault of the exchange."""
        answer = requests.post(f"{self._exchange}/control/faults", json={"fault": name, **parameters}, timeout=30)
        assert answer.ok, answer.text

    def clear_faults(self) -> None:
        """Clear all faults of the exchange."""
        requests.delete(f"{self._exchange}/control/faults", timeout=30).raise_for_status()

    def exchange_us(self) -> int:
        """The exchange's time."""
        answer = requests.get(f"{self._exchange}/v5/market/time", timeout=30).json()
        return int(answer["result"]["timeNano"]) // 1000

    def traded(self, symbol: str, until_us: int) -> Iterator[Trade]:
        """Every trade that the exchange has made before `until_us`, once each."""
        query = {"symbol": symbol}
        with requests.get(f"{self._exchange}/control/trades", query, timeout=60, stream=True) as answer:
            for line in answer.iter_lines(1 << 20):
                item = orjson.loads(line)
                if item["T"] * MS_US < until_us:
                    wire = {"s": symbol, "i": item["id"], "T": item["T"], "seq": item["seq"]}
                    yield to_trade(symbol, {**wire, "p": item["price"], "v": item["size"], "S": item["side"]})

    # The topic.

    def topic(self) -> TopicContent:
        """The content of the topic now."""
        servers = {"bootstrap.servers": self.environ["KAFKA_BOOTSTRAP_SERVERS"]}
        consumer = Consumer({**servers, "group.id": "test", "enable.auto.commit": False})
        found = TopicContent()
        try:
            for partition in consumer.list_topics(names.TRADES_TOPIC, timeout=60).topics[names.TRADES_TOPIC].partitions:
                place = TopicPartition(names.TRADES_TOPIC, partition, 0)
                _, high = consumer.get_watermark_offsets(place, timeout=60)
                consumer.assign([place])
                offset = 0
                while offset < high:
                    messages = consumer.consume(min(10_000, high - offset), timeout=60)
                    assert messages, f"partition {partition} ends at {offset} of {high}"
                    for message in messages:
                        record = orjson.loads(message.value() or b"")
                        _take(found, record, message.timestamp()[1] * MS_US)
                    offset = (messages[-1].offset() or 0) + 1
        finally:
            consumer.close()
        return found

    # The tables.

    def candles(self) -> dict[tuple[str, int], Candle]:
        """Every live candle of the symbols by symbol and open time; none while the server does not answer."""
        try:
            with psycopg.connect(self._conninfo(), connect_timeout=10) as connection:
                query = f"SELECT {_COLUMNS} FROM candles WHERE source = %s AND symbol = ANY(%s)"
                rows: list[tuple[Any, ...]] = connection.execute(query, (Source.LIVE, self.symbols)).fetchall()
        except psycopg.OperationalError:
            return {}
        fields: list[tuple[Any, ...]] = [
            (symbol, from_datetime(opened), Source(source), *values, Status(status), confirmed)
            for symbol, opened, source, *values, status, confirmed in rows
        ]
        return {(values[0], values[1]): Candle(*values) for values in fields}

    def finished_at_us(self, symbol: str, open_time_us: int) -> int | None:
        """The time of a candle's last change on the exchange's clock; None while it is forming."""
        ahead_us = self.exchange_us() - time.time_ns() // 1000
        with psycopg.connect(self._conninfo(), connect_timeout=10) as connection:
            row = connection.execute(
                "SELECT updated_at FROM candles"
                " WHERE symbol = %s AND open_time = to_timestamp(%s) AND status <> 'forming' AND source = 'live'",
                (symbol, open_time_us // 1_000_000),
            ).fetchone()
        return None if row is None else from_datetime(row[0]) + ahead_us

    def gaps(self) -> list[StoredGap]:
        """Every gap, in the order of symbol and time."""
        with psycopg.connect(self._conninfo(), connect_timeout=10, row_factory=dict_row) as connection:
            rows = connection.execute("SELECT * FROM gaps ORDER BY symbol, from_time").fetchall()
        return [
            StoredGap(
                row["gap_id"],
                row["symbol"],
                from_datetime(row["from_time"]),
                None if row["to_time"] is None else from_datetime(row["to_time"]),
                row["state"],
            )
            for row in rows
        ]

    def _conninfo(self) -> str:
        words = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE", "passfile": "PGPASSFILE"}
        return psycopg.conninfo.make_conninfo("", **{word: self.environ[name] for word, name in words.items()})


class WholeStack(WholePath):
    """The live path of the stack that is up in `home`."""

    def __init__(self, home: Path) -> None:
        super().__init__(read_env_file(home / "env"))
        self.home = home

    def pages(self) -> list[ServedPage]:
        """The answers of REST to recent-trade, in order."""
        pages = []
        for line in (self.home / "logs" / "exchange.log").read_text().splitlines():
            if '"recent trades served"' in line and (page := json.loads(line))["oldest"] is not None:
                is_full = page["trades"] >= RECENT_TRADES
                pages.append(ServedPage(page["symbol"], page["time"] * MS_US, page["oldest"] * MS_US, is_full))
        return pages

    def pid(self, service: str) -> int:
        """The process id of a service, 0 while it does not run."""
        return next((item.pid for item in LocalStack(self.home).status() if item.name == service), 0)


def _take(found: TopicContent, record: dict[str, Any], appended_us: int) -> None:
    match record:
        case {"type": "trade", "symbol": symbol, "id": trade_id, "time": time_us}:
            ids = found.ids.setdefault(symbol, set())
            found.repeated += trade_id in ids
            ids.add(trade_id)
            found.after_their_minute[symbol] += (symbol, floor_us(time_us)) in found.counted
        case {"type": "minute", "symbol": symbol, "open_time": open_us, "trade_count": count}:
            found.counted[symbol, open_us] = max(count, found.counted.get((symbol, open_us), 0))
        case {"type": "gap", "gap_id": gap_id, "state": "opened"}:
            found.gap_opened_us[gap_id] = appended_us
