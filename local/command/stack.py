"""The stack commands of `pipeline`: up, down, status and fault.

Imported by `local.command.__main__`. Only a checkout has a stack, so its packages are imported when a command runs.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitcoin_pipeline.settings import read_settings
from local.checkout import IS_CHECKOUT, ROOT
from local.command.arguments import CommandError
from local.command.cloud import CloudSettings, environment
from local.command.operate import names_a_project, print_cloud_status
from local.command.output import STDERR, Format, write_rows
from local.environment import read_env_file, stack_home

if TYPE_CHECKING:
    from local.stack.lifecycle import LocalStack
    from local.stack.options import Options
    from local.stack.status import ServiceStatus

app = typer.Typer()

_FIRST_DAYS = 3
"""Number of finished days that a stack without options loads, so that its chart has a history."""


class MarketSource(StrEnum):
    """Where trades come from."""

    SIMULATOR = "simulator"
    BYBIT = "bybit"


class Backing(StrEnum):
    """How services run."""

    PROCESS = "process"
    CONTAINER = "container"


@app.command()
def up(  # noqa: PLR0913, PLR0917  # a command's options
    archive_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of Bybit's daily files, flat or as SYMBOL/FILE; the synthetic market by default."),
    ] = None,
    capture: Annotated[
        Path | None,
        typer.Option(help="File of recorded websocket frames, one a line, to play; the synthetic market by default."),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0, help="Speed of the capture: 1 as recorded, 0 as fast as possible.")
    ] = None,
    source: Annotated[
        MarketSource, typer.Option(help="The exchange: simulated, or the real one (PIPELINE_SYMBOLS, BYBIT_*).")
    ] = MarketSource.SIMULATOR,
    backing: Annotated[
        Backing,
        typer.Option(help="How stores, functions, producer and dashboard run; containers need Docker."),
    ] = Backing.PROCESS,
    print_compose: Annotated[
        bool, typer.Option("--print-compose", help="Start nothing; print the containers as a file of docker compose.")
    ] = False,
    add_files: Annotated[
        Path | None, typer.Option(help="Folder of Bybit's daily files, for the synthetic market in place of its own.")
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            min=0,
            envvar="PIPELINE_HISTORY_DAYS",
            help="Number of finished days of the synthetic market to load in the background; 3 without other options.",
        ),
    ] = None,
    airflow: Annotated[
        bool, typer.Option("--airflow", help="Also run Airflow with the DAGs; the first time, install it (2.0 GB).")
    ] = False,
) -> None:
    """Start a stack on this machine and leave it running."""
    began = time.monotonic()
    if print_compose and backing is not Backing.CONTAINER:
        raise typer.BadParameter("goes with --backing container", param_hint="--print-compose")
    with _local_stack() as stack:
        if airflow:
            _install_airflow()
        from local.stack.progress import reported
        from local.stack.stores import preparations

        options = _options(archive_dir, capture, speed, source, add_files)
        options = replace(options, airflow=airflow, images=_images() if backing is Backing.CONTAINER else None)
        if print_compose:
            typer.echo(stack.compose(options))
            return
        days = _days_to_load(options, days)
        with reported(STDERR, "up") as report:
            started = stack.up(options, preparations, report)
        if not started:
            STDERR.print(f"The stack in {stack.home} is up already.")
        _print_stack(stack.status())
    if started:
        _load_last_days(stack, days)
        STDERR.print(f"The stack is up after {time.monotonic() - began:.1f} s.")


@app.command()
def down(
    remove_data: Annotated[bool, typer.Option("--remove-data", help="Also remove all that the stack stored.")] = False,
) -> None:
    """Stop the stack; its data stays for the next `up`."""
    began = time.monotonic()
    with _local_stack() as stack:
        from local.stack.progress import reported

        with reported(STDERR, "down") as report:
            was_up = stack.down(report, remove_data=remove_data)
    seconds = time.monotonic() - began
    STDERR.print(f"The stack in {stack.home} is down after {seconds:.1f} s." if was_up else "Nothing was up.")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="JSON for programs.")] = False,
) -> None:
    """Show every service, or every part on Google Cloud; exit code 1 unless all of them work."""
    if names_a_project(os.environ):
        print_cloud_status(as_json=as_json)
        return
    with _local_stack() as stack:
        services = stack.status()
        is_up = stack.is_up()
    if as_json:
        described = [
            {name: getattr(item, name) for name in ("name", "address", "state", "answers", "works", "reason", "pid")}
            for item in services
        ]
        typer.echo(json.dumps({"up": is_up, "home": str(stack.home), "services": described}, indent=2))
    elif services:
        _print_services(services)
    else:
        STDERR.print(f"No stack is up in {stack.home}; start one with `pipeline up`.")
    if not is_up or not all(item.works for item in services):
        raise typer.Exit(1)


@app.command()
def fault(
    name: Annotated[
        str, typer.Argument(help="Fault of the simulated exchange; `list` shows the faults, `clear` ends them.")
    ],
    parameters: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
) -> None:
    """Make the exchange simulator misbehave: drop, half_open, silence, garbage, ban and others."""
    import requests

    simulator = read_settings(CloudSettings, environment(stack_home(os.environ), os.environ)).simulator_url
    if not simulator:
        raise CommandError("there is no exchange simulator to misbehave; start one with `pipeline up`")
    address = f"{simulator}/control/faults"
    if name == "list":
        answer = requests.get(address, timeout=10)
    elif name == "clear":
        answer = requests.delete(address, timeout=10)
    else:
        answer = requests.post(address, json=_fault_of(name, parameters or []), timeout=10)
    if not answer.ok:
        raise CommandError(str(answer.json()["error"]))
    if answer.text:
        typer.echo(answer.text)


@contextmanager
def _local_stack() -> Iterator[LocalStack]:
    """The user's stack. Raises CommandError without a checkout, and for every error of the stack."""
    home = stack_home(os.environ)
    if not IS_CHECKOUT or home is None:
        raise CommandError(
            "a stack is started from a checkout of the project; this installation has the data commands only"
        )
    from local.stack.lifecycle import LocalStack
    from local.stack.state import StackError

    try:
        yield LocalStack(home)
    except StackError as error:
        raise CommandError(str(error)) from error


def _install_airflow() -> None:
    """Install Airflow unless it is installed. Raises CommandError."""
    if subprocess.run((sys.executable, "-m", "local.setup", "airflow"), cwd=ROOT, check=False).returncode:
        raise CommandError("Airflow cannot be installed; `make setup-airflow` tries it again")


def _options(
    archive_dir: Path | None, capture: Path | None, speed: float | None, source: MarketSource, add_files: Path | None
) -> Options:
    """The options of `up`. Raises CommandError, typer.BadParameter and SettingsError."""
    from local.stack.options import Options, bybit_chosen, synthetic_chosen

    for name, folder in (("--archive-dir", archive_dir), ("--add-files", add_files)):
        if folder is not None and not folder.is_dir():
            raise CommandError(f"{name} must be a folder, got {folder}")
    if add_files is not None and (archive_dir or source is MarketSource.BYBIT):
        raise typer.BadParameter("goes with the synthetic market's archive", param_hint="--add-files")
    if capture is not None and not capture.is_file():
        raise CommandError(f"--capture must be a file, got {capture}")
    if speed is not None and capture is None:
        raise typer.BadParameter("goes with --capture", param_hint="--speed")
    is_real = source is MarketSource.BYBIT
    if is_real and (archive_dir or capture):
        raise typer.BadParameter("bybit is the exchange itself, not files of it", param_hint="--source")
    return Options(
        str(archive_dir.resolve()) if archive_dir else None,
        str(capture.resolve()) if capture else None,
        speed,
        {} if capture or is_real else synthetic_chosen(os.environ),
        bybit_chosen(os.environ) if is_real else None,
        add_files=str(add_files.resolve()) if add_files else None,
    )


def _days_to_load(options: Options, days: int | None) -> int:
    """The number of days that `up` loads. Raises typer.BadParameter where `days` does not go with the options."""
    from local.stack.options import Options

    is_synthetic = not (options.archive_dir or options.capture or options.bybit is not None)
    if days and not is_synthetic:
        raise typer.BadParameter("goes with the synthetic market", param_hint="--days")
    if days is None:
        # The days of a market with another rate may be large.
        plain = Options(add_files=options.add_files, airflow=options.airflow, images=options.images)
        return _FIRST_DAYS if options == plain else 0
    return days


def _load_last_days(stack: LocalStack, days: int) -> None:
    """Begin to load the last finished days of the synthetic market, by a process that `down` ends."""
    if not days:
        return
    from local.exchange.archive.synthetic import last_published
    from local.stack.supervision import HOME_VARIABLE

    last = last_published(dt.datetime.now(dt.UTC))
    first = last - dt.timedelta(days=days - 1)
    symbols = read_env_file(stack.env_file)["PIPELINE_SYMBOLS"]
    log = stack.home / "logs" / "backfill.log"
    with log.open("wb") as output:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "local.command", "backfill", symbols, str(first), str(last)],
            cwd=ROOT,
            env={**os.environ, "PIPELINE_HOME": str(stack.home), HOME_VARIABLE: str(stack.home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    STDERR.print(f"The days {first} to {last} of {symbols} are being loaded; progress: {log}", markup=False)


def _images() -> dict[str, str]:
    """The images that the user has replaced. Raises CommandError."""
    from local.backing.images import chosen

    try:
        return chosen(os.environ)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _print_stack(services: Sequence[ServiceStatus]) -> None:
    """Print the services, what does not work, and the address of the dashboard."""
    from local.backing.pubsub import INSTALL

    _print_services(services)
    if all(item.name != "pubsub" for item in services):
        STDERR.print(f"Events are off: no Pub/Sub emulator is installed ({INSTALL}).")
    for item in services:
        if not item.works:
            STDERR.print(f"{item.name} cannot work yet and goes on trying: {item.reason}", markup=False)
    for item in services:
        if item.name == "dashboard" and item.answers:
            STDERR.print(f"The dashboard: {item.address}", markup=False)
        if item.name == "airflow" and item.answers:
            STDERR.print(f"Airflow, which needs no login: {item.address}", markup=False)


def _print_services(services: Sequence[ServiceStatus]) -> None:
    rows = ((item.name, item.address, item.state + _trouble(item)) for item in services)
    write_rows(("service", "address", "state"), rows, Format.TABLE)


def _trouble(item: ServiceStatus) -> str:
    if item.works:
        return ""
    return ", cannot work yet" if item.answers else ", does not answer"


def _fault_of(name: str, parameters: Sequence[str]) -> dict[str, Any]:
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
