"""The clients of the data commands, for Google Cloud or for a stack on this machine, as the environment has it.

Imported by the other modules of `local.command`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcoin_pipeline.batches import CandlesJob
from bitcoin_pipeline.pace import BYBIT_REQUESTS_PER_SECOND, MOST_REQUESTS_PER_SECOND
from bitcoin_pipeline.planning import CONCURRENT_FETCHES, DAYS_PER_BATCH
from bitcoin_pipeline.settings import SettingsError, read_settings, setting, whole
from local.command.id_tokens import IMPERSONATED_ACCOUNT_VARIABLE, IdTokens
from local.environment import beside_a_stack, env_file, read_env_file

PROJECT_VARIABLE = "GOOGLE_CLOUD_PROJECT"


def _uris(text: str) -> tuple[str, ...]:
    return tuple(uri for uri in text.split(",") if uri)


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """The project and the addresses of its data."""

    project: str = setting(PROJECT_VARIABLE, "the Google Cloud project")
    region: str = setting("PIPELINE_REGION", "where batches run, such as europe-west1")
    lake: str = setting("PIPELINE_LAKE", "the lake's bucket")
    location: str = setting("BIGQUERY_LOCATION", "the location of the dataset market, such as EU")
    dataproc_emulator: str = setting("DATAPROC_EMULATOR_HOST", "host:port of Dataproc's stand-in", default="")
    bigquery_storage_emulator: str = setting(
        "BIGQUERY_STORAGE_EMULATOR_HOST", "host:port of the stand-in of BigQuery's storage API", default=""
    )
    live_database: str = setting("PGHOST", "the live plane's Postgres; libpq's other variables go with it", default="")
    kafka_servers: str = setting("KAFKA_BOOTSTRAP_SERVERS", "host:port of the live plane's brokers", default="")
    impersonated_account: str = setting(
        IMPERSONATED_ACCOUNT_VARIABLE, "service account in whose name a person calls functions", default=""
    )
    simulator_url: str = setting("PIPELINE_SIMULATOR_URL", "address of the exchange simulator", default="")


@dataclass(frozen=True, slots=True)
class BackfillSettings:
    """The function and the batch job that only a backfill needs."""

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

    def candles_batch_job(self, cloud: CloudSettings) -> CandlesJob:
        """The job as the core describes it."""
        return CandlesJob(
            project=cloud.project,
            lake=cloud.lake,
            staging=self.staging,
            rejected_share=self.rejected_share,
            rejected_rows=self.rejected_rows,
            location=cloud.location,
            main_uri=self.candles_job,
            file_uris=self.candles_job_files,
            service_account=self.job_account,
            subnetwork=self.job_subnetwork,
        )


def environment(home: Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` completed with the variables of the stack in `home`, unless it names another Google project.

    A project of the user's own is never mixed with the addresses of a stack. `home`: None where there can be no stack.
    Raises SettingsError when neither names a project.
    """
    stack = read_env_file(env_file(home)) if home else {}
    project = environ.get(PROJECT_VARIABLE)
    if project and project != stack.get(PROJECT_VARIABLE):
        return dict(environ)
    if home is None and not project:
        raise SettingsError(
            f"{PROJECT_VARIABLE} is not set; name a Google Cloud project, or with PIPELINE_HOME the home of a stack"
        )
    if not stack and not project:
        raise SettingsError(
            f"no stack is up in {home} and {PROJECT_VARIABLE} is not set; run `pipeline up`, or name a project"
        )
    return {**stack, **beside_a_stack(environ)}


class Cloud:
    """Makes the clients of Google's services.

    The libraries read variables of their own from the process, which an entry point must have set to the same `environ`
    (`local.environment.replace_process_environ`).
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.settings = read_settings(CloudSettings, environ)
        self._environ = dict(environ)
        self._id_tokens = IdTokens(self.settings.impersonated_account)

    def backfill_settings(self) -> BackfillSettings:
        """The further settings of a backfill. Raises SettingsError."""
        return read_settings(BackfillSettings, self._environ)

    def bigquery(self) -> Any:
        """A google.cloud.bigquery.Client."""
        from google.cloud import bigquery

        return bigquery.Client(self.settings.project, location=self.settings.location)

    def bigquery_storage(self) -> Any:
        """A BigQueryReadClient, which returns rows as Arrow."""
        from google.cloud import bigquery_storage
        from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

        if not self.settings.bigquery_storage_emulator:
            return bigquery_storage.BigQueryReadClient()
        channel = _plain_channel(self.settings.bigquery_storage_emulator)
        return bigquery_storage.BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

    def batches(self) -> Any:
        """A google.cloud.dataproc BatchControllerClient of the region."""
        from google.cloud import dataproc_v1
        from google.cloud.dataproc_v1.services.batch_controller.transports import BatchControllerGrpcTransport

        if self.settings.dataproc_emulator:
            channel = _plain_channel(self.settings.dataproc_emulator)
            return dataproc_v1.BatchControllerClient(transport=BatchControllerGrpcTransport(channel=channel))
        endpoint = f"{self.settings.region}-dataproc.googleapis.com:443"
        return dataproc_v1.BatchControllerClient(client_options={"api_endpoint": endpoint})

    def lake(self) -> Any:
        """The lake as a pyarrow filesystem."""
        from pyarrow import fs

        # The default limit retries for a quarter of an hour where there are no credentials.
        return fs.GcsFileSystem(retry_time_limit=dt.timedelta(seconds=60))

    def kafka(self) -> str:
        """`host:port` of the live plane's brokers. Raises SettingsError when it is not set."""
        if not self.settings.kafka_servers:
            raise SettingsError("KAFKA_BOOTSTRAP_SERVERS is not set (host:port of the live plane's brokers)")
        return self.settings.kafka_servers

    def id_token(self, audience: str) -> str:
        """A token that the Cloud Run service at `audience` accepts; see `IdTokens.token` for the errors."""
        return self._id_tokens.token(audience)


def _plain_channel(address: str) -> Any:
    import grpc

    return grpc.insecure_channel(address)
