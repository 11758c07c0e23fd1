"""Starts the BigQuery emulator, in its own environment and with local-bigquery's own arguments.

An emulator that was killed leaves jobs in the state "running", for which a client would poll for ever. BigQuery ends
every job, so these are ended first, with an error after which a client may submit again. A transaction that loses a
conflict gets BigQuery's own message, by which clients recognise that they may repeat it. Two loads at the same moment
both succeed. No module imports this file.
"""

from __future__ import annotations

import argparse
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import uvicorn.config
from local_bigquery import cli, errors
from local_bigquery.jobs import load

_LOST = {"reason": "stopped", "message": "Job execution was cancelled: the emulator was restarted while it ran"}

_CONFLICT = re.compile("(?P<name>.*(?:[Ff]ailed to commit|[Cc]ould not serialize).*)")
"""Messages of DuckDB and DuckLake when a transaction has lost a conflict."""


def end_lost_jobs(data_dir: Path) -> int:
    """End the jobs that ran when the emulator of `data_dir` was killed; returns their number."""
    database = data_dir / "emulator.duckdb"
    if not database.exists():
        return 0
    patch = {
        "status": {"state": "DONE", "errorResult": _LOST, "errors": [_LOST]},
        "statistics": {"endTime": str(int(time.time() * 1000))},
    }
    with duckdb.connect(str(database)) as connection:
        ended = connection.execute(
            "UPDATE jobs SET state = 'DONE', resource = json_merge_patch(resource, ?::JSON) "
            "WHERE state <> 'DONE' RETURNING job_id",
            [json.dumps(patch)],
        ).fetchall()
    return len(ended)


def one_at_a_time(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, of which other threads wait for the end before they begin it."""
    lock = threading.Lock()

    def locked(*arguments: Any) -> Any:
        with lock:
            return call(*arguments)

    return locked


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data-dir", type=Path, required=True)
    end_lost_jobs(parser.parse_known_args()[0].data_dir)
    message = "Transaction is aborted due to concurrent update: {name}"
    errors.DUCKDB_ERRORS.insert(0, (_CONFLICT, "invalidQuery", message))
    # The first load creates DuckDB's secret for GCS; of two that create it at once, one would fail.
    load.paths = one_at_a_time(load.paths)
    # Access lines, several for each poll of a client, would hide the lines that matter.
    uvicorn.config.LOGGING_CONFIG["loggers"]["uvicorn.access"]["level"] = "WARNING"
    cli.main()
