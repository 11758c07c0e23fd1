"""The table and the remarks of a backfill's summary."""

from __future__ import annotations

import datetime as dt

from bitcoin_pipeline.ingests import Ingest, IngestStatus, Recorded, SymbolDay
from bitcoin_pipeline.summary import Summary


def day(number: int, symbol: str = "BTCUSDT") -> SymbolDay:
    return SymbolDay(symbol, dt.date(2024, 1, number))


def ingest(item: SymbolDay, status: IngestStatus, reason: str = "", rows: int = 0) -> Ingest:
    return Ingest(item, Recorded(status), reason, rows, 0, 0, 0)


def test_every_planned_day_is_counted_once_and_what_is_not_loaded_is_named() -> None:
    summary = Summary(
        planned=[day(number) for number in range(1, 7)],
        not_fetched={day(3): "the exchange answers 500"},
        not_published=[day(4)],
        unchanged=[day(5)],
        still_failed=[ingest(day(6), IngestStatus.FAILED, "gzip")],
        ingests=[ingest(day(1), IngestStatus.LOADED, rows=7), ingest(day(2), IngestStatus.FAILED, "no header")],
        candles=3,
    )
    counts = dict(summary.rows())
    assert counts["days planned"] == sum(
        counts[f"days {state}"]
        for state in (*("loaded", "without trades", "unchanged", "not published yet", "not fetched", "failed"),)
    )
    assert (counts["days failed"], counts["trades"], counts["candles"]) == (2, 7, 3)
    assert summary.remarks() == [
        "not published yet: 2024-01-04",
        "not fetched: 2024-01-03: the exchange answers 500",
        "failed: 2024-01-02: no header",
        "still failed, file unchanged, not computed again: 2024-01-06: gzip",
    ]
    assert not summary.is_whole


def test_days_of_several_symbols_are_named_with_their_symbol() -> None:
    items = [day(1), day(1, "ETHUSDT")]
    summary = Summary(planned=items, not_published=items)
    assert summary.remarks() == ["not published yet: BTCUSDT 2024-01-01", "not published yet: ETHUSDT 2024-01-01"]
    assert summary.is_whole
