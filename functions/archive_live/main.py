"""The Cloud Function `archive_live`: writes the trades of the topic to `trades_live/` of the lake, as Parquet.

`POST`, no body, hourly. 200 with figures: `trades`, `objects`, `duplicates` dropped, `unreadable` records left out,
and `more` when the rest is left to the next call. 503: the broker or the lake is away, try again. An entry point;
nobody imports it but its tests.

A partition is cut where the broker's clock passes an hour, and each hour into pieces of so many offsets. These cuts
never change, and an object's name is its piece: whoever writes a piece, first, again after a kill, or at the same
time as another call, writes the same objects. An hour is written when a record of the next one is there, which
heartbeats see to. Where to go on is the group's committed offset (the lake's names cannot tell it, for a piece
without trades leaves no object), committed when a piece's objects are written.

A trade that was sent twice counts once in a piece; in two pieces it may stand twice, with the same id.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, TypeVar

import flask
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition
from pyarrow import fs

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.arrow import TRADE_ROW_GROUP, table_schema, trade_compression
from bitcoin_pipeline.adapters.kafka import partitions, read
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.broker import BrokerSettings
from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.live.records import read_trade
from bitcoin_pipeline.settings import read_settings, setting
from bitcoin_pipeline.times import DAY_US, day_of
from bitcoin_pipeline.trade import Trade

GROUP: Final = "archive-live"
"""Its offsets live as long as the topic's records (7 days), so whoever is away longer begins at the oldest record."""

PIECE: Final = 100_000
"""Offsets of one piece, in memory at once; some 1.5 KB a trade at the peak. Another number makes other names."""

BUDGET_S: Final = 240
"""After this a call begins no further piece; it ends well within the scheduler's patience."""

TIMEOUT_S: Final = 10

_T = TypeVar("_T")
# The broker that keeps the group's offsets is not found yet: a group's first use, or a broker that has just started.
_NO_COORDINATOR = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)

_SCHEMA = table_schema("lake.trades_live")


def _seconds(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not int(text) or DAY_US // 1_000_000 % int(text):
        raise ValueError(f"must be whole seconds that divide a day, got {text!r}")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BrokerSettings):
    """What the environment decides."""

    lake: str = setting("PIPELINE_LAKE", "the bucket that holds trades_live/")
    period_s: int = setting("ARCHIVE_LIVE_PERIOD_SECONDS", "how much of the broker's time makes a cut", _seconds, 3600)


@dataclass(slots=True)
class Figures:
    """What a call has done."""

    trades: int = 0
    objects: int = 0
    duplicates: int = 0
    unreadable: int = 0
    more: bool = False


@dataclass(slots=True)
class Piece:
    """The distinct trades between two offsets of one partition, by symbol and day."""

    partition: int
    start: int
    end: int
    trades: dict[tuple[str, dt.date], dict[str, Trade]] = field(default_factory=dict)
    duplicates: int = 0
    unreadable: int = 0

    def add(self, record: bytes | None) -> None:
        """Take in one record. The first trade of an id stands, as in the candles."""
        try:
            trade = read_trade(record or b"")
        except ValueError:
            self.unreadable += 1  # Flink puts it into the dead-letter topic
            return
        if trade is not None:
            kept = self.trades.setdefault((trade.symbol, day_of(trade.time_us)), {})
            if kept.setdefault(trade.trade_id, trade) is not trade:
                self.duplicates += 1


class Topic:
    """The topic of trades as it stood at a call's start. Raises RetryableError from every method."""

    def __init__(self, settings: Settings) -> None:
        self._period_ms = settings.period_s * 1000
        self._consumer = Consumer(
            {
                **settings.client_config(),
                "group.id": GROUP,
                "client.id": "bitcoin-pipeline-archive-live",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": 16 << 10,
                # What is read is there; a fetch at the topic's end would make the next piece wait.
                "fetch.wait.max.ms": 10,
                "check.crcs": True,
            }
        )

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def partitions(self) -> list[int]:
        """The topic's partitions."""
        with _broker_may_fail():
            return partitions(self._consumer, names.TRADES_TOPIC, TIMEOUT_S)

    def pieces(self, partition: int) -> Iterator[Piece]:
        """The pieces from the committed offset on, each still without trades."""
        with _broker_may_fail():
            start, end = self._bounds(partition)
            while start < end:
                cut = self._next_cut(partition, start)
                if cut is None or cut > end:
                    return
                while start < cut:
                    yield Piece(partition, start, min(start + PIECE, cut))
                    start = min(start + PIECE, cut)

    def read(self, piece: Piece) -> None:
        """Fill `piece` with its records."""
        with _broker_may_fail():
            for message in self._messages(piece.partition, piece.start, piece.end):
                piece.add(message.value())

    def commit(self, piece: Piece) -> None:
        """Go on behind `piece` the next time."""
        behind = TopicPartition(names.TRADES_TOPIC, piece.partition, piece.end)
        with _broker_may_fail():
            _coordinated(lambda: self._consumer.commit(offsets=[behind], asynchronous=False))

    def _bounds(self, partition: int) -> tuple[int, int]:
        here = TopicPartition(names.TRADES_TOPIC, partition)
        oldest, end = self._consumer.get_watermark_offsets(here, timeout=TIMEOUT_S)
        [committed] = _coordinated(lambda: self._consumer.committed([here], timeout=TIMEOUT_S))
        start = committed.offset
        if start == OFFSET_INVALID:
            if oldest:  # the first call, or one after so long an absence that nobody knows what is missing
                log("WARNING", "no offset is known, and the topic's start is gone", partition=partition, oldest=oldest)
            start = oldest
        elif not oldest <= start <= end:
            log("ERROR", "records are gone unarchived", partition=partition, committed=start, oldest=oldest, end=end)
            start = oldest
        return start, end

    def _next_cut(self, partition: int, start: int) -> int | None:
        """The first offset of the next period after that of the record at `start`, None when it has not begun."""
        [first] = self._messages(partition, start, start + 1)
        cut_ms = first.timestamp()[1]
        cut = start
        while cut <= start:  # more than once only where the broker's clock was put back
            cut_ms += self._period_ms - cut_ms % self._period_ms
            asked = TopicPartition(names.TRADES_TOPIC, partition, cut_ms)
            [told] = self._consumer.offsets_for_times([asked], timeout=TIMEOUT_S)
            if told.offset < 0:
                return None
            cut = told.offset
        return cut

    def _messages(self, partition: int, start: int, end: int) -> Iterator[Message]:
        place = TopicPartition(names.TRADES_TOPIC, partition, start)
        return read(self._consumer, place, end, TIMEOUT_S, batch=1000)


def archive(settings: Settings) -> Figures:
    """Write every period that was over when the call began. Raises RetryableError."""
    figures = Figures()
    deadline = time.monotonic() + BUDGET_S
    files = fs.GcsFileSystem(retry_time_limit=dt.timedelta(seconds=TIMEOUT_S))
    with closing(Topic(settings)) as topic:
        for partition in topic.partitions():
            for piece in topic.pieces(partition):
                if time.monotonic() > deadline:
                    figures.more = True
                    return figures
                topic.read(piece)
                _write(files, settings.lake, piece)
                topic.commit(piece)
                figures.trades += sum(map(len, piece.trades.values()))
                figures.objects += len(piece.trades)
                figures.duplicates += piece.duplicates
                figures.unreadable += piece.unreadable
    return figures


def _write(files: fs.FileSystem, lake: str, piece: Piece) -> None:
    for (symbol, day), trades in sorted(piece.trades.items()):
        name = names.trades_live_object(symbol, day, piece.partition, piece.start, piece.end)
        content = trades_parquet(sorted(trades.values(), key=attrgetter("time_us", "order")))
        try:
            # One write: an object appears when its stream is closed, whatever has reached it by then.
            with files.open_output_stream(f"{lake}/{name}", compression=None) as stream:
                stream.write(content)
        except OSError as error:
            raise RetryableError(f"the lake failed: {error}") from error


def trades_parquet(trades: list[Trade]) -> pa.Buffer:
    """The trades, which are in order, as a Parquet file in the form of `lake.trades_live`."""
    columns: dict[str, list[Any]] = {
        "time": [trade.time_us for trade in trades],
        "price": [trade.price for trade in trades],
        "size": [trade.size for trade in trades],
        "side": [str(trade.taker_side) for trade in trades],
        "id": [uuid.UUID(trade.trade_id).bytes for trade in trades],
        "match_order": list(range(len(trades))),
        "seq": [trade.order[0] for trade in trades],  # type: ignore[index]  # live trades have live_order
    }
    table = pa.Table.from_arrays([pa.array(columns[column.name], column.type) for column in _SCHEMA], schema=_SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=TRADE_ROW_GROUP,
        compression=trade_compression(_SCHEMA),
        use_dictionary=["price", "size", "side"],
        sorting_columns=[pq.SortingColumn(_SCHEMA.get_field_index(name)) for name in ("time", "match_order")],
        store_schema=False,
    )
    return sink.getvalue()


def _coordinated(call: Callable[[], _T]) -> _T:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return call()
        except KafkaException as error:
            if error.args[0].code() not in _NO_COORDINATOR or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


@contextmanager
def _broker_may_fail() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise RetryableError(f"the broker failed: {error}") from error


# Read when the server starts: a wrong setting stops the deployment and not the first call.
SETTINGS: Final[Settings] = read_settings(Settings, os.environ)


def archive_live(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """The function's entry point."""
    if request.method != "POST":
        return {"error": f"the method must be POST, got {request.method}"}, 405, {"Allow": "POST"}
    started = time.monotonic()
    try:
        figures = archive(SETTINGS)
    except RetryableError as error:
        log("ERROR", "archiving failed", reason=str(error))
        return {"error": str(error)}, 503
    answer = {name: getattr(figures, name) for name in Figures.__slots__}
    if figures.objects:
        log("INFO", "trades archived", seconds=round(time.monotonic() - started, 1), **answer)
    return answer
