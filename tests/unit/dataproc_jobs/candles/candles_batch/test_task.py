"""One symbol-day of the batch on a folder as the lake: what is written, what stays, and what only that day fails."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from bitcoin_pipeline import names
from bitcoin_pipeline.bybit.archive import FileCheck
from bitcoin_pipeline.bybit.rejected_rows import RejectionLimit
from bitcoin_pipeline.ingests import SymbolDay
from candles_batch import task
from candles_batch.task import Outcome, load_day
from tests.support.small_files import DAY, START, file, row

ITEM = SymbolDay("BTCUSDT", DAY)
RAW, TRADES, QUARANTINE = (
    name(ITEM.symbol, ITEM.day) for name in (names.raw_object, names.trades_object, names.quarantine_object)
)
GOOD = file(*(row(number, time=f"{START + 60 * number}") for number in range(3)))
SIDES_IN_CAPITALS = GOOD.replace(b"Buy", b"BUY")


class Lake:
    """Buckets on the disk; `fs.GcsFileSystem` of the job is replaced by them."""

    def __init__(self, buckets: Path) -> None:
        self.buckets, self.folder = buckets, buckets / "lake"
        (self.folder / RAW).parent.mkdir(parents=True)
        (buckets / "staging").mkdir()

    def load(self, content: bytes, limit: RejectionLimit | None = None) -> Outcome:
        """The outcome of the day with this raw file, as it arrives at the driver."""
        (self.folder / RAW).write_bytes(content)
        outcome = load_day(ITEM, "lake", "staging", limit or RejectionLimit())
        arrived: Outcome = pickle.loads(pickle.dumps(outcome))  # noqa: S301
        return arrived

    def candles(self, outcome: Outcome) -> pa.Table:
        """The staged candles of a day."""
        table = pq.read_table(self.buckets / outcome.candles)
        assert table.num_rows == outcome.candle_count
        return table

    def quarantine(self, outcome: Outcome) -> list[tuple[int, str]]:
        """The row and the reason of each line of the staged quarantine of a day."""
        lines = (self.buckets / outcome.objects[QUARANTINE]).read_text("utf-8").splitlines()
        return [(line["row"], line["reason"]) for line in map(json.loads, lines)]

    def objects(self) -> list[str]:
        """The objects of the lake."""
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    local = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(fs, "GcsFileSystem", lambda: local)
    return Lake(tmp_path)


def test_a_day_is_staged_and_the_lake_stays_as_it_is(lake: Lake) -> None:
    outcome = lake.load(GOOD)
    assert (outcome.ingest["status"], outcome.gaps, outcome.candle_count) == ("loaded", (), 3)
    assert lake.candles(outcome)["close"].to_pylist() == [Decimal("100.5")] * 3
    prefix = f"staging/BTCUSDT-2024-05-06-{hashlib.sha256(GOOD).hexdigest()[:16]}"
    assert (outcome.candles, outcome.objects) == (
        f"{prefix}-candles.parquet",
        {TRADES: f"{prefix}-trades.parquet", QUARANTINE: ""},
    )
    assert pq.read_table(lake.buckets / outcome.objects[TRADES]).num_rows == 3
    assert lake.objects() == [RAW]


@pytest.mark.parametrize("content", [b"", file()], ids=["nothing", "header"])
def test_a_file_without_rows_removes_what_an_earlier_load_left(lake: Lake, content: bytes) -> None:
    outcome = lake.load(content)
    assert (outcome.ingest["status"], outcome.ingest["bytes"]) == ("no_trades", len(content))
    assert (outcome.candles, outcome.objects) == ("", {TRADES: "", QUARANTINE: ""})
    assert outcome.objects == task.empty_day(ITEM).objects


def test_two_versions_of_a_file_are_staged_beside_each_other(lake: Lake) -> None:
    first, second = lake.load(GOOD), lake.load(GOOD.replace(b"100.5", b"101.5"))
    assert [lake.candles(each)["close"].to_pylist()[0] for each in (first, second)] == [
        Decimal("100.5"),
        Decimal("101.5"),
    ]


def test_a_revision_in_an_unknown_form_fails_and_changes_only_the_quarantine(lake: Lake) -> None:
    outcome = lake.load(SIDES_IN_CAPITALS)
    assert (outcome.candles, outcome.gaps, list(outcome.objects)) == ("", (), [QUARANTINE])
    assert outcome.ingest == {
        "symbol": "BTCUSDT",
        "date": "2024-05-06",
        "status": "failed",
        "reason": f"3 of 3 rows: unknown_side: 'BUY', as in row 0: '{row(0, time=f'{START}', side='BUY')}'",
        "bytes": len(SIDES_IN_CAPITALS),
        "sha256": hashlib.sha256(SIDES_IN_CAPITALS).hexdigest(),
        "etag": None,
        "row_count": 3,
        "duplicates": 0,
        "quarantined": 3,
        "zero_size_rows": 0,
        "unplaced_rows": 0,
        "size_sum": "0",
    }
    assert lake.quarantine(outcome) == [(number, "unknown_side") for number in range(3)]


def test_the_share_of_rejected_rows_is_a_setting(lake: Lake) -> None:
    rows = [row(number, side="Bid" if number < 2 else "Buy") for number in range(150)]
    assert lake.load(file(*rows)).ingest["reason"].startswith("2 of 150 rows: unknown_side: 'Bid'")
    assert lake.load(file(*rows), RejectionLimit(share=0.02)).ingest["status"] == "loaded"
    assert lake.load(file(*rows), RejectionLimit(rows=150)).ingest["status"] == "loaded"


def test_rows_of_size_zero_are_counted_apart_and_kept(lake: Lake) -> None:
    outcome = lake.load(
        file(
            row(1, time=f"{START + 1}"),
            row(2, time=f"{START + 2}", size="0.0"),
            row(3, time=f"{START + 61}", size="0"),
            row(4, time=f"{START + 121}", size="-1"),
        )
    )
    counts = {name: outcome.ingest[name] for name in ("row_count", "quarantined", "zero_size_rows", "unplaced_rows")}
    assert counts == {"row_count": 4, "quarantined": 1, "zero_size_rows": 2, "unplaced_rows": 0}
    assert lake.quarantine(outcome) == [(1, "zero_size"), (2, "zero_size"), (3, "size_not_positive")]
    assert lake.candles(outcome)["status"].to_pylist() == ["final"]
    assert [gap["from_time"] for gap in outcome.gaps] == ["2024-05-06T00:02:00Z"]


def test_a_minute_of_rejected_rows_only_is_a_gap(lake: Lake) -> None:
    bad = (row(2, time=f"{START + 60}", side="Bid"), row(3, time=f"{START + 119.5}", price="x"))
    outcome = lake.load(file(row(1), *bad, row(4, time=f"{START + 120}"), row(5, time="x")))
    assert outcome.gaps == (
        {
            "symbol": "BTCUSDT",
            "source": "archive",
            "from_time": "2024-05-06T00:01:00Z",
            "to_time": "2024-05-06T00:02:00Z",
            "reason": "unknown_side",
        },
    )
    assert (outcome.ingest["quarantined"], outcome.ingest["unplaced_rows"]) == (3, 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x07",
            "gzip is broken: Error -3 while decompressing data: invalid block type",
        ),
        (
            gzip.compress(GOOD, mtime=0)[:-8] + bytes(8),
            "gzip is broken: Error -3 while decompressing data: incorrect data check",
        ),
        (
            gzip.compress(GOOD, mtime=0) + b"rubbish",
            "gzip is broken: Error -3 while decompressing data: incorrect header check",
        ),
        (gzip.compress(GOOD, mtime=0)[:-5], "gzip ends too early, after 117 bytes"),
    ],
    ids=["block", "checksum", "after the end", "cut"],
)
def test_a_broken_file_has_the_core_s_verdict_and_its_version(lake: Lake, content: bytes, reason: str) -> None:
    """The inflater of the job is a faster one than zlib, whose messages differ."""
    outcome = lake.load(content)
    judge = FileCheck()
    judge.feed(content)
    assert outcome.ingest["reason"] == judge.problem() == reason
    assert (outcome.ingest["bytes"], outcome.ingest["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("step", ["read_day", "unknown_form", "trades_parquet", "minute_candles", "gap_rows"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "MemoryError: "),
        (RuntimeError("a bug"), "RuntimeError: a bug"),
        (pa.ArrowInvalid("a bug in a column"), "ArrowInvalid: a bug in a column"),
    ],
    ids=["memory", "bug", "arrow"],
)
def test_an_unexpected_error_is_the_outcome_of_its_day(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception, reason: str
) -> None:
    monkeypatch.setattr(task, step, failing(error))
    outcome = lake.load(GOOD)
    assert (outcome.ingest["status"], outcome.ingest["reason"]) == ("failed", reason)
    assert outcome.ingest.keys().isdisjoint({"sha256", "etag"})  # so the planner loads the day again
    assert (outcome.candles, outcome.gaps, outcome.objects) == ("", (), {})


@pytest.mark.parametrize(
    "error",
    [
        OSError("the bucket does not answer"),
        pa.lib.ArrowCapacityError("google::cloud::Status(RESOURCE_EXHAUSTED: slow down)"),
        pa.ArrowException("Unknown error: google::cloud::Status(UNKNOWN: )"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("step", ["read_day", "write_object"])
def test_an_error_of_the_lake_is_raised(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    monkeypatch.setattr(task, step, failing(error))
    with pytest.raises(type(error)):
        lake.load(GOOD)


def test_an_unusable_file_has_its_version_and_an_absent_one_its_name(lake: Lake) -> None:
    content = b"\x1f\x8b" + bytes(3_000_000)
    ingest = lake.load(content).ingest
    assert ingest["reason"].startswith("gzip is broken")
    assert (ingest["bytes"], ingest["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    (lake.folder / RAW).unlink()
    absent = load_day(ITEM, "lake", "staging", RejectionLimit()).ingest
    assert absent["reason"] == f"no raw file: gs://lake/{RAW}"
