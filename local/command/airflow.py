"""Airflow's REST API: a run of a DAG is triggered, followed, and its results are read.

Imported by `local.command.data` and by tests.
"""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import quote

import requests

from bitcoin_pipeline.planning import BackfillError
from local.command.backfill import DONE, FETCHED
from local.command.steps import Progress

_TIMEOUT_S: Final = 60

ENDED: Final = ("success", "failed")
"""The states of a run that has ended."""


class AirflowApi:
    """The API of the Airflow at `url`, which gives a token without a password, as a stack's does.

    Methods raise requests.RequestException when Airflow does not answer, or refuses the request.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def unpause(self, dag: str) -> None:
        """Let the DAG's runs start."""
        self._request("PATCH", f"dags/{dag}", {"is_paused": False})

    def trigger(self, dag: str, params: dict[str, Any]) -> str:
        """Start a run and return its id."""
        return str(self._request("POST", f"dags/{dag}/dagRuns", {"logical_date": None, "conf": params})["dag_run_id"])

    def state(self, dag: str, run: str) -> str:
        """The state of a run: queued, running, or one of ENDED."""
        return str(self._request("GET", f"dags/{dag}/dagRuns/{quote(run)}")["state"])

    def tasks(self, dag: str, run: str) -> dict[tuple[str, int], dict[str, Any]]:
        """The task instances of a run by task and map index, which is -1 for a task that is not mapped."""
        found: dict[tuple[str, int], dict[str, Any]] = {}
        while True:
            page = f"?limit=100&offset={len(found)}"
            answer = self._request("GET", f"dags/{dag}/dagRuns/{quote(run)}/taskInstances{page}")
            found |= {(task["task_id"], task["map_index"]): task for task in answer["task_instances"]}
            if len(found) >= answer["total_entries"] or not answer["task_instances"]:
                return found

    def result(self, dag: str, run: str, task: str, key: str = "return_value", index: int = -1) -> Any:
        """What a task has passed on."""
        entry = f"taskInstances/{task}/xcomEntries/{key}?map_index={index}&deserialize=true"
        return self._request("GET", f"dags/{dag}/dagRuns/{quote(run)}/{entry}")["value"]

    def asset_events(self, dag: str, run: str) -> list[dict[str, Any]]:
        """The events of assets that a run has caused."""
        found = self._request("GET", f"assets/events?source_dag_id={dag}&source_run_id={quote(run)}")
        return list(found["asset_events"])

    def pool(self, name: str = "default_pool") -> dict[str, Any]:
        """The slots of a pool: `running_slots`, `queued_slots`, `deferred_slots` and others."""
        found: dict[str, Any] = self._request("GET", f"pools/{name}")
        return found

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if "Authorization" not in self._session.headers:
            answer = self._session.get(f"{self._url}/auth/token", timeout=_TIMEOUT_S)
            answer.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        answer = self._session.request(method, f"{self._url}/api/v2/{path}", json=body, timeout=_TIMEOUT_S)
        if not answer.ok:
            raise requests.HTTPError(f"Airflow answers {answer.status_code}: {answer.text[:300]}", response=answer)
        return answer.json()


DAG: Final = "bybit_backfill"

_POLL_S: Final = 1.0


def run_backfill(api: AirflowApi, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Run the DAG to its end and return the result of its summary: `rows`, `remarks` and `is_whole`.

    Raises BackfillError when the run ends without a summary. An interrupt leaves the run going on.
    """
    api.unpause(DAG)
    run = api.trigger(DAG, params)
    progress.note(f"run {run} of {DAG}")
    shown = _Shown(progress)
    while True:
        state = api.state(DAG, run)
        shown.show(api, run)
        if state in ENDED:
            break
        time.sleep(_POLL_S)
    try:
        result: dict[str, Any] = api.result(DAG, run, "summary", "summary")
    except requests.HTTPError as error:
        raise BackfillError(f"run {run} of {DAG} has {state} without a summary") from error
    return result


class _Shown:
    """The progress of a run: the symbol-days of the batches whose tasks have ended."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._days: list[int] | None = None
        self._ended: set[tuple[str, int]] = set()

    def show(self, api: AirflowApi, run: str) -> None:
        """Show what has ended since the last call."""
        tasks = api.tasks(DAG, run)
        if self._days is None and tasks.get(("periods", -1), {}).get("state") == "success":
            self._days = [period["symbol_days"] for period in api.result(DAG, run, "periods")]
            for title in (FETCHED, DONE) if self._days else ():
                self._progress.step(title, sum(self._days))
        for task, title in (("batch.fetch", FETCHED), ("batch.candles", DONE)):
            for index, days in enumerate(self._days or ()):
                state = tasks.get((task, index), {}).get("state")
                if (task, index) not in self._ended and state in ("success", "skipped"):
                    self._ended.add((task, index))
                    self._progress.advance(title, days)
