"""The candles batch: archive files of the lake become sorted Parquet trades, and candles in BigQuery.

A Dataproc batch runs this file. Each Spark task is one symbol-day, whose candles and objects it writes to the staging
bucket. Only its row of `ingests` and its gaps return to the driver, which publishes all days in one transaction and
then moves the objects. Every step replaces the results of an earlier run, so a killed run may be repeated.
"""

from __future__ import annotations

import argparse
import platform
import time
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyspark
from google.cloud import bigquery, storage  # type: ignore[attr-defined]  # a namespace package
from pyarrow import fs
from pyspark.sql import SparkSession

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.batches import Manifest, parse_manifest
from bitcoin_pipeline.bybit.rejected_rows import RejectionLimit
from bitcoin_pipeline.ingests import IngestStatus
from candles_batch.finishing import delete_folder, finish
from candles_batch.passes import load_days
from candles_batch.publication import publish
from candles_batch.task import Row, empty_day, load_day

_COUNTS: Final = ("row_count", "duplicates", "quarantined", "zero_size_rows", "unplaced_rows")
_VERSIONS: Final = {
    "spark": pyspark.__version__,
    "python": platform.python_version(),
    "pyarrow": pa.__version__,
    "bigquery_client": bigquery.__version__,
    "storage_client": storage.__version__,
}


def main() -> None:
    """Loads the days that the manifest names, and records the days without trades."""
    options = _options()
    started = time.monotonic()
    manifest = _manifest(options.manifest)
    load, no_trades = sorted(manifest.load), sorted(set(manifest.no_trades) - manifest.load.keys())
    counts = {"days": len(load), "no_trades": len(no_trades)}
    log("INFO", "batch started", batch_id=options.batch_id, **counts, **_VERSIONS)
    spark = SparkSession.builder.appName("candles").getOrCreate()
    staging = options.manifest.removeprefix("gs://").rpartition("/")[0]
    limit = RejectionLimit(options.rejected_share, options.rejected_rows)
    outcomes = load_days(spark.sparkContext, load, partial(load_day, lake=options.lake, staging=staging, limit=limit))
    outcomes += [empty_day(item) for item in no_trades]
    figures = _figures([outcome.ingest for outcome in outcomes])
    log("INFO", "days read", batch_id=options.batch_id, seconds=_since(started), **figures)
    warehouse = bigquery.Client(options.project, location=options.location)
    publish(warehouse, options.batch_id, outcomes)
    log("INFO", "days published", batch_id=options.batch_id, seconds=_since(started))
    files = storage.Client(options.project)
    finish(warehouse, files.bucket(options.lake), options.batch_id, outcomes)
    delete_folder(files, staging)
    count = sum(outcome.candle_count for outcome in outcomes)
    log("INFO", "batch finished", batch_id=options.batch_id, candles=count, seconds=_since(started))
    spark.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="candles", description=__doc__)
    parser.add_argument("--project", required=True)
    parser.add_argument("--lake", required=True, help="bucket")
    parser.add_argument("--location", required=True, help="of BigQuery's dataset, such as EU")
    parser.add_argument("--batch-id", required=True)
    parser.add_argument("--manifest", required=True, help="gs:// object with the days; temporary objects lie beside it")
    limit = RejectionLimit()
    parser.add_argument(
        "--rejected-share",
        type=float,
        default=limit.share,
        help="share of rejected rows above which a file is in an unknown form, and its day fails",
    )
    parser.add_argument(
        "--rejected-rows",
        type=int,
        default=limit.rows,
        help="number of rows up to which a file may have any share of rejected rows, as long as one row is a trade",
    )
    return parser.parse_args()


def _manifest(uri: str) -> Manifest:
    with fs.GcsFileSystem().open_input_stream(uri.removeprefix("gs://"), compression=None) as stream:
        return parse_manifest(stream.read())


def _figures(ingests: list[Row]) -> dict[str, Any]:
    by_status = {status.value: sum(ingest["status"] == status.value for ingest in ingests) for status in IngestStatus}
    sums = {key: sum(ingest.get(key, 0) for ingest in ingests) for key in _COUNTS}
    return {**by_status, **sums}


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)


if __name__ == "__main__":
    main()
