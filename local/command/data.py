"""The data commands of `pipeline`: backfill, candles, trades, sql, replay and tail.

Imported by `local.command.__main__`. They work on a running stack or on Google Cloud, and import nothing of the stack.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bitcoin_pipeline.ingests import IngestStatus, SymbolDay
from bitcoin_pipeline.names import REPLAY_TOPIC
from bitcoin_pipeline.times import parse_interval
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
from local.command.backfill import Backfill, Summary
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
) -> None:
    """Load the days that are missing: fetch their files, compute candles, publish."""
    symbols, start, end = symbols_and_days(words, symbols_file)
    cloud = _cloud()
    began = time.monotonic()
    with shown_progress() as progress, CloudServices(cloud, progress) as services:
        summary = asyncio.run(Backfill(services, symbols, start, end, progress).run(again=again))
    _print_summary(symbols, f"from {start} to {end}", summary, time.monotonic() - began)
    failed = any(ingest.status is IngestStatus.FAILED for ingest in summary.ingests)
    if summary.not_fetched or summary.still_failed or failed:
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


def _print_summary(symbols: list[str], days: str, summary: Summary, seconds: float) -> None:
    subject = ",".join(symbols) if len(symbols) <= _NAMED_SYMBOLS else f"{len(symbols)} symbols"
    if not summary.planned:
        STDERR.print(f"Nothing is missing of {subject} {days}.")
        return
    loaded = [ingest for ingest in summary.ingests if ingest.status is IngestStatus.LOADED]
    failed = [ingest for ingest in summary.ingests if ingest.status is IngestStatus.FAILED]
    rows = [
        ("days planned", len(summary.planned)),
        ("days loaded", len(loaded)),
        ("days without trades", sum(ingest.status is IngestStatus.NO_TRADES for ingest in summary.ingests)),
        ("days unchanged", len(summary.unchanged)),
        ("days not published yet", len(summary.not_published)),
        ("days not fetched", len(summary.not_fetched)),
        ("days failed", len(failed) + len(summary.still_failed)),
        ("trades", sum(ingest.trades for ingest in loaded)),
        ("duplicates dropped", sum(ingest.duplicates for ingest in loaded)),
        ("rows quarantined", sum(ingest.quarantined for ingest in loaded)),
        ("candles", summary.candles),
        ("seconds", round(seconds, 1)),
    ]
    write_rows((f"{subject} {days}", ""), rows, Format.TABLE)

    def named(item: SymbolDay) -> str:
        return item.day.isoformat() if len(symbols) == 1 else f"{item.symbol} {item.day}"

    for item in summary.not_published:
        STDERR.print(f"not published yet: {named(item)}")
    for item, reason in sorted(summary.not_fetched.items()):
        STDERR.print(f"not fetched: {named(item)}: {reason}")
    for ingest in failed:
        STDERR.print(f"failed: {named(ingest.item)}: {ingest.reason}")
    for ingest in summary.still_failed:
        STDERR.print(f"still failed, file unchanged, not computed again: {named(ingest.item)}: {ingest.reason}")
