"""From Bybit's archive to candles in BigQuery, through every real component, by the command alone."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import shutil
import signal
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.bybit.archive import DayTrades, read_day
from bitcoin_pipeline.candle import Source, merge, minute_candles
from bitcoin_pipeline.times import iso, parse_interval
from local.backing.pubsub import installed_emulator
from local.environment import read_env_file
from tests.e2e.replayed import REAL_FILE, REVISED, Played, mostly_other_days_rows
from tests.e2e.rows import csv_row
from tests.support.command import Pipeline

pytestmark = pytest.mark.timeout(900)  # the first test may start the stack
HEADER = "open_time,open,high,low,close,volume,turnover,trade_count,buy_volume,buy_turnover,status,confirmed"


@pytest.fixture(scope="module")
def archive(played: Played) -> Path:
    return played.archive


@pytest.fixture(scope="module")
def pipeline(played: Played) -> Pipeline:
    played.pipeline.done("backfill", "BTCUSDT", "2020-03-25")
    return played.pipeline


@pytest.fixture(scope="module")
def real_day() -> DayTrades:
    lines = gzip.decompress(REAL_FILE.read_bytes()).decode().split("\n")
    return read_day(lines, "BTCUSDT", dt.date(2020, 3, 25))


def test_the_real_day_is_exact_minute_by_minute(pipeline: Pipeline, real_day: DayTrades) -> None:
    outcome = pipeline.done("candles", "BTCUSDT", "2020-03-25", "--format", "csv")
    assert outcome.out.splitlines()[0] == HEADER
    assert len(outcome.rows) == 442
    assert outcome.rows == [csv_row(candle) for candle in minute_candles(real_day.trades, Source.ARCHIVE)]
    first, last = outcome.rows[0], outcome.rows[-1]
    assert (first["open_time"], first["open"]) == ("2020-03-25T10:36:00Z", "6500")
    assert (last["open_time"], last["close"]) == ("2020-03-25T23:58:00Z", "6698.5")
    assert sum(Decimal(row["volume"]) for row in outcome.rows) == Decimal("1809.520")
    assert sum(int(row["trade_count"]) for row in outcome.rows) == 2693


@pytest.mark.parametrize("interval", ["5m", "1h", "1d"])
def test_longer_intervals_are_merges_of_the_minutes(pipeline: Pipeline, real_day: DayTrades, interval: str) -> None:
    outcome = pipeline.done(
        "candles", "BTCUSDT", "2020-03-25", "--interval", interval, "--plane", "archive", "--format", "csv"
    )
    minutes = minute_candles(real_day.trades, Source.ARCHIVE)
    assert outcome.rows == [csv_row(candle) for candle in merge(minutes, parse_interval(interval))]


def test_json_holds_the_same_values_as_csv(pipeline: Pipeline) -> None:
    as_csv = pipeline.done("candles", "BTCUSDT", "2020-03-25", "--format", "csv").rows
    as_json = json.loads(pipeline.done("candles", "BTCUSDT", "2020-03-25", "--format", "json").out)
    assert {record.pop("confirmed") for record in as_json} == {None}
    assert {row.pop("confirmed") for row in as_csv} == {""}
    assert [{name: str(value) for name, value in record.items()} for record in as_json] == as_csv


def test_ticks_stream_in_matching_order(pipeline: Pipeline, real_day: DayTrades) -> None:
    rows = pipeline.done("trades", "BTCUSDT", "2020-03-25", "--format", "csv").rows
    assert rows == [
        {
            "time": iso(trade.time_us),
            "symbol": "BTCUSDT",
            "side": str(trade.taker_side),
            "price": plain(trade.price),
            "size": plain(trade.size),
            "trade_id": trade.trade_id,
            "block_trade": "",  # a file of 2020 has neither flag
            "rpi": "",
        }
        for trade in real_day.trades
    ]


def test_sql_joins_ticks_candles_and_ingests(pipeline: Pipeline) -> None:
    query = """
        SELECT i.status, i.row_count, t.trades, t.volume, c.candles, c.turnover = t.turnover AS same_turnover
        FROM ingests i
        JOIN (SELECT symbol, date, count(*) AS trades, sum(size) AS volume, sum(price * size) AS turnover
              FROM trades WHERE date = DATE '2020-03-25' GROUP BY ALL) t USING (symbol, date)
        JOIN (SELECT symbol, CAST(open_time AS DATE) AS date, count(*) AS candles, sum(turnover) AS turnover
              FROM candles GROUP BY ALL) c USING (symbol, date)
    """
    assert pipeline.done("sql", query, "--format", "csv").rows == [
        {
            "status": "loaded",
            "row_count": "2693",
            "trades": "2693",
            "volume": "1809.52",
            "candles": "442",
            "same_turnover": "true",
        }
    ]


def test_an_error_in_a_query_keeps_its_line_and_caret(pipeline: Pipeline) -> None:
    outcome = pipeline.run("sql", "SELECT nothing FROM trades")
    assert outcome.code == 1
    assert outcome.err.startswith("error: Binder Error: ")
    line = "LINE 1: SELECT nothing FROM trades"
    assert f"\n{line}\n{' ' * line.index('nothing')}^" in outcome.err
    assert outcome.out == ""


def test_a_second_backfill_finds_nothing_to_do(pipeline: Pipeline) -> None:
    outcome = pipeline.done("backfill", "BTCUSDT", "2020-03-25")
    assert "Nothing is missing of BTCUSDT from 2020-03-25 to 2020-03-25." in outcome.err
    assert outcome.out == ""


def test_a_corrupt_day_fails_alone_and_empty_days_are_told(pipeline: Pipeline) -> None:
    outcome = pipeline.run("backfill", "BTCUSDT", "2020-03-25", "2020-03-31")
    assert outcome.code == 1
    assert "failed: 2020-03-26: gzip" in outcome.err
    rows = pipeline.done("sql", "SELECT date, status FROM ingests ORDER BY date", "--format", "csv").rows
    assert rows == [
        {"date": "2020-03-25", "status": "loaded"},
        {"date": "2020-03-26", "status": "failed"},
        {"date": "2020-03-27", "status": "no_trades"},  # a header and no rows
        {"date": "2020-03-28", "status": "no_trades"},  # long gone and never published
        {"date": "2020-03-29", "status": "no_trades"},
        {"date": "2020-03-30", "status": "no_trades"},
        {"date": "2020-03-31", "status": "loaded"},  # one row; two are quarantined
    ]
    assert len(pipeline.done("candles", "BTCUSDT", "2020-03-25", "2020-03-31", "--format", "csv").rows) == 443


def test_a_failed_day_is_computed_again_only_when_requested_or_revised(pipeline: Pipeline) -> None:
    query = "SELECT batch_id FROM ingests WHERE date = DATE '2020-03-26'"
    before = pipeline.done("sql", query, "--format", "csv").rows
    outcome = pipeline.run("backfill", "BTCUSDT", "2020-03-25", "2020-03-31")
    assert outcome.code == 1
    assert "still failed, file unchanged, not computed again: 2020-03-26: gzip" in outcome.err
    assert pipeline.done("sql", query, "--format", "csv").rows == before
    outcome = pipeline.run("backfill", "BTCUSDT", "2020-03-26", "--again")
    assert "\nfailed: 2020-03-26: gzip" in outcome.err
    assert pipeline.done("sql", query, "--format", "csv").rows != before


def test_a_day_that_cannot_be_fetched_keeps_no_other_from_loading(pipeline: Pipeline, archive: Path) -> None:
    rows = gzip.decompress(REAL_FILE.read_bytes()).replace(b"BTCUSDT", b"LTCUSDT")
    (archive / "LTCUSDT2020-03-25.csv.gz").write_bytes(gzip.compress(rows))
    shutil.copy(REAL_FILE, archive / "LTCUSDT2020-03-26.csv.gz")
    set_fault(pipeline, {"fault": "status", "code": 500, "path": "/trading/LTCUSDT/LTCUSDT2020-03-26"})
    try:
        outcome = pipeline.run("backfill", "LTCUSDT", "2020-03-25", "2020-03-26")
    finally:
        set_fault(pipeline, None)
    assert outcome.code == 1
    assert "not fetched: 2020-03-26: fetch_archive answers 503: the exchange answers 500" in outcome.err
    query = "SELECT date, row_count, quarantined FROM ingests WHERE symbol = 'LTCUSDT'"
    assert pipeline.done("sql", query, "--format", "csv").rows == [
        {"date": "2020-03-25", "row_count": "2693", "quarantined": "0"}
    ]


def test_a_revised_file_is_loaded_again_when_asked(pipeline: Pipeline, archive: Path) -> None:
    pipeline.done("backfill", "BTCUSDT", "2020-03-31")
    (archive / REVISED).write_bytes(gzip.compress(mostly_other_days_rows()[0]))
    assert "Nothing is missing" in pipeline.done("backfill", "BTCUSDT", "2020-03-31").err
    query = "SELECT status, quarantined FROM ingests WHERE date = DATE '2020-03-31'"
    assert pipeline.done("sql", query, "--format", "csv").rows == [{"status": "loaded", "quarantined": "2"}]
    pipeline.done("backfill", "BTCUSDT", "2020-03-31", "--again")
    assert pipeline.done("sql", query, "--format", "csv").rows == [{"status": "no_trades", "quarantined": ""}]


def test_again_computes_nothing_of_unchanged_days(pipeline: Pipeline) -> None:
    query = "SELECT symbol, date, batch_id FROM ingests ORDER BY ALL"
    before = pipeline.done("sql", query, "--format", "csv").rows
    outcome = pipeline.done("backfill", "BTCUSDT", "2020-03-25", "2020-03-25", "--again")
    assert "computing candles" not in outcome.err
    assert pipeline.done("sql", query, "--format", "csv").rows == before


def set_fault(pipeline: Pipeline, fault: dict[str, object] | None) -> None:
    """Make the simulated exchange misbehave, or with None behave again."""
    address = f"{read_env_file(pipeline.home / 'env')['BYBIT_ARCHIVE_URL']}/control/faults"
    answer = requests.post(address, json=fault, timeout=10) if fault else requests.delete(address, timeout=10)
    answer.raise_for_status()


def test_an_unknown_symbol_is_told(pipeline: Pipeline) -> None:
    outcome = pipeline.run("backfill", "NOSUCHUSDT", "2020-03-25")
    assert outcome.code == 1
    assert "the exchange's archive has no symbol NOSUCHUSDT" in outcome.err


def test_a_day_that_is_not_over_is_not_published_yet(pipeline: Pipeline) -> None:
    today = dt.datetime.now(dt.UTC).date().isoformat()
    outcome = pipeline.done("backfill", "BTCUSDT", today)
    assert f"not published yet: {today}" in outcome.err


def test_status_names_every_service(pipeline: Pipeline) -> None:
    status = pipeline.status()
    assert status["up"] is True
    expected = {
        *("metadata", "gcs", "bigquery", "exchange", "fetch_archive", "dataproc"),
        *("kafka", "postgres", "producer", "jobmanager", "taskmanager", "candles_job"),
        *("publish_live", "archive_live", "schedule", "dashboard"),
        *(("pubsub",) if installed_emulator() else ()),
    }
    assert {item["name"] for item in status["services"] if item["works"] and item["state"] == "RUNNING"} == expected
    listening = [item["address"] for item in status["services"] if item["name"] != "schedule"]
    assert all("127.0.0.1:" in address for address in listening)


def test_a_second_up_says_so_and_other_options_are_refused(pipeline: Pipeline, played: Played) -> None:
    again = pipeline.done(*played.up)
    assert "is up already" in again.err
    other = pipeline.run("up")
    assert other.code == 1
    assert "run `pipeline down` first" in other.err


def test_an_interrupt_ends_a_backfill_that_waits_for_the_exchange(pipeline: Pipeline, archive: Path) -> None:
    # This test is the last of the file, since the function itself keeps the ban for a minute.
    for day in ("2020-04-01", "2020-04-02"):
        shutil.copy(REAL_FILE, archive / f"BTCUSDT{day}.csv.gz")
    set_fault(pipeline, {"fault": "ban", "seconds": 300})
    try:
        process = pipeline.start("backfill", "BTCUSDT", "2020-04-01", "2020-04-02")
        assert process.stderr is not None
        assert any("the exchange demands a pause" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[1]
    finally:
        set_fault(pipeline, None)
    assert process.returncode == 130
    assert "error: interrupted; the same command continues where it stopped" in rest
