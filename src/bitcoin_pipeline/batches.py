"""The description of a Dataproc batch, the same for the DAGs' operator and for the command line.

Part of the core; any module may import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from bitcoin_pipeline.ingests import SymbolDay

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
