"""The candles job held to the conformance cases: the archive's file in, exact candles and trades out."""

from __future__ import annotations

import io

import pytest

from bitcoin_pipeline.bybit import archive
from bitcoin_pipeline.bybit.rejected_rows import RejectionLimit, unknown_form
from bitcoin_pipeline.candle import Source
from bitcoin_pipeline.times import iso
from candles_batch.candles import gap_rows, minute_candles
from candles_batch.parquet import trades_parquet
from candles_batch.reading import read_day
from tests.support.cases import Case, load_cases
from tests.support.job_results import candles_of, trades_of

CASES = load_cases("archive")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_archive_file_gives_the_exact_candles(case: Case) -> None:
    day = read_day([case.archive_gzip()], case.symbol, case.day)
    assert candles_of(minute_candles(day)) == case.expected_minutes(Source.ARCHIVE)
    assert day.duplicates == case.duplicates
    assert [(row.row, row.reason) for row in day.rejected] == list(case.rejected)
    assert [(row["from_time"], row["reason"]) for row in gap_rows(day)] == [
        (iso(time_us), reason) for time_us, reason in case.expected_lost_minutes().items()
    ]
    reason = unknown_form(day.rejected, day.rows, RejectionLimit())
    assert reason is None if not case.unknown_form else (reason or "").startswith(case.unknown_form)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_parquet_holds_the_trades_in_matching_order(case: Case) -> None:
    day = read_day([case.archive_gzip()], case.symbol, case.day)
    lines = io.StringIO(case.archive_text(), newline="\n")
    assert trades_of(trades_parquet(day), case.symbol) == archive.read_day(lines, case.symbol, case.day).trades
