"""The description, the manifest and the id of a Dataproc batch, the same for the DAGs and for the command line.

Part of the core; any module may import it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from bitcoin_pipeline.ingests import BatchDays, Fetched, Recorded, SymbolDay, parse_symbol_day
from bitcoin_pipeline.names import batch_id, staging_object

RUNTIME_VERSION: Final = "2.3"
"""Runtime of Dataproc Serverless: the LTS release of Spark 3.5 and Scala 2.13, supported to November 2027."""

BATCH_TTL: Final = dt.timedelta(hours=2)
"""Time after which Dataproc ends a batch as failed; a batch of 1,500 symbol-days takes some minutes.

A batch that hangs is paid for until then, and a command waits for it.
"""

EXECUTORS: Final = (2, 5)
"""Fewest and most executors of a batch: Dataproc's floor, and 24 vCPUs with the driver."""

_EXECUTOR_CORES = 4
_CPU_SECONDS_A_DAY = 4  # measured: 2.6 to 3.6 for 2 million rows, without the lake's delay
_SECONDS = 300  # of the tasks of a batch


@dataclass(frozen=True, slots=True)
class CandlesJob:
    """The candles job's artifacts, and the project and the buckets that it works on.

    `main_uri`, `file_uris`: gs:// objects. `lake`, `staging`: buckets; temporary objects are in the second,
    which has no soft delete. `service_account`, `subnetwork`: empty for the default. `location`: of BigQuery's dataset,
    such as EU. `rejected_share`, `rejected_rows`: the rejected rows that a file in a known form may have; None for
    the default of the job.
    """

    project: str
    lake: str
    main_uri: str
    file_uris: tuple[str, ...]
    service_account: str = ""
    subnetwork: str = ""
    _: KW_ONLY
    staging: str
    location: str
    rejected_share: float | None = None
    rejected_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The work of one batch.

    `load`: the days whose raw files it loads, each with the version of its file (`Fetched.version`). `no_trades`: the
    days that it records as such.
    """

    load: Mapping[SymbolDay, str]
    no_trades: Iterable[SymbolDay] = ()


def manifest_of(items: BatchDays, fetched: Mapping[SymbolDay, Fetched]) -> Manifest:
    """The manifest of the batch that gets `items`, by the answers of `fetch_archive`."""
    return Manifest({item: fetched[item].version for item in items.load}, items.no_trades)


def manifest_object(batch_id: str) -> str:
    """The name of a batch's manifest in the staging bucket, where it must be before the batch is created."""
    return staging_object(batch_id, "manifest.json")


def manifest_json(manifest: Manifest) -> bytes:
    """The content of the manifest's object: `{"load": {"BTCUSDT:2024-01-01": VERSION}, "no_trades": [...]}`."""
    load = {str(item): version for item, version in manifest.load.items()}
    return json.dumps({"load": load, "no_trades": [str(item) for item in manifest.no_trades]}).encode()


def parse_manifest(content: bytes) -> Manifest:
    """The inverse of `manifest_json`. Raises ValueError for anything else, and for a manifest without any day."""
    try:
        fields = json.loads(content)
        load = {parse_symbol_day(item): str(version) for item, version in fields["load"].items()}
        no_trades = [parse_symbol_day(item) for item in fields["no_trades"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a manifest has the fields load and no_trades, got {content[:200]!r}") from error
    if not load and not no_trades:
        raise ValueError("a manifest names at least one day")
    return Manifest(load, tuple(no_trades))


def spark_properties(days: int) -> dict[str, str]:
    """Properties of a batch that loads that number of days: its size is fixed, the smallest that takes 5 minutes.

    Cores are 4, 8 or 16; memory and its overhead together are 1024m to 7424m a core, and executors are 2 at least
    (cloud.google.com/dataproc-serverless/docs/concepts/properties).
    """
    fewest, most = EXECUTORS
    executors = max(fewest, min(most, math.ceil(days * _CPU_SECONDS_A_DAY / _SECONDS / _EXECUTOR_CORES)))
    return {
        # All tasks are there from the start, so an allocation that grows in steps only wastes time.
        "spark.dynamicAllocation.enabled": "false",
        "spark.executor.instances": str(executors),
        "spark.executor.cores": str(_EXECUTOR_CORES),
        # The JVM passes on rows of `ingests`. The overhead is the workers': 510 MiB for a day of 2 million rows, so
        # four days of 8 million at once, and one of 30 million that is tried alone.
        "spark.executor.memory": "1g",
        "spark.executor.memoryOverhead": "9g",
        # The fewest cores and the least memory; the driver holds some thousand rows of `ingests`.
        "spark.driver.cores": "4",
        "spark.driver.memory": "2g",
        "spark.driver.memoryOverhead": "2g",
        # A day that ends its executor is tried alone and ends it twice. The default of twice the executors would end
        # the batch after two such days.
        "spark.executor.maxNumFailures": "100",
    }


def candles_batch(job: CandlesJob, batch_id: str, days: int) -> dict[str, Any]:
    """The batch (google.cloud.dataproc.v1.Batch as a mapping) that does the work of the manifest of that id.

    `days`: number of days that it loads.
    """
    limit = {"rejected-share": job.rejected_share, "rejected-rows": job.rejected_rows}
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
                f"--manifest=gs://{job.staging}/{manifest_object(batch_id)}",
                *(f"--{name}={value}" for name, value in limit.items() if value is not None),
            ],
        },
        "runtime_config": {"version": RUNTIME_VERSION, "properties": spark_properties(days)},
        "environment_config": {
            "execution_config": {"ttl": BATCH_TTL, **{key: value for key, value in execution.items() if value}}
        },
    }


def candles_batch_id(
    items: BatchDays, fetched: Mapping[SymbolDay, Fetched], known: Mapping[SymbolDay, Recorded], attempt: int
) -> str:
    """`candles-20240101-0123456789abcdef-1`: the name of a batch's work, and the number of the try."""
    return id_of_try(work_name(items, fetched, known), attempt)


def id_of_try(work: str, attempt: int) -> str:
    """The id of a batch by the name of its work and the number of the try, counted from 1."""
    return batch_id("candles", f"{work}-{attempt}")


def work_name(items: BatchDays, fetched: Mapping[SymbolDay, Fetched], known: Mapping[SymbolDay, Recorded]) -> str:
    """`20240101-0123456789abcdef`: the first day of a batch, and a digest of its work.

    The work is the days with the versions of their files, and the batches whose rows of `ingests` it replaces. The same
    work therefore has the same name, and its tries the same ids, in every run of a command or a DAG, and Dataproc
    accepts an id only once.
    """
    lines = [
        f"{kind} {item} {fetched[item].version} {known[item].batch_id if item in known else ''}"
        for kind, of_kind in (("load", items.load), ("no_trades", items.no_trades))
        for item in of_kind
    ]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    first = min(item.day for item in items.of_batch)
    return f"{first.isoformat().replace('-', '')}-{digest}"
