"""A backfill that a DAG runs: what is shown of its tasks, and its end."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from bitcoin_pipeline.planning import BackfillError
from local.command import airflow
from local.command.airflow import run_backfill

SUMMARY = {"rows": [["days planned", 7]], "remarks": [], "is_whole": True}
PARAMS = {"symbols": ["BTCUSDT"], "start": "2024-01-01", "end": "2024-01-07", "force": False}


class Api:
    """Airflow's API for one run that goes through `states`, one at each request for its state."""

    def __init__(
        self,
        *states: dict[tuple[str, int], str],
        summary: dict[str, Any] | None = SUMMARY,
        days: tuple[int, ...] = (4, 3),
    ) -> None:
        self._states = list(states)
        self._summary = summary
        self._days = days
        self._now: dict[tuple[str, int], str] = {}
        self.calls: list[tuple[Any, ...]] = []

    def unpause(self, dag: str) -> None:
        self.calls.append(("unpause", dag))

    def trigger(self, dag: str, params: dict[str, Any]) -> str:
        self.calls.append(("trigger", dag, params))
        return "manual"

    def state(self, dag: str, run: str) -> str:
        self._now = self._states.pop(0)
        return "running" if self._states else "success"

    def tasks(self, dag: str, run: str) -> dict[tuple[str, int], dict[str, Any]]:
        return {key: {"state": state} for key, state in self._now.items()}

    def result(self, dag: str, run: str, task: str, key: str = "return_value", index: int = -1) -> Any:
        if task == "periods":
            return [{"symbol_days": days} for days in self._days]
        if self._summary is None:
            raise requests.HTTPError("Airflow answers 404")
        return self._summary


class Shown:
    """Progress that keeps its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def step(self, title: str, total: int | None) -> None:
        self.calls.append(("step", title, total))

    def advance(self, title: str, count: int = 1) -> None:
        self.calls.append((title, count))

    def note(self, text: str) -> None:
        self.calls.append((text,))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow, "_POLL_S", 0)


def run(api: Any, shown: Shown) -> dict[str, Any]:
    return run_backfill(api, PARAMS, shown)


def test_the_days_of_a_batch_are_shown_as_its_tasks_end() -> None:
    fetch, candles = ("batch.fetch", "batch.candles")
    begun = {("periods", -1): "success"}
    first = {**begun, (fetch, 0): "success", (candles, 0): "deferred"}
    last = {**first, (candles, 0): "success", (fetch, 1): "success", (candles, 1): "skipped"}
    api, shown = Api({("periods", -1): "running"}, begun, first, first, last), Shown()
    assert run(api, shown) == SUMMARY
    assert api.calls == [("unpause", "bybit_backfill"), ("trigger", "bybit_backfill", PARAMS)]
    assert shown.calls == [
        ("run manual of bybit_backfill",),
        ("step", "files fetched", 7),
        ("step", "days done", 7),
        ("files fetched", 4),
        ("files fetched", 3),
        ("days done", 4),
        ("days done", 3),
    ]


def test_a_run_without_a_summary_is_an_error() -> None:
    with pytest.raises(BackfillError, match="run manual of bybit_backfill has success without a summary"):
        run(Api({}, summary=None), Shown())


def test_a_run_without_missing_days_shows_no_progress() -> None:
    begun = {("periods", -1): "success"}
    shown = Shown()
    run(Api(begun, begun, days=()), shown)
    assert shown.calls == [("run manual of bybit_backfill",)]
