"""The state of the pipeline's parts on Google Cloud, and the producer's worker pool set to 0 or 1 instances.

Imported by `local.command.operate`. The clients use REST, which needs no port but 443 and passes proxies.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bitcoin_pipeline.settings import read_settings, setting

_REST: Final = "rest"
_TIMEOUT_S: Final = 60

_COMPLETE: Final = "/_metadata"
"""The end of the name of the object that Flink writes last, so that a checkpoint with it is complete."""

_LATEST_CHECKPOINT: Final = dt.timedelta(minutes=15)
"""Age of the newest checkpoint of a job that works: one is begun each minute, and may take ten."""


@dataclass(frozen=True, slots=True)
class DeployedNames:
    """The project and the names of its parts, as Terraform's output `environ` has them for the command."""

    project: str = setting("GOOGLE_CLOUD_PROJECT", "the Google Cloud project")
    region: str = setting("PIPELINE_REGION", "where the pipeline runs, such as europe-west1")
    dashboard: str = setting("PIPELINE_DASHBOARD_SERVICE", "the dashboard's Cloud Run service", default="dashboard")
    worker_pool: str = setting("PIPELINE_WORKER_POOL", "the producer's Cloud Run worker pool", default="producer")
    flink_cluster: str = setting("PIPELINE_FLINK_CLUSTER", "the Dataproc cluster of the Flink job", default="candles")
    checkpoints: str = setting(
        "PIPELINE_CHECKPOINTS",
        "gs:// folder of the Flink job's checkpoints; by default the one that Terraform makes",
        default="",
    )


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the pipeline. `state`: in Google's word. `detail`: its address, revision or identifier."""

    name: str
    state: str
    detail: str
    works: bool


class DeployedParts:
    """The parts of one project, read anew at each call."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.names = read_settings(DeployedNames, environ)

    def parts(self) -> list[Part]:
        """Dashboard, producer, Flink's cluster and its job, and the last batch.

        A part that is not deployed is not an error.
        """
        found = [
            self._or_absent("dashboard", self._dashboard),
            self._or_absent("producer", self._producer),
            self._or_absent("flink", self._flink),
            self._or_absent("flink job", self._flink_job),
        ]
        return [*found, self._or_absent("last batch", self._last_batch)]

    def scale_producer(self, instances: int) -> str:
        """Set the number of the producer's instances, wait until it is done, and return the worker pool's name.

        Raises GoogleAPICallError, NotFound where there is no live plane.
        """
        from google.cloud import run_v2
        from google.protobuf import field_mask_pb2

        client = run_v2.WorkerPoolsClient(transport=_REST)
        scaling = run_v2.WorkerPoolScaling(manual_instance_count=instances)
        pool = run_v2.WorkerPool(name=self._worker_pool_name(), scaling=scaling)
        mask = field_mask_pb2.FieldMask(paths=["scaling.manual_instance_count"])
        request = run_v2.UpdateWorkerPoolRequest(worker_pool=pool, update_mask=mask)
        client.update_worker_pool(request, timeout=_TIMEOUT_S).result(timeout=300)
        return self.names.worker_pool

    def _or_absent(self, name: str, read: Callable[[], Part]) -> Part:
        from google.api_core.exceptions import NotFound

        try:
            return read()
        except NotFound:
            return Part(name, "not deployed", "", works=True)

    def _dashboard(self) -> Part:
        from google.cloud import run_v2

        client = run_v2.ServicesClient(transport=_REST)
        service = client.get_service(name=f"{self._place()}/services/{self.names.dashboard}", timeout=_TIMEOUT_S)
        state, works = _condition(service.terminal_condition)
        return Part("dashboard", state, service.uri, works=works)

    def _producer(self) -> Part:
        from google.cloud import run_v2

        client = run_v2.WorkerPoolsClient(transport=_REST)
        pool = client.get_worker_pool(name=self._worker_pool_name(), timeout=_TIMEOUT_S)
        state, works = _condition(pool.terminal_condition)
        instances = pool.scaling.manual_instance_count
        revision = pool.latest_ready_revision.rpartition("/")[2]
        detail = f"revision {revision}, {instances} instance{'' if instances == 1 else 's'}"
        return Part("producer", state if instances else "PAUSED", detail, works=works and instances > 0)

    def _flink(self) -> Part:
        from google.cloud import dataproc_v1

        client = dataproc_v1.ClusterControllerClient(transport=_REST, client_options=self._dataproc_options())
        request = dataproc_v1.GetClusterRequest(
            project_id=self.names.project, region=self.names.region, cluster_name=self.names.flink_cluster
        )
        cluster = client.get_cluster(request, timeout=_TIMEOUT_S)
        state = cluster.status.state.name
        since = _time_of(cluster.status.state_start_time)
        detail = f"cluster {cluster.cluster_name}, in this state since {since}"
        return Part("flink", state, detail, works=state == "RUNNING")

    def _flink_job(self) -> Part:
        """The job by its newest checkpoint, of which it completes one a minute.

        It runs in a session of Flink whose address only the cluster's machine has, and is no job of Dataproc's API.
        """
        from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

        folder = self.names.checkpoints or f"gs://{self.names.project}-flink/checkpoints"
        bucket, _, prefix = folder.removeprefix("gs://").partition("/")
        objects = storage.Client(self.names.project).list_blobs(bucket, prefix=f"{prefix}/", timeout=_TIMEOUT_S)
        complete = [blob.updated for blob in objects if blob.name.endswith(_COMPLETE)]
        if not complete:
            return Part("flink job", "no checkpoint yet", folder, works=False)
        works = dt.datetime.now(dt.UTC) - max(complete) < _LATEST_CHECKPOINT
        detail = f"{folder}, newest checkpoint {_time_of(max(complete))}"
        return Part("flink job", "RUNNING" if works else "STALLED", detail, works=works)

    def _last_batch(self) -> Part:
        from google.cloud import dataproc_v1

        client = dataproc_v1.BatchControllerClient(transport=_REST, client_options=self._dataproc_options())
        request = dataproc_v1.ListBatchesRequest(parent=self._place(), page_size=1, order_by="create_time desc")
        batch = next(iter(client.list_batches(request, timeout=_TIMEOUT_S)), None)
        if batch is None:
            return Part("last batch", "none yet", "", works=True)
        state = batch.state.name
        name = batch.name.rpartition("/")[2]
        return Part("last batch", state, f"{name}, {_time_of(batch.create_time)}", works=state != "FAILED")

    def _place(self) -> str:
        return f"projects/{self.names.project}/locations/{self.names.region}"

    def _worker_pool_name(self) -> str:
        return f"{self._place()}/workerPools/{self.names.worker_pool}"

    def _dataproc_options(self) -> dict[str, str]:
        return {"api_endpoint": f"{self.names.region}-dataproc.googleapis.com"}


def _condition(condition: Any) -> tuple[str, bool]:
    """The state of a Cloud Run resource in a word, and whether it works."""
    state = condition.state.name.removeprefix("CONDITION_")
    return (f"{state}: {condition.message}" if condition.message else state), state == "SUCCEEDED"


def _time_of(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
