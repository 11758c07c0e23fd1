"""Names of tables, topics, objects in the lake and batches.

Part of the core; any module may import it. Python code takes these names from here.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

DATASET: Final = "market"
CANDLES: Final = f"{DATASET}.candles"
CANDLE_HISTORY: Final = f"{DATASET}.candle_history"
CANDLES_BEST: Final = f"{DATASET}.candles_best"
INGESTS: Final = f"{DATASET}.ingests"
GAPS: Final = f"{DATASET}.gaps"
LOCKS: Final = f"{DATASET}.locks"

TRADES_TOPIC: Final = "trades"
DEAD_LETTER_TOPIC: Final = "trades.dlq"
REPLAY_TOPIC: Final = "replay"
EVENTS_TOPIC: Final = "market-events"
"""Pub/Sub topic of the pipeline's events; the attribute `type` holds the kind of an event."""

CANDLES_GROUP: Final = "candles"
CANDLES_LINES_GROUP: Final = "candles-lines"
CANDLES_START_GROUP: Final = "candles-start"
PRODUCER_GROUP: Final = "bitcoin-pipeline-tail"
DASHBOARD_GROUP: Final = "dashboard"
ARCHIVE_LIVE_GROUP: Final = "archive-live"
TAIL_GROUP: Final = "tail"
"""The groups of the broker's consumers, each of one client, for which it needs an ACL."""

TRADES_PREFIX: Final = "trades/"
TRADES_LIVE_PREFIX: Final = "trades_live/"
STAGING_PREFIX: Final = "staging/"
"""Prefix of temporary objects of one run; a lifecycle rule may delete them after a day."""


def archive_file(symbol: str, day: dt.date) -> str:
    """`BTCUSDT2020-03-25.csv.gz`: Bybit's name of a day's file."""
    return f"{symbol}{day.isoformat()}.csv.gz"


def archive_key(symbol: str, day: dt.date) -> str:
    """`trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz`: the file in Bybit's bucket, and its path on the public host."""
    return f"{archive_folder(symbol)}{archive_file(symbol, day)}"


def archive_folder(symbol: str) -> str:
    """`trading/BTCUSDT/`: the folder of a symbol on the public host, which answers 404 for an unknown one."""
    return f"trading/{symbol}/"


def raw_object(symbol: str, day: dt.date) -> str:
    """The untouched file of a day in the lake bucket."""
    return f"{raw_prefix(symbol)}date={day.isoformat()}/{archive_file(symbol, day)}"


def raw_prefix(symbol: str) -> str:
    """The beginning of the names of a symbol's raw objects in the lake bucket, whose order is that of their days."""
    return f"raw/bybit/trading/symbol={symbol}/"


def trades_object(symbol: str, day: dt.date) -> str:
    """The sorted trades of a day in the lake bucket; the name is fixed, so that a repeated run replaces its objects."""
    return f"{TRADES_PREFIX}{_partition(symbol, day)}/trades.parquet"


def trades_live_object(symbol: str, day: dt.date, partition: int, start: int, end: int) -> str:
    """Trades of a symbol and day received live, between two offsets (`end` excluded) of a partition of the topic."""
    return f"{TRADES_LIVE_PREFIX}{_partition(symbol, day)}/{partition}-{start:020d}-{end:020d}.parquet"


def quarantine_object(symbol: str, day: dt.date) -> str:
    """The rejected rows of a day in the lake bucket, one JSON object a line."""
    return f"quarantine/{_partition(symbol, day)}/rows.jsonl"


def staging_object(run: str, file: str) -> str:
    """A temporary file of the run named `run`."""
    return f"{STAGING_PREFIX}{run}/{file}"


def batch_id(kind: str, unique: str) -> str:
    """A Dataproc batch id, `candles-<unique>`. Raises ValueError unless it is 4 to 63 of [a-z0-9-]."""
    name = f"{kind}-{unique}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{2,61}[a-z0-9]", name):
        raise ValueError(f"a batch id is 4 to 63 of [a-z0-9-] with no dash at its ends, got {name!r}")
    return name


def _partition(symbol: str, day: dt.date) -> str:
    return f"symbol={symbol}/date={day.isoformat()}"
