"""The entry point of the `pipeline` command; `main` is also the console script of an installation.

No module imports it. Exit codes: 0 done, 1 not done (stderr has the reason), 2 wrong usage.
"""

from __future__ import annotations

import os
import sys

import typer

from bitcoin_pipeline.ingests import UnknownSymbolError
from bitcoin_pipeline.planning import BackfillError
from bitcoin_pipeline.settings import SettingsError
from local.command import data, operate, stack
from local.command.arguments import CommandError
from local.command.output import STDERR
from local.command.replay import ReplayError

app = typer.Typer(
    pretty_exceptions_enable=False,
    help="Bybit's trades as candles that can be trusted: a stack on this machine, and its data.",
)
app.add_typer(stack.app)
app.add_typer(data.app)
app.add_typer(operate.app)

_INTERRUPTED = 130


def main() -> None:
    """Run the command; a foreseen error becomes its message, which has one line, but for an error in SQL."""
    if "_PIPELINE_COMPLETE" in os.environ:  # a shell completes a command line, and needs none of the imports below
        app(prog_name="pipeline")
    import psycopg
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    try:
        # Outside of its standalone mode typer returns the code of typer.Exit, and 130 after an interrupt.
        code = app(sys.argv[1:] or ["--help"], prog_name="pipeline", standalone_mode=False) or 0
        _end_interrupted() if code == _INTERRUPTED else sys.exit(code)
    except typer.TyperException as error:
        _end_with(f"{_usage_message(error)} (see `pipeline --help`)", code=2)
    except (KeyboardInterrupt, typer.Abort):
        _end_interrupted()
    except (CommandError, SettingsError, UnknownSymbolError, BackfillError, ReplayError) as error:
        _end_with(str(error))
    except psycopg.Error as error:
        _end_with(f"the live database: {str(error).splitlines()[0]}; --plane archive does without it")
    except (GoogleAPICallError, GoogleAuthError) as error:
        _end_with(f"Google's API: {str(error).splitlines()[0]}")
    except BrokenPipeError:  # the reader of stdout has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a full disk, or a lake that does not answer
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end_with((str(error).splitlines() or [repr(error)])[0])


def _usage_message(error: typer.TyperException) -> str:
    return str(error.format_message() if isinstance(error, typer.BadParameter) else error)


def _end_interrupted() -> None:
    STDERR.print("error: interrupted; the same command continues where it stopped")
    sys.stdout.flush()
    os._exit(_INTERRUPTED)  # does not wait for threads that still work


def _end_with(message: str, code: int = 1) -> None:
    STDERR.print(f"error: {message}", markup=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
