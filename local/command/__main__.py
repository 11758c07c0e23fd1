"""The `pipeline` command: a stack on this machine, and the data commands for it or for Google Cloud.

Imported by nobody. Exit codes: 0 done, 1 not done (the one line on stderr says why), 2 wrong usage.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bitcoin_pipeline.ingests import IngestStatus
from bitcoin_pipeline.names import REPLAY_TOPIC
from bitcoin_pipeline.settings import SettingsError
from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import parse_day, parse_interval
from local.backing.pubsub import INSTALL
from local.checkout import ROOT
from local.command.backfill import BackfillError, Summary
from local.command.backfill import backfill as run_backfill
from local.command.cloud import Cloud, environment
from local.command.output import STDERR, Format, write_rows
from local.command.queries import CANDLE_COLUMNS, TRADE_COLUMNS, Span, candle_row, lake_trades
from local.command.queries import candles as read_candles
from local.command.queries import sql as run_sql
from local.command.queries import trades as read_trades
from local.command.replay import ReplayError
from local.stack.lifecycle import LocalStack, Options, ServiceStatus, StackError, bybit_chosen, invented_chosen
from local.stack.progress import reported

app = typer.Typer(
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Bybit's trades as candles that can be trusted: a stack on this machine, and its data.",
)


_T = TypeVar("_T")

_INTERRUPTED = 130


class MarketSource(StrEnum):
    """Where trades come from."""

    SIMULATOR = "simulator"
    BYBIT = "bybit"


class Fault(Exception):  # noqa: N818  # told to the user, not raised at one
    """What the command tells in one line before it ends with exit code 1."""


Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as BTCUSDT.")]
Start = Annotated[str, typer.Argument(metavar="START", help="First UTC day, YYYY-MM-DD.")]
End = Annotated[str | None, typer.Argument(metavar="[END]", help="Last UTC day, included; START by default.")]
OutputFormat = Annotated[Format, typer.Option("--format", help="For people, or for programs.")]


@app.command()
def up(
    archive_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of Bybit's daily files, flat or as SYMBOL/FILE; an invented market by default."),
    ] = None,
    capture: Annotated[
        Path | None,
        typer.Option(help="File of recorded websocket frames, one a line, to play live; else the invented market."),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0, help="Of the capture: 1 as recorded, 0 as fast as possible.")
    ] = None,
    source: Annotated[
        MarketSource, typer.Option(help="The exchange: simulated, or the real one (PIPELINE_SYMBOLS, BYBIT_*).")
    ] = MarketSource.SIMULATOR,
) -> None:
    """Start the stand-ins on this machine and leave them running."""
    from local.stack.stores import preparations

    began = time.monotonic()
    if archive_dir is not None and not archive_dir.is_dir():
        raise Fault(f"--archive-dir must be a folder, got {archive_dir}")
    if capture is not None and not capture.is_file():
        raise Fault(f"--capture must be a file, got {capture}")
    if speed is not None and capture is None:
        raise typer.BadParameter("goes with --capture", param_hint="--speed")
    is_real = source is MarketSource.BYBIT
    if is_real and (archive_dir or capture):
        raise typer.BadParameter("bybit is the exchange itself, not files of it", param_hint="--source")
    stack = LocalStack(_home())
    options = Options(
        str(archive_dir.resolve()) if archive_dir else None,
        str(capture.resolve()) if capture else None,
        speed,
        {} if capture or is_real else invented_chosen(os.environ),
        bybit_chosen(os.environ) if is_real else None,
    )
    with reported(STDERR, "up") as report:
        started = stack.up(options, preparations, report)
    if not started:
        STDERR.print(f"The stack in {stack.home} is up already.")
    services = stack.status()
    _print_services(services)
    if all(item.name != "pubsub" for item in services):
        STDERR.print(f"Events are off: no Pub/Sub emulator is installed ({INSTALL}).")
    for item in services:
        if not item.works:
            STDERR.print(f"{item.name} cannot work yet and goes on trying: {item.reason}", markup=False)
    for item in services:
        if item.name == "dashboard" and item.answers:
            STDERR.print(f"The dashboard: {item.address}", markup=False)
    if started:
        STDERR.print(f"The stack is up after {time.monotonic() - began:.1f} s.")


@app.command()
def down(
    remove_data: Annotated[bool, typer.Option("--remove-data", help="Also remove all that the stack stored.")] = False,
) -> None:
    """Stop the stand-ins; their data stays for the next `up`."""
    began = time.monotonic()
    stack = LocalStack(_home())
    with reported(STDERR, "down") as report:
        was_up = stack.down(report, remove_data=remove_data)
    seconds = time.monotonic() - began
    STDERR.print(f"The stack in {stack.home} is down after {seconds:.1f} s." if was_up else "Nothing was up.")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what runs; exit code 1 unless all of it answers."""
    stack = LocalStack(_home())
    services = stack.status()
    if as_json:
        described = [
            {name: getattr(item, name) for name in ("name", "address", "state", "answers", "works", "reason", "pid")}
            for item in services
        ]
        typer.echo(json.dumps({"up": stack.is_up(), "home": str(stack.home), "services": described}, indent=2))
    elif services:
        _print_services(services)
    else:
        STDERR.print(f"No stack is up in {stack.home}; start one with `pipeline up`.")
    if not stack.is_up() or not all(item.works for item in services):
        raise typer.Exit(1)


@app.command()
def backfill(
    symbol: Symbol,
    start: Start,
    end: End = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also days loaded already, whose file may have changed.")
    ] = False,
) -> None:
    """Load the days that are missing: fetch their files, compute candles, publish."""
    span = _span(symbol, start, end)
    cloud = _cloud()
    began = time.monotonic()
    with _shown_progress() as progress:
        summary = run_backfill(cloud, span, progress, again=again)
    _print_summary(span, summary, time.monotonic() - began)
    if summary.not_fetched or any(ingest.status is IngestStatus.FAILED for ingest in summary.ingests):
        raise typer.Exit(1)


@app.command()
def candles(  # noqa: PLR0913, PLR0917  # a command's options
    symbol: Symbol,
    start: Start,
    end: End = None,
    interval: Annotated[str, typer.Option(metavar="1m|5m|15m|1h|4h|1d", help="Length; any that divides a day.")] = "1m",
    plane: Annotated[str, typer.Option(metavar="best|archive|live", help="Which plane's candles.")] = "best",
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Print candles."""
    if plane not in ("best", "archive", "live"):
        raise typer.BadParameter(f"must be best, archive or live, got {plane}", param_hint="--plane")
    span = _span(symbol, start, end)
    interval_us = _parsed("--interval", parse_interval, interval)
    rows = map(candle_row, read_candles(_cloud(), span, plane, interval_us))
    if not write_rows(CANDLE_COLUMNS, rows, output_format):
        STDERR.print(f"No candles; load the days with `pipeline backfill {symbol} {span.start} {span.end}`.")


@app.command()
def trades(symbol: Symbol, start: Start, end: End = None, output_format: OutputFormat = Format.TABLE) -> None:
    """Stream ticks from the lake, in matching order."""
    span = _span(symbol, start, end)
    if not write_rows(TRADE_COLUMNS, read_trades(_cloud(), span), output_format):
        STDERR.print(f"No trades; load the days with `pipeline backfill {symbol} {span.start} {span.end}`.")


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(help="DuckDB SQL over trades, candles, candles_best, candle_history and ingests.")
    ],
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Run a query on the lake's ticks, the candles and the ingests."""
    import duckdb

    try:
        names, rows = run_sql(_cloud(), query)
        write_rows(names, rows, output_format)
    except duckdb.Error as error:
        raise Fault(str(error).strip().replace("\n", " | ")) from error


@app.command()
def replay(
    symbol: Symbol,
    start: Start,
    end: End = None,
    speed: Annotated[float, typer.Option(min=0, help="Times real time; 0 is as fast as possible.")] = 1.0,
    topic: Annotated[str, typer.Option(help="Where to send; made if it is absent.")] = REPLAY_TOPIC,
) -> None:
    """Send days of the lake to a topic as if they were live, heartbeats included."""
    from local.command.replay import due_records
    from local.command.replay import replay as run_replay

    span = _span(symbol, start, end)
    cloud = _cloud()
    with _shown_progress() as progress:
        progress.step(f"replaying {span.symbol}", None)
        records = due_records(lake_trades(cloud, span))
        sent = run_replay(records, topic, cloud.kafka(), speed, progress.advance)
    STDERR.print(f"Sent {sent} trades to {topic}.")


@app.command()
def fault(
    name: Annotated[str, typer.Argument(help="What the simulated exchange does; `list` and `clear` are no faults.")],
    parameters: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
) -> None:
    """Make the exchange simulator misbehave: drop, half_open, silence, garbage, ban and others."""
    import requests

    simulator = _cloud().settings.simulator_url
    if not simulator:
        raise Fault("there is no exchange simulator to misbehave; start one with `pipeline up`")
    address = f"{simulator}/control/faults"
    if name == "list":
        answer = requests.get(address, timeout=10)
    elif name == "clear":
        answer = requests.delete(address, timeout=10)
    else:
        answer = requests.post(address, json=_fault_of(name, parameters or []), timeout=10)
    if not answer.ok:
        raise Fault(str(answer.json()["error"]))
    if answer.text:
        typer.echo(answer.text)


def _fault_of(name: str, parameters: list[str]) -> dict[str, Any]:
    fault: dict[str, Any] = {"fault": name}
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not equals:
            raise typer.BadParameter(f"a parameter is KEY=VALUE, got {parameter}", param_hint="KEY=VALUE")
        try:
            fault[key] = json.loads(value)
        except json.JSONDecodeError:
            fault[key] = value
    return fault


@app.command()
def tail(symbol: Symbol) -> None:
    """Show the growing candle and the tape until interrupted."""
    from local.command.tail import show

    show(_parsed("SYMBOL", parse_symbol, symbol), _cloud().kafka())


class _ShownProgress:
    """Progress bars on stderr."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: int | None = None

    def step(self, title: str, total: int | None) -> None:
        """See local.command.backfill.Progress."""
        self.finish()
        self._task = self._bars.add_task(title, total=total)

    def advance(self) -> None:
        """See local.command.backfill.Progress."""
        if self._task is not None:
            self._bars.advance(self._task)  # type: ignore[arg-type]  # rich's TaskID is an int

    def note(self, text: str) -> None:
        """See local.command.backfill.Progress."""
        self._bars.console.print(text)

    def finish(self) -> None:
        """Stop the clock of the step at hand."""
        if self._task is not None and self._bars.tasks[self._task].total is None:
            self._bars.update(self._task, total=1, completed=1)  # type: ignore[arg-type]  # rich's TaskID is an int


@contextmanager
def _shown_progress() -> Iterator[_ShownProgress]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=STDERR) as bars:
        shown = _ShownProgress(bars)
        yield shown
        shown.finish()


def _print_services(services: list[ServiceStatus]) -> None:
    rows = ((item.name, item.address, item.state + _trouble(item)) for item in services)
    write_rows(("service", "address", "state"), rows, Format.TABLE)


def _trouble(item: ServiceStatus) -> str:
    if item.works:
        return ""
    return ", cannot work yet" if item.answers else ", silent"


def _print_summary(span: Span, summary: Summary, seconds: float) -> None:
    if not summary.planned:
        STDERR.print(f"Nothing is missing of {span.symbol} from {span.start} to {span.end}.")
        return
    loaded = [ingest for ingest in summary.ingests if ingest.status is IngestStatus.LOADED]
    rows = [
        ("days planned", len(summary.planned)),
        ("days loaded", len(loaded)),
        ("days without trades", sum(ingest.status is IngestStatus.NO_TRADES for ingest in summary.ingests)),
        ("days not published yet", len(summary.not_published)),
        ("days not fetched", len(summary.not_fetched)),
        ("days failed", sum(ingest.status is IngestStatus.FAILED for ingest in summary.ingests)),
        ("trades", sum(ingest.trades for ingest in loaded)),
        ("duplicates dropped", sum(ingest.duplicates for ingest in loaded)),
        ("rows quarantined", sum(ingest.quarantined for ingest in loaded)),
        ("candles", summary.candles),
        ("seconds", round(seconds, 1)),
    ]
    write_rows((f"{span.symbol} {span.start} to {span.end}", ""), rows, Format.TABLE)
    for item in summary.not_published:
        STDERR.print(f"not published yet: {item.day}")
    for item, reason in sorted(summary.not_fetched.items()):
        STDERR.print(f"not fetched: {item.day}: {reason}")
    for ingest in summary.ingests:
        if ingest.status is IngestStatus.FAILED:
            STDERR.print(f"failed: {ingest.item.day}: {ingest.reason}")


def _home() -> Path:
    return Path(os.environ.get("PIPELINE_HOME") or ROOT / ".pipeline")


def _cloud() -> Cloud:
    return Cloud(environment(_home(), os.environ))


def _span(symbol: str, start: str, end: str | None) -> Span:
    span = Span(
        _parsed("SYMBOL", parse_symbol, symbol),
        _parsed("START", parse_day, start),
        _parsed("END", parse_day, end or start),
    )
    if span.end < span.start:
        raise typer.BadParameter(f"must not be before START {span.start}, got {span.end}", param_hint="END")
    return span


def _parsed(name: str, parse: Callable[[str], _T], text: str) -> _T:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from error


def main() -> None:
    """Run the command; every foreseen error becomes one line."""
    import psycopg
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    try:
        # typer returns the code of typer.Exit when it does not stand alone, and 130 for an interrupt.
        code = app(prog_name="pipeline", standalone_mode=False) or 0
        _end_interrupted() if code == _INTERRUPTED else sys.exit(code)
    except typer.TyperException as error:
        _end_with(f"{_usage_message(error)} (see `pipeline --help`)", code=2)
    except (KeyboardInterrupt, typer.Abort):
        _end_interrupted()
    except (Fault, StackError, SettingsError, BackfillError, ReplayError) as error:
        _end_with(str(error))
    except psycopg.Error as error:
        _end_with(f"the live database: {str(error).splitlines()[0]}; --plane archive does without it")
    except (GoogleAPICallError, GoogleAuthError) as error:
        _end_with(f"Google's API: {str(error).splitlines()[0]}")
    except BrokenPipeError:  # whoever read stdout has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a full disk, a lake that does not answer
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end_with(str(error).splitlines()[0])


def _usage_message(error: typer.TyperException) -> str:
    return str(error.format_message() if isinstance(error, typer.BadParameter) else error)


def _end_interrupted() -> None:
    STDERR.print("error: interrupted; the same command goes on where it stopped")
    sys.stdout.flush()
    os._exit(_INTERRUPTED)  # not waiting for what threads are still at


def _end_with(message: str, code: int = 1) -> None:
    STDERR.print(f"error: {message}", markup=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
