"""What the commands of `pipeline` share: their arguments, and the error that ends one.

Imported by the other modules of `local.command`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import parse_day
from local.command.output import Format
from local.command.queries import Span

Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as BTCUSDT.")]
Start = Annotated[str, typer.Argument(metavar="START", help="First UTC day, YYYY-MM-DD.")]
End = Annotated[str | None, typer.Argument(metavar="[END]", help="Last UTC day, included; START by default.")]
OutputFormat = Annotated[Format, typer.Option("--format", help="table for people, csv or json for programs.")]

_T = TypeVar("_T")


class CommandError(Exception):
    """A command cannot do its work; the message is one line for the user, and the exit code is 1."""


def parsed(name: str, parse: Callable[[str], _T], text: str) -> _T:
    """The value of the argument `name`. Raises typer.BadParameter when `parse` raises ValueError."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from error


def span_of(symbol: str, start: str, end: str | None) -> Span:
    """The days from START to END of a symbol. Raises typer.BadParameter."""
    span = Span(
        parsed("SYMBOL", parse_symbol, symbol),
        parsed("START", parse_day, start),
        parsed("END", parse_day, end or start),
    )
    if span.end < span.start:
        raise typer.BadParameter(f"must not be before START {span.start}, got {span.end}", param_hint="END")
    return span
