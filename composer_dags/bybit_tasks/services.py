"""The calls of the tasks: rows of `ingests`, files by `fetch_archive`, the state of batches, manifests and events.

Imported by the tasks and the operator. Google's libraries take seconds to import, so each call imports its own.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from bitcoin_pipeline import schemas
from bitcoin_pipeline.batches import Manifest, id_of_try, manifest_json, manifest_object
from bitcoin_pipeline.ingests import INGESTS_BETWEEN, Ingest, SymbolDay, parse_ingest
from bitcoin_pipeline.planning import Plan
from bybit_tasks.settings import SETTINGS

if TYPE_CHECKING:
    import requests
    from airflow.providers.google.cloud.hooks.dataproc import DataprocHook

LOG: Final = logging.getLogger(__name__)

_QUERY_TIMEOUT_S: Final = 300
_CALL_TIMEOUTS_S: Final = (10, schemas.function_timeout_s("fetch_archive") + 30)
"""Time limits to connect to the function and to wait for its answer, which comes within the function's own limit."""


def query(text: str, **values: Any) -> Any:
    """The rows of a BigQuery query with `values` as its parameters."""
    from google.cloud import bigquery

    from bitcoin_pipeline.adapters.bigquery import query_config

    client = bigquery.Client(SETTINGS.project, location=SETTINGS.location)
    return client.query_and_wait(text, job_config=query_config(**values), wait_timeout=_QUERY_TIMEOUT_S)


def ingests(symbols: Iterable[str], start: dt.date, end: dt.date) -> dict[SymbolDay, Ingest]:
    """The rows of the table `ingests` for these symbols and days, `end` included."""
    rows = query(INGESTS_BETWEEN, symbols=list(symbols), start=start, end=end)
    return {ingest.item: ingest for ingest in map(parse_ingest, rows)}


def ingests_of(items: Sequence[SymbolDay]) -> dict[SymbolDay, Ingest]:
    """The rows of the table `ingests` for these days."""
    if not items:
        return {}
    days = [item.day for item in items]
    rows = ingests(sorted({item.symbol for item in items}), min(days), max(days))
    return {item: rows[item] for item in sorted(items) if item in rows}


def candle_count(loaded: Sequence[SymbolDay]) -> int:
    """Number of 1-minute archive candles of days."""
    from bitcoin_pipeline.adapters.bigquery import count_candles

    return count_candles(query, loaded)


def fetch(plan: Plan) -> None:
    """List and fetch every day of a plan, which takes the answers, and reasons of days without.

    Raises UnknownSymbolError, and BackfillError when the function refuses this caller or no instance is free.
    """
    from bitcoin_pipeline.adapters.fetch_archive import Fetcher

    async def run() -> None:
        fetcher = Fetcher(call, SETTINGS.requests_per_second, SETTINGS.concurrent_fetches, LOG.warning)
        await fetcher.list_days(plan)
        await fetcher.fetch_days(plan, plan.days)

    with ThreadPoolExecutor(SETTINGS.concurrent_fetches) as threads:
        post = _poster()

        async def call(body: dict[str, Any]) -> requests.Response:
            return await asyncio.get_running_loop().run_in_executor(threads, post, body)

        asyncio.run(run())


def _poster() -> Any:
    """A function that posts a body to `fetch_archive`, with one ID token, which is valid for an hour."""
    import requests
    from google.auth.transport.requests import Request
    from google.oauth2.id_token import fetch_id_token

    url = SETTINGS.fetch_archive_url
    headers = {"Authorization": f"Bearer {fetch_id_token(Request(), url)}"}
    return lambda body: requests.post(url, json=body, headers=headers, timeout=_CALL_TIMEOUTS_S)


def next_batch_id(hook: DataprocHook, work: str, items: Sequence[SymbolDay]) -> str:
    """The id of the batch that does a work, or has done it: the first try that has not failed.

    `work`: its name. `items`: its days. A batch that has succeeded counts only while `ingests` has its rows.
    """
    from google.api_core.exceptions import NotFound
    from google.cloud.dataproc_v1 import Batch

    for attempt in count(1):
        name = id_of_try(work, attempt)
        try:
            batch = hook.get_batch(batch_id=name, region=SETTINGS.region, project_id=SETTINGS.project)
        except NotFound:
            break
        if batch.state in (Batch.State.PENDING, Batch.State.RUNNING):
            break
        if batch.state == Batch.State.SUCCEEDED and _are_recorded(items, name):
            break
    return name


def _are_recorded(items: Sequence[SymbolDay], batch_id: str) -> bool:
    rows = ingests_of(items)
    return all(item in rows and rows[item].recorded.batch_id == batch_id for item in items)


def write_manifest(batch_id: str, manifest: Manifest) -> None:
    """Store the manifest of a batch, which must be there before the batch is created."""
    from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

    bucket = storage.Client(SETTINGS.project).bucket(SETTINGS.staging)
    bucket.blob(manifest_object(batch_id)).upload_from_string(manifest_json(manifest))


def publish(kind: str, **fields: Any) -> None:
    """Publish an event of that type to the pipeline's topic; without a topic, events are off."""
    LOG.warning("event %s %s", kind, json.dumps(fields))
    if not SETTINGS.events_topic:
        return
    from google.cloud.pubsub_v1 import PublisherClient

    PublisherClient().publish(SETTINGS.events_topic, json.dumps(fields).encode(), type=kind).result(60)


def publish_failure(context: Mapping[str, Any]) -> None:
    """Publish that a task has failed and is not tried again; a callback of Airflow."""
    task = context["ti"]
    reason = str(context.get("exception") or "")[:1000]
    publish("dag.failed", dag=task.dag_id, run=task.run_id, task=task.task_id, index=task.map_index, reason=reason)
