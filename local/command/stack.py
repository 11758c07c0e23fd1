"""The stack commands of `pipeline`: up, down, status and fault.

Imported by `local.command.__main__`. Only a checkout has a stack, so its packages are imported when a command runs.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitcoin_pipeline.settings import read_settings
from local.checkout import IS_CHECKOUT
from local.command.arguments import CommandError
from local.command.cloud import CloudSettings, environment
from local.command.output import STDERR, Format, write_rows
from local.environment import stack_home

if TYPE_CHECKING:
    from local.stack.lifecycle import LocalStack
    from local.stack.options import Options
    from local.stack.status import ServiceStatus

app = typer.Typer()


class MarketSource(StrEnum):
    """Where trades come from."""

    SIMULATOR = "simulator"
    BYBIT = "bybit"


class Backing(StrEnum):
    """How services run."""

    PROCESS = "process"
    CONTAINER = "container"


@app.command()
def up(  # noqa: PLR0913, PLR0917  # its options
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
) -> None:
    """Start a stack on this machine and leave it running."""
    began = time.monotonic()
    if print_compose and backing is not Backing.CONTAINER:
        raise typer.BadParameter("goes with --backing container", param_hint="--print-compose")
    with _local_stack() as stack:
        from local.stack.progress import reported
        from local.stack.stores import preparations

        options = _options(archive_dir, capture, speed, source, backing)
        if print_compose:
            typer.echo(stack.compose(options))
            return
        with reported(STDERR, "up") as report:
            started = stack.up(options, preparations, report)
        if not started:
            STDERR.print(f"The stack in {stack.home} is up already.")
        _print_stack(stack.status())
    if started:
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
    """Show every service; exit code 1 unless all of them work."""
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


def _options(
    archive_dir: Path | None, capture: Path | None, speed: float | None, source: MarketSource, backing: Backing
) -> Options:
    """The options of `up`. Raises CommandError, typer.BadParameter and SettingsError."""
    from local.stack.options import Options, bybit_chosen, synthetic_chosen

    if archive_dir is not None and not archive_dir.is_dir():
        raise CommandError(f"--archive-dir must be a folder, got {archive_dir}")
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
        _images() if backing is Backing.CONTAINER else None,
    )


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
