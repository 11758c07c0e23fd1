"""The growing candle and the tape in the terminal: candles from Postgres, trades from the topic itself.

Used by the `pipeline` command. A consumer of its own that commits nothing; psycopg uses libpq's variables.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bitcoin_pipeline import names
from bitcoin_pipeline.records import TRADE
from bitcoin_pipeline.times import iso
from local.output import text_of

_CANDLES: Final = """
SELECT open_time, open, high, low, close, volume, trade_count, buy_volume, status
FROM candles WHERE symbol = %s AND source = 'live' ORDER BY open_time DESC LIMIT 6
"""
_HEAD: Final = ("open_time", "open", "high", "low", "close", "volume", "trades", "bought", "status")
_TAPE: Final = 12
_REFRESHES_PER_SECOND: Final = 4


def show(symbol: str, bootstrap_servers: str) -> None:
    """Draw until interrupted. Raises psycopg.Error or confluent_kafka.KafkaException when a server is away."""
    import psycopg
    from confluent_kafka import OFFSET_END, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "tail", "enable.auto.commit": False})
    partitions = consumer.list_topics(names.TRADES_TOPIC, timeout=10).topics[names.TRADES_TOPIC].partitions
    consumer.assign([TopicPartition(names.TRADES_TOPIC, partition, OFFSET_END) for partition in partitions])
    tape: deque[dict[str, Any]] = deque(maxlen=_TAPE)
    try:
        with psycopg.connect(connect_timeout=10, autocommit=True) as connection, Live(console=Console()) as live:
            while True:
                for message in consumer.consume(10_000, 1 / _REFRESHES_PER_SECOND):
                    record = _trade_in(message, symbol)
                    if record:
                        tape.append(record)
                rows = connection.execute(_CANDLES, (symbol,)).fetchall()
                live.update(Group(_candles(symbol, rows), Text(), _trades(tape)))
    finally:
        consumer.close()


def _trade_in(message: Any, symbol: str) -> dict[str, Any] | None:
    try:
        record = json.loads(message.value())
    except ValueError:
        return None  # not ours to judge: the job sends it to the dead-letter topic
    is_wanted = isinstance(record, dict) and record.get("type") == TRADE and record.get("symbol") == symbol
    return record if is_wanted else None


def _candles(symbol: str, rows: list[tuple[Any, ...]]) -> Table:
    table = Table(title=symbol, title_justify="left", box=None, pad_edge=False)
    for name in _HEAD:
        table.add_column(name, justify="left" if name in ("open_time", "status") else "right")
    for row in reversed(rows):
        table.add_row(*map(text_of, row), style="bold" if row[-1] == "forming" else "")
    return table


def _trades(tape: deque[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("time", "side", "price", "size"):
        table.add_column(name, justify="right" if name in ("price", "size") else "left")
    for record in reversed(tape):
        colour = "green" if record["side"] == "Buy" else "red"
        table.add_row(iso(record["time"]), record["side"], record["price"], record["size"], style=colour)
    return table
