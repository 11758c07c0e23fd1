"""What the commands of `pipeline` share: their arguments, and the error that ends one.

Imported by the other modules of `local.command`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import parse_day
from local.command.completion import symbols_from
from local.command.output import Format
from local.command.queries import Span

Symbol = Annotated[
    str, typer.Argument(metavar="SYMBOL", help="Such as BTCUSDT; small letters will do.", autocompletion=symbols_from)
]
Start = Annotated[str, typer.Argument(metavar="START", help="First UTC day, YYYY-MM-DD.")]
End = Annotated[str | None, typer.Argument(metavar="[END]", help="Last UTC day, included; START by default.")]
OutputFormat = Annotated[
    Format,
    typer.Option(
        "--format", help="table for people; csv, json, parquet or arrow (a stream of Arrow's IPC format) for programs."
    ),
]

_T = TypeVar("_T")


class CommandError(Exception):
    """A command cannot do its work; the message is one line for the user, and the exit code is 1."""


def parsed(name: str, parse: Callable[[str], _T], text: str) -> _T:
    """The value of the argument `name`. Raises typer.BadParameter when `parse` raises ValueError."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from error


def symbol_in(text: str) -> str:
    """The symbol that `text` names, in capital or small letters. Raises ValueError as `parse_symbol` does."""
    return parse_symbol(text.upper())


def days_of(start: str, end: str | None) -> tuple[dt.date, dt.date]:
    """The first and the last day from START to END. Raises typer.BadParameter."""
    first, last = parsed("START", parse_day, start), parsed("END", parse_day, end or start)
    if last < first:
        raise typer.BadParameter(f"must not be before START {first}, got {last}", param_hint="END")
    return first, last


def span_of(symbol: str, start: str, end: str | None) -> Span:
    """The days from START to END of a symbol. Raises typer.BadParameter."""
    return Span(parsed("SYMBOL", symbol_in, symbol), *days_of(start, end))


def symbols_and_days(words: Sequence[str], symbols_file: Path | None) -> tuple[list[str], dt.date, dt.date]:
    """The symbols, the first and the last day of the arguments `[SYMBOLS] START [END]`.

    SYMBOLS are separated by commas; with `symbols_file`, they stand there, separated by commas, blanks or line ends.
    Raises typer.BadParameter.
    """
    if symbols_file is None:
        text, *rest = words
        name, form = "SYMBOLS", "SYMBOLS START [END]"
    else:
        try:
            text, rest = symbols_file.read_text("utf-8"), list(words)
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(str(error), param_hint="--symbols-file") from error
        name, form = "--symbols-file", "START [END] with --symbols-file"
    if not 1 <= len(rest) <= 2:
        raise typer.BadParameter(f"the arguments are {form}, got {' '.join(words)}")
    symbols = [parsed(name, symbol_in, symbol) for symbol in re.split(r"[,\s]+", text.strip(", \n"))]
    return list(dict.fromkeys(symbols)), *days_of(rest[0], rest[1] if len(rest) > 1 else None)
