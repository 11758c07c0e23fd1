"""The settings of programs that read or load the days of a deployed pipeline, equal for the command and for the DAGs.

Part of the core; any module may import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bitcoin_pipeline.batches import CandlesJob
from bitcoin_pipeline.pace import BYBIT_REQUESTS_PER_SECOND, MOST_REQUESTS_PER_SECOND
from bitcoin_pipeline.planning import CONCURRENT_FETCHES, DAYS_PER_BATCH
from bitcoin_pipeline.settings import setting, whole

PROJECT_VARIABLE: Final = "GOOGLE_CLOUD_PROJECT"


def _uris(text: str) -> tuple[str, ...]:
    return tuple(uri for uri in text.split(",") if uri)


@dataclass(frozen=True, slots=True)
class WarehouseSettings:
    """The project, and the addresses of its data."""

    project: str = setting(PROJECT_VARIABLE, "the Google Cloud project")
    region: str = setting("PIPELINE_REGION", "where batches run, such as europe-west1")
    lake: str = setting("PIPELINE_LAKE", "the lake's bucket")
    location: str = setting("BIGQUERY_LOCATION", "the location of the dataset market, such as EU")


@dataclass(frozen=True, slots=True)
class BackfillSettings(WarehouseSettings):
    """The function, the batch job and the limits of a program that loads days."""

    fetch_archive_url: str = setting("PIPELINE_FETCH_ARCHIVE_URL", "address of the function fetch_archive")
    staging: str = setting("PIPELINE_STAGING", "the bucket of temporary objects, which has no soft delete")
    candles_job: str = setting("PIPELINE_CANDLES_JOB", "gs:// address of the candles job's main.py")
    candles_job_files: tuple[str, ...] = setting(
        "PIPELINE_CANDLES_JOB_FILES", "gs:// addresses of its further files, comma-separated", _uris
    )
    rejected_share: float | None = setting(
        "PIPELINE_REJECTED_SHARE", "share of rejected rows above which a file fails", float, None
    )
    rejected_rows: int | None = setting(
        "PIPELINE_REJECTED_ROWS",
        "rows up to which a file may have any share of rejected rows",
        whole("rows", 10**9),
        None,
    )
    requests_per_second: int = setting(
        "PIPELINE_EXCHANGE_REQUESTS_PER_SECOND",
        "the rate of requests to Bybit's archive by all instances of fetch_archive",
        whole("requests", MOST_REQUESTS_PER_SECOND, 1),
        BYBIT_REQUESTS_PER_SECOND,
    )
    concurrent_fetches: int = setting(
        "PIPELINE_CONCURRENT_FETCHES", "concurrent calls of fetch_archive", whole("calls", 200, 1), CONCURRENT_FETCHES
    )
    days_per_batch: int = setting(
        "PIPELINE_DAYS_PER_BATCH", "symbol-days of one batch", whole("days", 2000, 1), DAYS_PER_BATCH
    )
    job_account: str = setting("PIPELINE_JOB_ACCOUNT", "service account of batches", default="")
    job_subnetwork: str = setting("PIPELINE_JOB_SUBNET", "subnetwork of batches", default="")

    def batch_job(self) -> CandlesJob:
        """The job of a batch."""
        return CandlesJob(
            project=self.project,
            lake=self.lake,
            staging=self.staging,
            location=self.location,
            rejected_share=self.rejected_share,
            rejected_rows=self.rejected_rows,
            main_uri=self.candles_job,
            file_uris=self.candles_job_files,
            service_account=self.job_account,
            subnetwork=self.job_subnetwork,
        )
