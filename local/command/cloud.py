"""The clients of the data commands, for Google Cloud or for a stack on this machine, as the environment has it.

Imported by the other modules of `local.command`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcoin_pipeline.deployment import PROJECT_VARIABLE, BackfillSettings, WarehouseSettings
from bitcoin_pipeline.settings import SettingsError, read_settings, setting
from local.command.id_tokens import IMPERSONATED_ACCOUNT_VARIABLE, IdTokens
from local.environment import beside_a_stack, env_file, read_env_file


@dataclass(frozen=True, slots=True)
class CloudSettings(WarehouseSettings):
    """The addresses of the live plane, of stand-ins and of the simulator beside those of the warehouse."""

    dataproc_emulator: str = setting("DATAPROC_EMULATOR_HOST", "host:port of Dataproc's stand-in", default="")
    bigquery_storage_emulator: str = setting(
        "BIGQUERY_STORAGE_EMULATOR_HOST", "host:port of the stand-in of BigQuery's storage API", default=""
    )
    live_database: str = setting("PGHOST", "the live plane's Postgres; libpq's other variables go with it", default="")
    kafka_servers: str = setting("KAFKA_BOOTSTRAP_SERVERS", "host:port of the live plane's brokers", default="")
    impersonated_account: str = setting(
        IMPERSONATED_ACCOUNT_VARIABLE, "service account in whose name a person calls functions", default=""
    )
    airflow_url: str = setting("PIPELINE_AIRFLOW_URL", "address of Airflow, for `backfill --via airflow`", default="")
    simulator_url: str = setting("PIPELINE_SIMULATOR_URL", "address of the exchange simulator", default="")


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
