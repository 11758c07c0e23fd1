"""The work of one batch, as tasks pass it to each other, and the summary of works. Imported by tasks and operator.

A work is a JSON object: its name, its manifest, the days that were planned and what happens to those that are not in
the manifest. The work of 1,500 symbol-days has some 200 KB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bitcoin_pipeline.batches import Manifest, manifest_json, manifest_of, parse_manifest, work_name
from bitcoin_pipeline.ingests import (
    BatchDays,
    Fetched,
    Ingest,
    IngestStatus,
    SymbolDay,
    batch_days,
    parse_symbol_day,
)

Work = dict[str, Any]


def work_of(
    fetched: Mapping[SymbolDay, Fetched],
    rows: Mapping[SymbolDay, Ingest],
    not_fetched: Mapping[SymbolDay, str],
    *,
    again: bool = False,
) -> Work:
    """The work that follows from the answers of `fetch_archive` and the rows of `ingests`.

    Raises UnknownSymbolError when an answer is `unknown_symbol`.
    """
    known = {item: row.recorded for item, row in rows.items()}
    days = batch_days(fetched, known, again=again)
    return {
        "name": work_name(days, fetched, known) if days.of_batch else "",
        "manifest": json.loads(manifest_json(manifest_of(days, fetched))),
        "planned": [str(item) for item in sorted({*fetched, *not_fetched})],
        "not_fetched": {str(item): reason for item, reason in not_fetched.items()},
        "not_published": [str(item) for item in days.not_published],
        "unchanged": [str(item) for item in days.unchanged],
        "still_failed": [str(item) for item in days.still_failed],
        "revised": _revised(days, fetched, rows),
    }


def _revised(
    days: BatchDays, fetched: Mapping[SymbolDay, Fetched], rows: Mapping[SymbolDay, Ingest]
) -> list[dict[str, str]]:
    """The days of the batch that are loaded already, with the versions of both files."""
    loaded = (item for item in days.load if item in rows and rows[item].status is IngestStatus.LOADED)
    return [
        {
            "symbol": item.symbol,
            "date": item.day.isoformat(),
            "etag": fetched[item].etag,
            "sha256": fetched[item].sha256,
            "earlier_etag": rows[item].recorded.etag,
            "earlier_sha256": rows[item].recorded.sha256,
        }
        for item in loaded
    ]


def manifest_in(work: Work) -> Manifest:
    """The manifest of a work that has any day to compute."""
    return parse_manifest(json.dumps(work["manifest"]).encode())


def days_in(work: Work) -> list[SymbolDay]:
    """The days that the batch of a work gets."""
    return sorted(map(parse_symbol_day, [*work["manifest"]["load"], *work["manifest"]["no_trades"]]))
