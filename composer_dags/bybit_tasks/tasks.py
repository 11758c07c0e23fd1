"""The tasks of the DAGs beside the batch. Imported by the files of the DAGs."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any, Final

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk import Asset, PokeReturnValue, get_current_context, task

from bitcoin_pipeline import names
from bitcoin_pipeline.daily import deadline, first_checked
from bitcoin_pipeline.ingests import (
    FetchStatus,
    IngestStatus,
    SymbolDay,
    UnknownSymbolError,
    parse_fetched,
    parse_symbol_day,
)
from bitcoin_pipeline.planning import Plan
from bitcoin_pipeline.summary import Summary
from bitcoin_pipeline.times import parse_day
from bybit_tasks import services
from bybit_tasks.settings import SETTINGS
from bybit_tasks.work import Work, days_in, work_of

CANDLES: Final = Asset(names.CANDLES)
"""The table of candles; an event has the days that a batch has loaded, as `{"days": ["BTCUSDT:2024-01-01"]}`."""

RETRIES: Final = {
    "owner": "bitcoin-pipeline",
    "retries": 4,
    "retry_delay": dt.timedelta(seconds=SETTINGS.retry_s),
    "retry_exponential_backoff": True,
    "max_retry_delay": dt.timedelta(minutes=30),
    "on_failure_callback": services.publish_failure,
}
"""The arguments that all tasks have."""


@task.sensor(
    mode="reschedule",
    poke_interval=SETTINGS.archive_poll_s,
    timeout=dt.timedelta(days=4),
    map_index_template="{{ symbol }}",
)
def archive(symbol: str, day: str, wait_hours: str) -> PokeReturnValue:
    """Fetch the file of a day, and those of the days before that are new or revised.

    Done when the day has an answer other than `not_published`, or when the time to wait is over.
    """
    get_current_context()["symbol"] = symbol
    newest = parse_day(day)
    plan = Plan([symbol], first_checked(newest), newest, {}, revised=True)
    try:
        services.fetch(plan)
    except UnknownSymbolError as error:
        raise AirflowFailException(str(error)) from error
    item = SymbolDay(symbol, newest)
    if item in plan.not_fetched:
        raise AirflowException(plan.not_fetched[item])
    is_published = plan.answers[item].status is not FetchStatus.NOT_PUBLISHED
    is_over = dt.datetime.now(dt.UTC) >= deadline(newest, dt.timedelta(hours=float(wait_hours)))
    return PokeReturnValue(is_published or is_over, {str(key): asdict(found) for key, found in plan.answers.items()})


@task(trigger_rule="all_done")
def to_compute(answers: Any, day: str) -> Work:
    """The work of a daily run. `answers`: those of `archive`, without the symbols for which it has failed."""
    fetched = {parse_symbol_day(key): parse_fetched(found) for found in answers for key, found in found.items()}
    return work_of(fetched, services.ingests_of(list(fetched)), {})


@task(outlets=[CANDLES])
def loaded(work: Work, *, outlet_events: Any) -> None:
    """Hand over the loaded days by an event of the asset; publish which of them replace an earlier file's."""
    rows = services.ingests_of(days_in(work))
    days = [str(item) for item, row in rows.items() if row.status is IngestStatus.LOADED]
    for revision in work["revised"]:
        services.publish("archive.revised", **revision)
    if not days:
        raise AirflowSkipException("no day was loaded")
    outlet_events[CANDLES].extra = {"days": days}


@task(trigger_rule="none_failed")
def checked(work: Work, day: str) -> None:
    """Fail when a day of a daily run has failed; a day that is not published is an event, and no failure."""
    faults = [f"{row.item}: {row.reason}" for row in services.ingests_of(days_in(work)).values() if row.reason]
    answered = {parse_symbol_day(item).symbol for item in work["planned"]}
    faults += [f"{symbol}: no answer of the archive" for symbol in SETTINGS.symbols if symbol not in answered]
    for item in work["not_published"]:
        if item.endswith(day):
            services.publish("archive.absent", symbol=parse_symbol_day(item).symbol, date=day)
    if faults:
        raise AirflowFailException("; ".join(faults))


@task
def periods(*, params: dict[str, Any]) -> list[dict[str, Any]]:
    """The first and the last day of each batch of a backfill, and its number of symbol-days."""
    start, end = parse_day(params["start"]), parse_day(params["end"])
    if start > end:
        raise AirflowFailException(f"end must not be before start {start}, got {end}")
    plan = _plan(params, start, end, {item: row.recorded for item, row in _known(params, start, end).items()})
    days = [[item.day for item in batch] for batch in plan.batches]
    return [{"start": min(each).isoformat(), "end": max(each).isoformat(), "symbol_days": len(each)} for each in days]


@task(max_active_tis_per_dagrun=1, map_index_template="{{ period }}")
def fetch(period: dict[str, Any], *, params: dict[str, Any], ti: Any) -> Work:
    """Fetch the missing days of a batch, at the pace that the exchange bears, and return the work that they make.

    While there are tries left, a day that cannot be fetched fails the task, and the retry fetches what is missing.
    """
    get_current_context()["period"] = f"{period['start']} to {period['end']}"
    start, end = parse_day(period["start"]), parse_day(period["end"])
    rows = _known(params, start, end)
    plan = _plan(params, start, end, {item: row.recorded for item, row in rows.items()})
    try:
        services.fetch(plan)
    except UnknownSymbolError as error:
        raise AirflowFailException(str(error)) from error
    if plan.not_fetched and ti.try_number <= ti.max_tries:
        raise AirflowException("; ".join(f"{item}: {reason}" for item, reason in sorted(plan.not_fetched.items())))
    return work_of(plan.answers, rows, plan.not_fetched, again=params["force"])


@task(trigger_rule="all_done")
def summary(*, ti: Any) -> None:
    """Store the summary of a backfill and log it as a table; fail when a day has failed or was not fetched."""
    whole = Summary()
    for work in filter(None, ti.xcom_pull(task_ids=["batch.fetch"])):
        days = days_in(work)
        rows = services.ingests_of(days)
        whole.planned += map(parse_symbol_day, work["planned"])
        whole.not_fetched |= {parse_symbol_day(item): reason for item, reason in work["not_fetched"].items()}
        whole.not_fetched |= {item: "its batch has failed" for item in days if item not in rows}
        whole.not_published += map(parse_symbol_day, work["not_published"])
        whole.unchanged += map(parse_symbol_day, work["unchanged"])
        whole.still_failed += services.ingests_of(list(map(parse_symbol_day, work["still_failed"]))).values()
        whole.ingests += rows.values()
        whole.candles += services.candle_count(
            [item for item, row in rows.items() if row.status is IngestStatus.LOADED]
        )
    table = "\n".join(f"{title:24} {number:>12}" for title, number in whole.rows())
    services.LOG.info("summary\n%s\n%s", table, "\n".join(whole.remarks()))
    rows_as_json = [list(row) for row in whole.rows()]
    ti.xcom_push("summary", {"rows": rows_as_json, "remarks": whole.remarks(), "is_whole": whole.is_whole})
    if not whole.is_whole:
        raise AirflowFailException("; ".join(whole.remarks()))


def _known(params: dict[str, Any], start: dt.date, end: dt.date) -> Any:
    return services.ingests(params["symbols"], start, end)


def _plan(params: dict[str, Any], start: dt.date, end: dt.date, known: Any) -> Plan:
    size = SETTINGS.days_per_batch
    return Plan(params["symbols"], start, end, known, again=params["force"], size=size)
