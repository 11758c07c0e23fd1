"""The batches of the batch API in one SQLite file, which outlives the process. No rules: those are in batches.py.

Imported by batches.py, which holds its lock around every call.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

from google.cloud import dataproc_v1 as dataproc

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS batches (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of acceptance
  name TEXT NOT NULL,
  batch_id TEXT NOT NULL,                   -- the last part of the name, and the name of the batch's folder
  operation TEXT NOT NULL UNIQUE,
  request_id TEXT UNIQUE,
  state INTEGER NOT NULL,
  deleted INTEGER NOT NULL DEFAULT 0,       -- the operation and request_id of a deleted batch remain
  batch BLOB NOT NULL                       -- google.cloud.dataproc.v1.Batch
);
CREATE UNIQUE INDEX IF NOT EXISTS one_of_an_id ON batches (batch_id) WHERE NOT deleted;
"""


class BatchStore:
    """The table of batches in `file`; each change is on disk before its method returns."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._database.executescript(_TABLE)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, batch: dataproc.Batch, batch_id: str, request_id: str | None) -> None:
        """Store a new batch after all others."""
        self._database.execute(
            "INSERT INTO batches (name, batch_id, operation, request_id, state, batch) VALUES (?, ?, ?, ?, ?, ?)",
            (batch.name, batch_id, batch.operation, request_id, batch.state, dataproc.Batch.serialize(batch)),
        )

    def replace(self, batch: dataproc.Batch) -> None:
        """Store a batch in place of its earlier state."""
        self._database.execute(
            "UPDATE batches SET state = ?, batch = ? WHERE operation = ?",
            (batch.state, dataproc.Batch.serialize(batch), batch.operation),
        )

    def delete(self, batch: dataproc.Batch) -> None:
        """Mark a batch as deleted; it can be found by its operation only."""
        self._database.execute("UPDATE batches SET deleted = 1 WHERE operation = ?", (batch.operation,))

    def named(self, name: str) -> dataproc.Batch | None:
        """The batch of that name unless it is deleted."""
        return self._one("SELECT batch FROM batches WHERE name = ? AND NOT deleted", name)

    def with_id(self, batch_id: str) -> dataproc.Batch | None:
        """The batch of that id, in any location, unless it is deleted."""
        return self._one("SELECT batch FROM batches WHERE batch_id = ? AND NOT deleted", batch_id)

    def of_request(self, request_id: str) -> dataproc.Batch | None:
        """The batch that was created by that request, deleted or not."""
        return self._one("SELECT batch FROM batches WHERE request_id = ?", request_id)

    def of_operation(self, operation: str) -> dataproc.Batch | None:
        """The batch of that operation, deleted or not."""
        return self._one("SELECT batch FROM batches WHERE operation = ?", operation)

    def in_state(self, *states: int) -> list[dataproc.Batch]:
        """The batches in any of these states, in the order of their acceptance."""
        marks = ", ".join("?" * len(states))
        query = f"SELECT batch FROM batches WHERE NOT deleted AND state IN ({marks}) ORDER BY number"  # noqa: S608  # marks
        return [_parsed(row[0]) for row in self._database.execute(query, states)]

    def newest(
        self, prefix: str, before: int | None, state: int | None, limit: int
    ) -> list[tuple[int, dataproc.Batch]]:
        """The numbers and batches whose names begin with `prefix`, the newest first.

        `before`: batches with lower numbers only, `state`: those in this state only; None for all.
        """
        rows = self._database.execute(
            "SELECT number, batch FROM batches WHERE NOT deleted AND substr(name, 1, ?) = ?"
            " AND (? IS NULL OR number < ?) AND (? IS NULL OR state = ?) ORDER BY number DESC LIMIT ?",
            (len(prefix), prefix, before, before, state, state, limit),
        )
        return [(number, _parsed(batch)) for number, batch in rows]

    def _one(self, query: str, value: str) -> dataproc.Batch | None:
        row: tuple[Any, ...] | None = self._database.execute(query, (value,)).fetchone()
        return None if row is None else _parsed(row[0])


def _parsed(batch: bytes) -> dataproc.Batch:
    parsed: dataproc.Batch = dataproc.Batch.deserialize(batch)
    return parsed
