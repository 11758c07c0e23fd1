"""The data commands of `pipeline`: backfill, candles, trades, sql, replay and tail.

Imported by `local.command.__main__`. They work on a running stack or on Google Cloud, and import nothing of the stack.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import time
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from bitcoin_pipeline.daily import first_checked, overdue
from bitcoin_pipeline.names import REPLAY_TOPIC
from bitcoin_pipeline.summary import Summary
from bitcoin_pipeline.symbols import parse_symbols
from bitcoin_pipeline.times import parse_day, parse_interval
from local.command.arguments import (
    CommandError,
    End,
    OutputFormat,
    Start,
    Symbol,
    parsed,
    span_of,
    symbol_in,
    symbols_and_days,
)
from local.command.backfill import Backfill
from local.command.cloud import Cloud, environment
from local.command.completion import INTERVALS, PLANES, intervals_from, planes_from, symbols_from
from local.command.output import BINARY, STDERR, Format, write_batches, write_rows
from local.command.progress import shown_progress
from local.command.queries import (
    CANDLE_COLUMNS,
    TRADE_COLUMNS,
    candle_row,
    candle_schema,
    lake_trades,
    rows_of,
    trade_schema,
)
from local.command.queries import candles as read_candles
from local.command.queries import trades as read_trades
from local.command.services import CloudServices
from local.command.sql import sql as run_sql
from local.environment import replace_process_environ, stack_home

app = typer.Typer()

_NAMED_SYMBOLS = 5
"""Number of symbols up to which a summary names them."""


class Via(StrEnum):
    """What runs a backfill."""

    COMMAND = "command"
    AIRFLOW = "airflow"


@app.command()
def backfill(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[SYMBOLS] START [END]",
            help="Such as BTCUSDT,ETHUSDT 2024-01-01 2024-01-31; UTC days, both included, END is START by default.",
            autocompletion=symbols_from,
        ),
    ],
    symbols_file: Annotated[
        Path | None,
        typer.Option("--symbols-file", metavar="FILE", help="The symbols, in place of SYMBOLS; one a line."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Also check loaded days for changed files, and compute failed days again."),
    ] = False,
    via: Annotated[
        Via, typer.Option(help="Run it in this command, or as a run of the DAG bybit_backfill.")
    ] = Via.COMMAND,
) -> None:
    """Load the days that are missing: fetch their files, compute candles, publish."""
    symbols, start, end = symbols_and_days(words, symbols_file)
    cloud = _cloud()
    began = time.monotonic()
    if via is Via.AIRFLOW:
        _backfill_by_airflow(cloud, symbols, start, end, again=again)
        return
    with shown_progress() as progress, CloudServices(cloud, progress) as services:
        summary = asyncio.run(Backfill(services, symbols, start, end, progress).run(again=again))
    _print_summary(symbols, f"from {start} to {end}", summary, time.monotonic() - began)
    if not summary.is_whole:
        raise typer.Exit(1)


@app.command()
def daily(
    symbols: Annotated[
        str,
        typer.Argument(
            metavar="SYMBOLS",
            envvar="PIPELINE_SYMBOLS",
            help="Such as BTCUSDT,ETHUSDT.",
            autocompletion=symbols_from,
        ),
    ],
    day: Annotated[
        str | None, typer.Option(metavar="DAY", help="The newest day, YYYY-MM-DD; yesterday by default.")
    ] = None,
) -> None:
    """Load yesterday, and what is new or revised of the week before; for a scheduler that calls it every hour.

    A day that is not published yet is left to the next call; after 36 hours the command ends with code 1.
    """
    chosen = parsed("SYMBOLS", parse_symbols, symbols.upper())
    now = dt.datetime.now(dt.UTC)
    newest = parsed("--day", parse_day, day) if day else now.date() - dt.timedelta(days=1)
    start, began = first_checked(newest), time.monotonic()
    with shown_progress() as progress, CloudServices(_cloud(), progress) as services:
        summary = asyncio.run(Backfill(services, chosen, start, newest, progress).run(revised=True))
    _print_summary(list(chosen), f"from {start} to {newest}", summary, time.monotonic() - began)
    absent = overdue(summary.not_published, now)
    for item in absent:
        STDERR.print(f"not published 36 hours after its end: {item.symbol} {item.day}")
    if absent or summary.failed or summary.not_fetched:
        raise typer.Exit(1)


@app.command()
def candles(  # noqa: PLR0913, PLR0917  # a command's options
    symbol: Symbol,
    start: Start,
    end: End = None,
    interval: Annotated[
        str,
        typer.Option(
            metavar="|".join(INTERVALS),
            help="Length of a candle; any that divides a day.",
            autocompletion=intervals_from,
        ),
    ] = "1m",
    plane: Annotated[
        str,
        typer.Option(metavar="|".join(PLANES), help="The plane of the candles.", autocompletion=planes_from),
    ] = "best",
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Print candles."""
    if plane not in PLANES:
        raise typer.BadParameter(f"must be best, archive or live, got {plane}", param_hint="--plane")
    span = span_of(symbol, start, end)
    interval_us = parsed("--interval", parse_interval, interval)
    rows = map(candle_row, read_candles(_cloud(), span, plane, interval_us))
    if not write_rows(CANDLE_COLUMNS, rows, output_format, schema=candle_schema):
        STDERR.print(f"No candles; load the days with `pipeline backfill {span.symbol} {span.start} {span.end}`.")


@app.command()
def trades(symbol: Symbol, start: Start, end: End = None, output_format: OutputFormat = Format.TABLE) -> None:
    """Print the trades in the lake, in matching order."""
    span = span_of(symbol, start, end)
    if not write_rows(TRADE_COLUMNS, read_trades(_cloud(), span), output_format, schema=trade_schema):
        STDERR.print(f"No trades; load the days with `pipeline backfill {span.symbol} {span.start} {span.end}`.")


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(help="DuckDB SQL over trades, candles, candles_best, candle_history, gaps and ingests.")
    ],
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Run a query on the lake's trades, the candles and the ingests; vwap(symbol, volume, turnover) fits any symbol."""
    import duckdb

    try:
        reader = run_sql(_cloud(), query)
        if output_format in BINARY:
            write_batches(reader.schema, reader, output_format)
        else:
            write_rows(reader.schema.names, rows_of(reader), output_format)
    except duckdb.Error as error:
        raise CommandError(str(error).strip()) from error


@app.command()
def replay(
    symbol: Symbol,
    start: Start,
    end: End = None,
    speed: Annotated[float, typer.Option(min=0, help="Multiple of real time; 0 is as fast as possible.")] = 1.0,
    topic: Annotated[str, typer.Option(help="The topic to send to; created if it is absent.")] = REPLAY_TOPIC,
) -> None:
    """Send days of the lake to a topic as if they were live, heartbeats included."""
    from local.command.replay import due_records
    from local.command.replay import replay as run_replay

    span = span_of(symbol, start, end)
    cloud = _cloud()
    with shown_progress() as progress:
        title = f"replaying {span.symbol}"
        progress.step(title, None)
        records = due_records(lake_trades(cloud, span))
        sent = run_replay(records, topic, cloud.kafka(), speed, partial(progress.advance, title))
    STDERR.print(f"Sent {sent} trades to {topic}.")


@app.command()
def tail(symbol: Symbol) -> None:
    """Show the forming candle and the latest trades until interrupted."""
    from local.command.tail import show

    show(parsed("SYMBOL", symbol_in, symbol), _cloud().kafka())


def _cloud() -> Cloud:
    """The clients of the running stack or of Google Cloud, whose variables this process has from here on."""
    environ = environment(stack_home(os.environ), os.environ)
    replace_process_environ(environ)
    return Cloud(environ)


def _backfill_by_airflow(cloud: Cloud, symbols: list[str], start: dt.date, end: dt.date, *, again: bool) -> None:
    from local.command.airflow import AirflowApi, run_backfill

    if not cloud.settings.airflow_url:
        raise CommandError("no Airflow is up; start one with `pipeline up --airflow`")
    params = {"symbols": symbols, "start": start.isoformat(), "end": end.isoformat(), "force": again}
    began = time.monotonic()
    with shown_progress() as progress:
        result = run_backfill(AirflowApi(cloud.settings.airflow_url), params, progress)
    rows = [*map(tuple, result["rows"]), ("seconds", round(time.monotonic() - began, 1))]
    _print_table(symbols, f"from {start} to {end}", rows, result["remarks"])
    if not result["is_whole"]:
        raise typer.Exit(1)


def _print_summary(symbols: list[str], days: str, summary: Summary, seconds: float) -> None:
    _print_table(symbols, days, [*summary.rows(), ("seconds", round(seconds, 1))], summary.remarks())


def _print_table(symbols: list[str], days: str, rows: list[tuple[Any, ...]], remarks: list[str]) -> None:
    subject = ",".join(symbols) if len(symbols) <= _NAMED_SYMBOLS else f"{len(symbols)} symbols"
    if not dict(rows)["days planned"]:
        STDERR.print(f"Nothing is missing of {subject} {days}.")
        return
    write_rows((f"{subject} {days}", ""), rows, Format.TABLE)
    for remark in remarks:
        STDERR.print(remark)
