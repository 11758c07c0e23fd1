"""The dashboard with its stores, filled with synthetic minutes; and Chromium for its page."""

from __future__ import annotations

import datetime as dt
import io
import os
import shutil
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Producer
from google.cloud import bigquery
from playwright.sync_api import Browser, Page, Playwright

from bitcoin_pipeline import names
from bitcoin_pipeline.bybit.frames import PlainTrade
from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.live.records import encoded_trade
from bitcoin_pipeline.times import DAY_US, MINUTE_US, SECOND_US, day_of, to_datetime
from local.backing.warehouse import create_warehouse
from local.waiting import wait_for
from tests.support.live import conninfo
from tests.support.processes import RunningStack

SYMBOL: Final = "BTCUSDT"
NEWEST_US: Final = 1_786_310_760 * SECOND_US
"""2026-08-09T21:26:00Z: open time of the newest candle, from which the page counts; not the machine's clock."""
LIVE_MINUTES: Final = 26 * 60
PATIENCE_MS: Final = 30_000
"""Upper bound on every wait for a page, for a busy machine."""
TWO_FRAMES: Final = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""JavaScript: what was drawn is on the screen."""
ARCHIVE_DAYS: Final = 40
"""Days of history before the live ones, with one day between them that no store has."""


def _noise(n: int, period: int) -> float:
    """A value from -1 to 1 that follows from `n`; smooth over `period`."""
    ends = ((n // period + k) * 0x9E3779B97F4A7C15 % 2**64 >> 11 for k in (0, 1))
    low, high = ((value ^ value >> 23) * 0x2127599BF4325C37 % 2**64 / 2**63 - 1 for value in ends)
    return low + (high - low) * (n % period) / period


def _level(n: int) -> Decimal:
    """The price when minute `n` of the epoch begins; it moves at every scale, as a market's does."""
    return Decimal(round(650_000 + sum(240 * 2**k * _noise(n, 3 * 4**k) for k in range(11)))) / 10


def minute(open_us: int, source: Source, status: Status = Status.FINAL) -> Candle:
    """A candle that follows from its time alone, with decimals that a float would not keep."""
    n = open_us // MINUTE_US
    open_, close = _level(n), _level(n + 1)
    volume = Decimal(round(20_000 * 2 ** (2 * _noise(n, 2) + _noise(n, 300)))) / 1000
    bought = volume * round(4 + 3 * _noise(n, 7)) / 8
    return Candle(
        symbol=SYMBOL,
        open_time_us=open_us,
        source=source,
        open=open_,
        high=max(open_, close) + Decimal(n * 7919 % 150) / 10,
        low=min(open_, close) - Decimal(n * 104_729 % 130) / 10,
        close=close,
        volume=volume,
        turnover=volume * close,
        trade_count=n % 900 + 1,
        buy_volume=bought,
        buy_turnover=bought * close,
        first_trade_id="00000000-0000-5000-8000-000000000001",
        last_trade_id="00000000-0000-5000-8000-000000000002",
        status=status,
    )


def live_minutes() -> list[Candle]:
    """The minutes in Postgres: the newest forming, one partial, one repaired."""
    odd = {0: Status.FORMING, 30: Status.PARTIAL, 90: Status.REPAIRED}
    first = NEWEST_US - (LIVE_MINUTES - 1) * MINUTE_US
    return [
        minute(at, Source.LIVE, odd.get((NEWEST_US - at) // MINUTE_US, Status.FINAL))
        for at in range(first, NEWEST_US + 1, MINUTE_US)
    ]


def archive_minutes() -> list[Candle]:
    """The minutes in BigQuery: whole days, up to two days before the newest one."""
    end = NEWEST_US - NEWEST_US % DAY_US - 2 * DAY_US
    return [minute(at, Source.ARCHIVE) for at in range(end - ARCHIVE_DAYS * DAY_US, end, MINUTE_US)]


class Stores:
    """Kafka, Postgres, BigQuery and the dashboard of one stack, filled; a context manager.

    `live`, `archive`: the minutes in Postgres and in BigQuery; those of the functions above by default.
    """

    def __init__(self, home: Path, live: list[Candle] | None = None, archive: list[Candle] | None = None) -> None:
        self.stack = RunningStack(home, ("metadata", "bigquery", "kafka", "postgres"))
        self._live = live_minutes() if live is None else live
        self._archive = archive_minutes() if archive is None else archive

    def __enter__(self) -> Stores:
        self.stack.__enter__()
        try:
            self.stack.set_up("topics", "tables")
            create_warehouse(self.stack.bigquery())
            self.write(self._live)
            self.prove(self._live[-1].open_time_us + 40 * SECOND_US)
            self.load(self._archive)
            self._record_days()
            self.stack.start("dashboard")
        except BaseException:
            self.stack.stop()
            raise
        servers = self.stack.environ["KAFKA_BOOTSTRAP_SERVERS"]
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
        return self

    def __exit__(self, *_: object) -> None:
        del self._producer  # it would go on to look for its broker, and log that
        self.stack.stop()

    @property
    def url(self) -> str:
        """The page's URL."""
        return self.stack.stack.url("dashboard")

    def write(self, candles: Iterable[Candle]) -> None:
        """Upsert rows as Flink does; the feed is proven up to the newest of them at least."""
        columns = [name for name in Candle.__slots__ if name != "open_time_us"]
        values = ", ".join(f"%({name})s" for name in columns)
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in ("symbol", "source"))
        query = (
            f"INSERT INTO candles (open_time, {', '.join(columns)}) VALUES (%(open_time)s, {values})"
            f" ON CONFLICT (symbol, open_time, source) DO UPDATE SET {changes}"
        )
        rows = [
            {"open_time": to_datetime(candle.open_time_us), **{name: getattr(candle, name) for name in columns}}
            for candle in candles
        ]
        with psycopg.connect(conninfo(self.stack)) as connection, connection.cursor() as cursor:
            cursor.executemany(query, rows)
            newest = max(row["open_time"] for row in rows)
            cursor.execute("UPDATE feed_status SET proven_until = GREATEST(proven_until, %s)", (newest,))

    def prove(self, until_us: int) -> None:
        """Write how far the feed is proven."""
        with psycopg.connect(conninfo(self.stack)) as connection:
            connection.execute(
                "INSERT INTO feed_status VALUES (%s, %s, 250, 2)"
                " ON CONFLICT (symbol) DO UPDATE SET proven_until = excluded.proven_until",
                (SYMBOL, to_datetime(until_us)),
            )

    def advance(self) -> None:
        """Advance the time up to which the feed is proven by a millisecond."""
        with psycopg.connect(conninfo(self.stack)) as connection:
            connection.execute(
                "UPDATE feed_status SET proven_until = proven_until + interval '1 millisecond' WHERE symbol = %s",
                (SYMBOL,),
            )

    def gap(self, gap_id: str, from_us: int, to_us: int | None, state: str = "opened") -> None:
        """Write a gap of the feed, as Flink does."""
        with psycopg.connect(conninfo(self.stack)) as connection:
            connection.execute(
                "INSERT INTO gaps VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (gap_id) DO UPDATE SET to_time = excluded.to_time, state = excluded.state",
                (gap_id, SYMBOL, to_datetime(from_us), None if to_us is None else to_datetime(to_us), state),
            )

    def trade(self, number: int, time_us: int, side: str, price: str, size: str) -> None:
        """Send a trade into the topic."""
        trade_id = f"00000000-0000-5000-8000-{number:012d}"
        turnover = str(Decimal(price) * Decimal(size))
        record = encoded_trade(PlainTrade(SYMBOL, trade_id, time_us, number, side, price, size, turnover))
        self._producer.produce(names.TRADES_TOPIC, record, key=SYMBOL)
        assert self._producer.flush(30) == 0

    def candles(self, lo_us: int, hi_us: int) -> list[dict[str, Any]]:
        """The live rows that open in a span, as Postgres has them."""
        with psycopg.connect(conninfo(self.stack)) as connection:
            found = connection.execute(
                "SELECT extract(epoch FROM open_time)::bigint, open, high, low, close, volume, turnover, trade_count,"
                " buy_volume, status FROM candles"
                " WHERE symbol = %s AND open_time >= %s AND open_time < %s ORDER BY open_time",
                (SYMBOL, to_datetime(lo_us), to_datetime(hi_us)),
            ).fetchall()
        columns = ("time", "open", "high", "low", "close", "volume", "turnover", "count", "bought", "status")
        return [dict(zip(columns, row, strict=True)) for row in found]

    def load(self, candles: list[Candle]) -> None:
        """Add candles to BigQuery's."""
        client = self.stack.bigquery()
        columns: dict[str, Any] = {"open_time": [to_datetime(candle.open_time_us) for candle in candles]}
        for name in Candle.__slots__:
            if name != "open_time_us":
                values = [getattr(candle, name) for candle in candles]
                is_amount = isinstance(values[0], Decimal)
                columns[name] = (
                    pa.array(values, pa.decimal128(38, 9))
                    if is_amount
                    else [str(value) if isinstance(value, str) else value for value in values]
                )
        columns["updated_at"] = [dt.datetime(2026, 8, 8, tzinfo=dt.UTC)] * len(candles)
        file = io.BytesIO()
        pq.write_table(pa.table(columns), file)
        file.seek(0)
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET, write_disposition=bigquery.WriteDisposition.WRITE_APPEND
        )
        client.load_table_from_file(file, f"{client.project}.{names.CANDLES}", job_config=config).result()

    def _record_days(self) -> None:
        client = self.stack.bigquery()
        days = sorted({day_of(candle.open_time_us) for candle in self._archive})
        rows = ", ".join(
            f"('{SYMBOL}', DATE '{day}', '{'failed' if day == days[5] else 'loaded'}',"
            f" {'NULL' if day != days[5] else repr('truncated file')}, 'b', TIMESTAMP '2026-08-08 00:00:00')"
            for day in days
            if day != days[9]
        )
        client.query(
            f"INSERT INTO {names.INGESTS} (symbol, date, status, reason, batch_id, ingested_at) VALUES {rows}"
        ).result()


def until(page: Page, expression: str) -> None:
    """Wait until the expression is true in the page.

    Playwright's own `wait_for_function` needs `eval`, which the page's policy forbids.
    """
    wait_for(expression, lambda: bool(page.evaluate(expression)), PATIENCE_MS / 1000)


def until_feed(page: Page, stores: Stores, state: str) -> None:
    """Wait until the page shows the feed as `ok` or `warn`, while its proven time advances.

    After five seconds without a new proof the feed counts as silent, which may pass before a busy machine's page opens.
    """

    def is_shown() -> bool:
        stores.advance()
        return page.get_attribute("#feed", "class") == f"feed {state}"

    wait_for(f"the feed to be {state}", is_shown, PATIENCE_MS / 1000, 0.5)


def chromium(playwright: Playwright) -> Browser:
    """Chromium, started. Raises RuntimeError with the way to install it where there is none."""
    found = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if not found:
        raise RuntimeError("no Chromium found: install it (Debian: apt-get install chromium) or set CHROMIUM to it")
    # In a container it may run as root and with little shared memory.
    return playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
