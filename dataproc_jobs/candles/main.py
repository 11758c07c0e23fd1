"""The candles batch: archive files of the lake become sorted Parquet trades, and candles in BigQuery.

A Dataproc batch runs this file. Each Spark task is one symbol-day; only its candles and its row of `ingests` return to
the driver, which publishes all days in one transaction. Every step replaces the results of an earlier run, so a run may
be killed at any point and repeated.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any, Final

import pyarrow as pa
from google.cloud import bigquery
from pyarrow import fs
from pyspark.sql import SparkSession

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.batches import Manifest, parse_manifest
from bitcoin_pipeline.bybit.rejected_rows import RejectionLimit
from bitcoin_pipeline.ingests import IngestStatus
from candles_batch import candles
from candles_batch.publication import publish
from candles_batch.task import Outcome, Row, clear_day, load_day

_COUNTS: Final = ("row_count", "duplicates", "quarantined", "zero_size_rows", "unplaced_rows")


def main() -> None:
    """Loads the days that the manifest names, and records the days without trades."""
    options = _options()
    manifest = _manifest(options.manifest)
    load = sorted(manifest.load)
    no_trades = sorted(set(manifest.no_trades) - set(load))
    started = time.monotonic()
    log("INFO", "batch started", batch_id=options.batch_id, days=len(load), no_trades=len(no_trades))
    spark = SparkSession.builder.appName("candles").getOrCreate()
    tasks = spark.sparkContext.parallelize(load, max(len(load), 1))
    limit = RejectionLimit(options.rejected_share, options.rejected_rows)
    outcomes: list[Outcome] = tasks.map(partial(load_day, lake=options.lake, limit=limit)).collect()
    outcomes += [clear_day(item, options.lake) for item in no_trades]
    ingests = [outcome.ingest for outcome in outcomes]
    tables = (outcome.candles for outcome in outcomes if outcome.candles is not None)
    loaded = pa.concat_tables([candles.schema().empty_table(), *tables])
    log("INFO", "days read", batch_id=options.batch_id, seconds=_since(started), **_figures(ingests))
    warehouse = bigquery.Client(options.project, location=options.location)
    gaps = [gap for outcome in outcomes for gap in outcome.gaps]
    folder = options.manifest.removeprefix("gs://").rpartition("/")[0]
    publish(warehouse, folder, options.batch_id, ingests, loaded, gaps)
    log("INFO", "batch finished", batch_id=options.batch_id, candles=loaded.num_rows, seconds=_since(started))
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
