"""The description and the id of a Dataproc batch, the same for the DAGs' operator and for the command line.

Part of the core; any module may import it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from bitcoin_pipeline.ingests import BatchDays, Fetched, Recorded, SymbolDay
from bitcoin_pipeline.names import batch_id

RUNTIME_VERSION: Final = "2.3"
"""Runtime of Dataproc Serverless: the LTS release of Spark 3.5 and Scala 2.13, supported to November 2027."""

DAYS_PER_BATCH: Final = 120
"""Upper bound on the symbol-days of one batch: some minutes of work for the smallest batch, at 2 CPU-seconds a day."""


@dataclass(frozen=True, slots=True)
class CandlesJob:
    """The candles job's artifacts, and the project and the lake that it works on.

    `main_uri`, `file_uris`: gs:// objects. `lake`: bucket. `service_account`, `subnetwork`: empty for the default.
    `location`: of BigQuery's dataset, such as EU.
    """

    project: str
    lake: str
    main_uri: str
    file_uris: tuple[str, ...]
    service_account: str = ""
    subnetwork: str = ""
    _: KW_ONLY
    location: str


def candles_batch(
    job: CandlesJob, batch_id: str, load: Iterable[SymbolDay], no_trades: Iterable[SymbolDay] = ()
) -> dict[str, Any]:
    """The batch (google.cloud.dataproc.v1.Batch as a mapping) that loads days and records days without trades."""
    execution = {"service_account": job.service_account, "subnetwork_uri": job.subnetwork}
    return {
        "pyspark_batch": {
            "main_python_file_uri": job.main_uri,
            "python_file_uris": list(job.file_uris),
            "args": [
                f"--project={job.project}",
                f"--lake={job.lake}",
                f"--location={job.location}",
                f"--batch-id={batch_id}",
                *(f"--day={item}" for item in load),
                *(f"--no-trades={item}" for item in no_trades),
            ],
        },
        "runtime_config": {"version": RUNTIME_VERSION},
        "environment_config": {"execution_config": {key: value for key, value in execution.items() if value}},
    }


def candles_batch_id(
    items: BatchDays, fetched: Mapping[SymbolDay, Fetched], known: Mapping[SymbolDay, Recorded], attempt: int
) -> str:
    """`candles-20240101-0123456789abcdef-1`: the first day, a digest of the batch's work, and the number of the try.

    The work is the days with the versions of their files, and the batches whose rows of `ingests` it replaces. The same
    work therefore has the same id in every run of a command, and Dataproc accepts an id only once.
    """
    lines = [
        f"{kind} {item} {fetched[item].version} {known[item].batch_id if item in known else ''}"
        for kind, of_kind in (("load", items.load), ("no_trades", items.no_trades))
        for item in of_kind
    ]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    first = min(item.day for item in items.of_batch)
    return batch_id("candles", f"{first.isoformat().replace('-', '')}-{digest}-{attempt}")
