"""Shows the forming candle and the latest trades in the terminal: candles from Postgres, trades from the topic.

Imported by `local.command.data`. Its consumer commits no offsets; psycopg reads libpq's variables.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bitcoin_pipeline import names
from bitcoin_pipeline.live.records import read_trade
from bitcoin_pipeline.times import to_datetime
from bitcoin_pipeline.trade import TakerSide, Trade
from local.command.output import text_of

_CANDLES: Final = """
SELECT open_time, open, high, low, close, volume, trade_count, buy_volume, status
FROM candles WHERE symbol = %s AND source = 'live' ORDER BY open_time DESC LIMIT 6
"""
_HEAD: Final = ("minute", "open", "high", "low", "close", "volume", "trades", "bought", "status")
_TAPE: Final = 12
"""Number of trades shown."""
_LOOK_BACK: Final = 1000
"""Number of records of each partition that are read for the first trades."""
_REFRESHES_PER_SECOND: Final = 4


def show(symbol: str, bootstrap_servers: str) -> None:
    """Draw until interrupted. Raises psycopg.Error or confluent_kafka.KafkaException when a server does not answer."""
    import psycopg
    from confluent_kafka import Consumer

    from bitcoin_pipeline.adapters.kafka import tail

    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": names.TAIL_GROUP, "enable.auto.commit": False}
    )
    tape: deque[Trade] = deque(maxlen=_TAPE)
    try:
        consumer.assign(tail(consumer, names.TRADES_TOPIC, _LOOK_BACK, timeout_s=10))
        with psycopg.connect(connect_timeout=10, autocommit=True) as connection, Live(console=Console()) as live:
            while True:
                for message in consumer.consume(10_000, 1 / _REFRESHES_PER_SECOND):
                    trade = _trade_in(message)
                    if trade and trade.symbol == symbol:
                        tape.append(trade)
                rows = connection.execute(_CANDLES, (symbol,)).fetchall()
                live.update(Group(_candles(symbol, rows), Text(), _trades(tape)))
    finally:
        consumer.close()


def _trade_in(message: Any) -> Trade | None:
    try:
        return read_trade(message.value() or b"")
    except ValueError:
        return None  # the candles job sends it to the dead-letter topic


def _candles(symbol: str, rows: list[tuple[Any, ...]]) -> Table:
    day = f", {rows[0][0].astimezone(dt.UTC):%Y-%m-%d} UTC" if rows else ", no candle yet"
    table = Table(title=symbol + day, title_justify="left", box=None, pad_edge=False)
    for name in _HEAD:
        table.add_column(name, justify="left" if name in ("minute", "status") else "right", no_wrap=True)
    for open_time, *values in reversed(rows):
        minute = f"{open_time.astimezone(dt.UTC):%H:%M}"
        table.add_row(minute, *map(text_of, values), style="bold" if values[-1] == "forming" else "")
    return table


def _trades(tape: deque[Trade]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("time", "side", "price", "size"):
        table.add_column(name, justify="right" if name in ("price", "size") else "left")
    for trade in reversed(tape):
        colour = "green" if trade.taker_side is TakerSide.BUY else "red"
        clock = f"{to_datetime(trade.time_us):%H:%M:%S.%f}"[:-3]
        table.add_row(clock, str(trade.taker_side), text_of(trade.price), text_of(trade.size), style=colour)
    return table
