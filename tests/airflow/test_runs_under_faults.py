"""Runs of the DAGs while parts fail: killed schedulers and triggerers, a refusing function, a Dataproc without quota.

Every run must end right, with one batch for its work.
"""

from __future__ import annotations

import datetime as dt

import pytest

from tests.support import daily
from tests.support.airflow import LONGEST_S, AirflowStack

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

ORPHANED = dt.date(2024, 11, 8)
DEFERRED, REFUSED = (dt.date(2024, 9, day) for day in (1, 2))


@pytest.fixture(scope="module")
def settled(stack: AirflowStack, runs: dict[str, str]) -> None:
    """Every earlier run has ended, so that a test sees its own tasks only."""
    daily.LATER.publish(stack.archive)
    for name, run in runs.items():
        stack.ended("bybit_backfill" if name == "two days" else "bybit_daily", run)


# fetch ── candles: submits, defers ── (no slot) ──x triggerer ── again ── loaded ── summary
def test_a_killed_triggerer_costs_no_second_batch_and_a_deferred_wait_holds_no_slot(
    stack: AirflowStack, settled: None
) -> None:
    item = daily.publish(stack.archive, "BTCUSDT", DEFERRED, daily.traded("BTCUSDT", DEFERRED))
    run = stack.backfill(DEFERRED, DEFERRED, "BTCUSDT")
    stack.wait_for_task("bybit_backfill", run, ("batch.candles", 0), "deferred")
    pool = stack.api.pool()
    assert (pool["running_slots"], pool["queued_slots"]) == (0, 0)
    stack.running.kill("airflow_triggerer")
    stack.running.start("airflow_triggerer")
    assert stack.ended("bybit_backfill", run) == "success"
    assert daily.candles(stack.warehouse, DEFERRED, DEFERRED) == daily.expected([item])
    assert len(stack.batches(DEFERRED)) == 1


def test_a_batch_for_which_there_is_no_quota_is_submitted_again(stack: AirflowStack, settled: None) -> None:
    item = daily.publish(stack.archive, "ETHUSDT", REFUSED, daily.traded("ETHUSDT", REFUSED))
    with stack.without_quota():
        run = stack.backfill(REFUSED, REFUSED, "ETHUSDT")
        stack.wait_for_task("bybit_backfill", run, ("batch.candles", 0), "up_for_retry")
    assert stack.ended("bybit_backfill", run) == "success"
    assert daily.candles(stack.warehouse, REFUSED, REFUSED) == daily.expected([item])
    assert len(stack.batches(REFUSED)) == 1


# archive: 429, 500, then a call that is held ──x scheduler with its workers ── again ── archive ── candles ── loaded
def test_a_scheduler_killed_in_the_middle_of_a_run_and_a_refusing_function_cost_no_second_batch(
    stack: AirflowStack, settled: None
) -> None:
    items = [daily.publish(stack.archive, symbol, ORPHANED, daily.traded(symbol, ORPHANED)) for symbol in daily.SYMBOLS]
    stack.front.arrived.clear()
    stack.front.passes.clear()
    stack.front.statuses.extend((429, 500))
    run = stack.daily(ORPHANED)
    assert stack.front.arrived.wait(LONGEST_S)
    assert not stack.front.statuses
    stack.running.kill("airflow_scheduler")
    stack.running.start("airflow_scheduler")
    stack.front.passes.set()
    assert stack.ended("bybit_daily", run) == "success"
    assert daily.candles(stack.warehouse, ORPHANED, ORPHANED) == daily.expected(items)
    assert len(stack.batches(ORPHANED - dt.timedelta(days=7))) == 1
