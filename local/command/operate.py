"""The commands of `pipeline` that operate it: cost, and live pause and resume; and what `status` shows of the cloud.

Imported by `local.command.__main__` and `local.command.stack`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Final

import typer

from bitcoin_pipeline.deployment import PROJECT_VARIABLE
from bitcoin_pipeline.symbols import parse_symbol
from local.checkout import IS_CHECKOUT
from local.command.arguments import CommandError, OutputFormat, parsed
from local.command.cloud import environment
from local.command.cloud_state import DeployedParts
from local.command.costs.monthly import Item, UnknownPriceError, monthly_items, price_table
from local.command.costs.shapes import SHAPES, Environment, Work
from local.command.output import STDERR, Format, write_rows
from local.environment import env_file, read_env_file, replace_process_environ, stack_home

app = typer.Typer()
live_app = typer.Typer(help="Pause or resume the live feed.")
app.add_typer(live_app, name="live")

PRODUCER: Final = "producer"
_DEFAULT_WORK: Final = Work()


@app.command()
def cost(
    environment_name: Annotated[
        Environment, typer.Option("--environment", help="A file of values in terraform/environments.")
    ] = Environment.SMALL,
    days: Annotated[int, typer.Option(min=1, help="Stored days of each symbol; the whole archive by default.")] = (
        _DEFAULT_WORK.days
    ),
    symbols: Annotated[str, typer.Option(help="Symbols, comma-separated.")] = "BTCUSDT",
    region: Annotated[str, typer.Option(help="Region of Google Cloud.")] = "europe-west1",
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Show what an environment costs a month, item by item, by list prices."""
    names = {parsed("--symbols", parse_symbol, symbol.strip()) for symbol in symbols.split(",")}
    table = price_table()
    try:
        items = monthly_items(SHAPES[environment_name], Work(len(names), days), region, table)
    except UnknownPriceError as error:
        raise CommandError(str(error)) from error
    total = Item("total", "", sum(item.dollars for item in items))
    rows = [(item.name, item.quantity, f"{item.dollars:.2f}") for item in (*items, total)]
    write_rows(("item", "quantity", "dollars a month"), rows, output_format)
    STDERR.print(
        f"List prices of {table['date']}, {region}, without taxes, discounts and what leaves Google's network; "
        "nothing of it was measured on a bill."
    )


@live_app.command()
def pause() -> None:
    """Stop the producer; what it does not receive meanwhile becomes a gap."""
    _set_producer(0)


@live_app.command()
def resume() -> None:
    """Start the producer again."""
    _set_producer(1)


def names_a_project(environ: Mapping[str, str]) -> bool:
    """Whether `environ` names a Google Cloud project of the user's own rather than a stack on this machine."""
    home = stack_home(environ)
    stack = read_env_file(env_file(home)) if home else {}
    project = environ.get(PROJECT_VARIABLE)
    return bool(project) and project != stack.get(PROJECT_VARIABLE)


def print_cloud_status(*, as_json: bool) -> None:
    """Print the state of every part on Google Cloud. Raises typer.Exit(1) unless all of them work."""
    replace_process_environ(environment(stack_home(os.environ), os.environ))
    deployed = DeployedParts(os.environ)
    parts = deployed.parts()
    if as_json:
        described = [{"name": p.name, "state": p.state, "detail": p.detail, "works": p.works} for p in parts]
        typer.echo(json.dumps({"project": deployed.names.project, "parts": described}, indent=2))
    else:
        write_rows(("part", "state", "detail"), ((p.name, p.state, p.detail) for p in parts), Format.TABLE)
    if not all(part.works for part in parts):
        raise typer.Exit(1)


def _set_producer(instances: int) -> None:
    """Set the producer's instances in the cloud, or start or stop it on this machine."""
    done = "runs again" if instances else "is paused"
    if names_a_project(os.environ):
        replace_process_environ(environment(stack_home(os.environ), os.environ))
        name = DeployedParts(os.environ).scale_producer(instances)
        STDERR.print(f"{name} {done}. The next `make deploy` sets it to one instance.")
        return
    home = stack_home(os.environ)
    if not IS_CHECKOUT or home is None:
        raise CommandError(f"{PROJECT_VARIABLE} is not set, and only a checkout has a stack on this machine")
    from local.stack.lifecycle import LocalStack
    from local.stack.state import StackError, read_state

    state = read_state(home)
    if state is None or not LocalStack(home).is_up():
        raise CommandError(f"no stack is up in {home}; start one with `pipeline up`")
    supervisor = state.supervisor(home)
    try:
        supervisor.start_process(PRODUCER) if instances else supervisor.stop_process(PRODUCER)
    except (OSError, StackError) as error:
        raise CommandError(str(error)) from error
    STDERR.print(f"{PRODUCER} {done}.")
