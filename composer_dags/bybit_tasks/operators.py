"""The operator that computes candles: the Google provider's own, for the batch that a work describes."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.providers.google.cloud.operators.dataproc import DataprocCreateBatchOperator

from bitcoin_pipeline.batches import candles_batch
from bybit_tasks import services
from bybit_tasks.settings import SETTINGS
from bybit_tasks.work import Work, days_in, manifest_in


class CandlesBatchOperator(DataprocCreateBatchOperator):
    """Submits the batch of a work and waits deferred; skipped when there is nothing to compute.

    The ids of a work's batches follow from it, so a task that is started again waits for the batch that it has left
    running, and a retry after a failed batch submits the next one.
    """

    template_fields = (*DataprocCreateBatchOperator.template_fields, "work")

    def __init__(self, *, work: Work, **arguments: Any) -> None:
        super().__init__(
            project_id=SETTINGS.project,  # the trigger has no default project
            region=SETTINGS.region,
            batch={},
            deferrable=True,
            polling_interval_seconds=SETTINGS.batch_poll_s,
            **arguments,
        )
        self.work = work

    def execute(self, context: Any) -> Any:
        """Submit the batch unless it exists, and defer."""
        if not self.work["name"]:
            raise AirflowSkipException("no day is to be computed")
        self.batch_id = services.next_batch_id(self.hook, self.work["name"], days_in(self.work))
        manifest = manifest_in(self.work)
        services.write_manifest(self.batch_id, manifest)
        self.batch = candles_batch(SETTINGS.batch_job(), self.batch_id, len(manifest.load))
        return super().execute(context)
