"""Runs of the DAGs on a real scheduler, triggerer, API server and DAG processor, against the stand-ins of a stack.

All runs but a few go on at the same time. The function, the job with the real Spark, the buckets and the tables are
those of `pipeline up`; what is asserted are the rows of BigQuery's stand-in.
"""

from __future__ import annotations

import datetime as dt
import re

import pytest

from bitcoin_pipeline import names
from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.names import archive_file
from local.backing.pubsub import INSTALL
from local.waiting import wait_for
from tests.airflow.conftest import FIRST
from tests.support import daily
from tests.support.airflow import LONGEST_S, AirflowStack
from tests.support.daily import BAD, EMPTY, LATER, NEVER, PUBLISHED, SYMBOLS
from tests.support.subscription import Event, Subscription

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]


def received(events: Subscription | None, count: int, kind: str) -> list[Event]:
    """The events of a type, of which there must be `count`."""
    if events is None:
        pytest.skip(f"NOT TESTED: events, for there is no Pub/Sub emulator here ({INSTALL})")

    def found() -> list[Event] | None:
        matching = [event for event in events.receive() if event[0] == kind]
        return matching if len(matching) >= count else None

    matching = wait_for(f"{count} events {kind}", found, 60, 1)
    assert len(matching) == count
    return sorted(matching, key=str)


def test_a_published_day_is_loaded_exactly_and_handed_over(stack: AirflowStack, runs: dict[str, str]) -> None:
    assert stack.ended("bybit_daily", runs["published"]) == "success"
    PUBLISHED.check(stack.warehouse)
    before = PUBLISHED.day - dt.timedelta(days=7)
    week = [(symbol, PUBLISHED.day - dt.timedelta(days=days)) for symbol in SYMBOLS for days in range(1, 8)]
    assert daily.ingests(stack.warehouse, before, week[0][1]) == dict.fromkeys(week, ("no_trades", ""))
    [event] = stack.api.asset_events("bybit_daily", runs["published"])
    assert event["extra"] == {"days": [f"{symbol}:{PUBLISHED.day}" for symbol in SYMBOLS]}


def test_a_day_without_trades_ends_well(stack: AirflowStack, runs: dict[str, str]) -> None:
    assert stack.ended("bybit_daily", runs["empty"]) == "success"
    EMPTY.check(stack.warehouse)


def test_a_corrupt_file_and_one_in_an_unknown_form_fail_their_days_with_the_reason(
    stack: AirflowStack, runs: dict[str, str]
) -> None:
    assert stack.ended("bybit_daily", runs["bad"]) == "failed"
    BAD.check(stack.warehouse)
    states = stack.states("bybit_daily", runs["bad"])
    assert (states["candles", -1], states["loaded", -1], states["checked", -1]) == ("success", "skipped", "failed")


def test_a_failure_is_published(stack: AirflowStack, runs: dict[str, str], events: Subscription | None) -> None:
    stack.ended("bybit_daily", runs["bad"])
    [(_, failure)] = received(events, 1, "dag.failed")
    reason = failure.pop("reason")
    assert failure == {"dag": "bybit_daily", "run": runs["bad"], "task": "checked", "index": -1}
    assert f"BTCUSDT:{BAD.day}: gzip ends too early" in reason
    assert f"ETHUSDT:{BAD.day}: header lacks" in reason


def test_a_day_that_never_appears_is_given_up_with_an_event_and_is_no_failure(
    stack: AirflowStack, runs: dict[str, str], events: Subscription | None
) -> None:
    assert stack.ended("bybit_daily", runs["never"]) == "success"
    NEVER.check(stack.warehouse)
    assert received(events, 2, "archive.absent") == [
        ("archive.absent", {"symbol": symbol, "date": str(NEVER.day)}) for symbol in SYMBOLS
    ]


def test_a_day_that_appears_after_a_while_is_waited_for_without_a_worker(
    stack: AirflowStack, runs: dict[str, str]
) -> None:
    """The run also loads a day of the week before that another run has given up."""
    stack.ended("bybit_daily", runs["never"])

    def waits() -> bool:
        states = stack.states("bybit_daily", runs["later"])
        return all(states.get(("archive", index)) == "up_for_reschedule" for index in range(2))

    wait_for("both symbols to wait", waits, LONGEST_S, 0.2)
    for symbol in SYMBOLS:
        daily.publish(stack.archive, symbol, NEVER.day, daily.traded(symbol, NEVER.day))
    LATER.publish(stack.archive)
    assert stack.ended("bybit_daily", runs["later"]) == "success"
    LATER.check(stack.warehouse)
    late = daily.expected(SymbolDay(symbol, NEVER.day) for symbol in SYMBOLS)
    assert daily.candles(stack.warehouse, NEVER.day, NEVER.day) == late


def test_a_file_that_is_revised_within_a_week_is_loaded_anew_and_recorded(
    stack: AirflowStack, runs: dict[str, str], events: Subscription | None
) -> None:
    stack.ended("bybit_daily", runs["published"])
    day = PUBLISHED.day
    item = daily.publish(stack.archive, "BTCUSDT", day, daily.traded("BTCUSDT", day, daily.REVISED))
    run = stack.daily(day + dt.timedelta(days=7))
    assert stack.ended("bybit_daily", run) == "success"
    other = daily.expected([SymbolDay("ETHUSDT", day)])
    assert daily.candles(stack.warehouse, day, day) == daily.expected([item], daily.REVISED) + other
    assert daily.candles(stack.warehouse, day, day, names.CANDLE_HISTORY) == daily.expected([item])[1:2]
    work = stack.api.result("bybit_daily", run, "to_compute")
    assert list(work["manifest"]["load"]) == [str(item)]
    [(_, revision)] = received(events, 1, "archive.revised")
    assert (revision["symbol"], revision["date"]) == ("BTCUSDT", str(day))
    query = f"SELECT sha256 FROM {names.INGESTS} WHERE symbol = 'BTCUSDT' AND date BETWEEN @start AND @end"
    [[recorded]] = daily.rows_between(stack.warehouse, query, day, day)
    assert revision["sha256"] == recorded
    assert revision["earlier_sha256"] not in ("", recorded)


def test_a_backfill_by_the_command_loads_what_is_missing_after_a_failure_and_nothing_twice(
    stack: AirflowStack, runs: dict[str, str]
) -> None:
    assert stack.ended("bybit_backfill", runs["two days"]) == "success"
    end = FIRST + dt.timedelta(days=4)
    items = [SymbolDay(symbol, FIRST + dt.timedelta(days=day)) for symbol in SYMBOLS for day in range(5)]
    for item in items:
        daily.publish(stack.archive, item.symbol, item.day, daily.traded(item.symbol, item.day))
    before = stack.batches(FIRST)
    path = f"/trading/ETHUSDT/{archive_file('ETHUSDT', end)}"
    stack.fault(fault="status", code=500, times=1, path=path)
    outcome = stack.command.run("backfill", ",".join(SYMBOLS), str(FIRST), str(end), "--via", "airflow")
    assert outcome.code == 0, outcome.err
    assert daily.candles(stack.warehouse, FIRST, end) == daily.expected(items)
    counts = dict(re.findall(r"^\W*([a-z][a-z ]*?)\W+([\d.]+)\W*$", outcome.out, re.MULTILINE))
    assert counts.pop("seconds")
    assert {title: number for title, number in counts.items() if number != "0"} == {
        "days planned": "8",
        "days loaded": "8",
        "trades": str(8 * 5),
        "candles": str(8 * 3),
    }
    [run] = re.findall(r"^run (\S+) of bybit_backfill$", outcome.err, re.MULTILINE)
    [batch] = stack.batches(FIRST) - before
    assert batch.endswith("-1")
    assert len(stack.api.tasks("bybit_backfill", run)) == 5
