"""The content of a stack's stores before any service uses them: topics, tables, buckets, the batch's artifacts.

Used by `pipeline up`. Topics and tables are made by the job that makes them in the cloud, `cloudrun/store_setup`; the
rest is made by Terraform there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial

from local.checkout import ROOT
from local.stack.logs import reason
from local.stack.services import Stack, beside_a_stack
from local.stack.startup import Preparation, StartError


def preparations(stack: Stack) -> list[Preparation]:
    """What makes all that is absent, and renews the artifacts; each may run again after an interruption.

    Google's libraries and libpq read their variables from this process, so from here on it is led to the stack.
    """
    environ = {**beside_a_stack(os.environ), **stack.environ()}
    os.environ.clear()
    os.environ.update(environ)
    return [
        Preparation("topics", ("kafka",), partial(set_up, "topics", environ)),
        Preparation("tables", ("postgres",), partial(set_up, "tables", environ)),
        Preparation("buckets", ("gcs", "metadata"), _make_buckets),
        Preparation("warehouse", ("bigquery", "metadata"), _make_warehouse),
    ]


def set_up(store: str, environ: Mapping[str, str]) -> None:
    """Run the job `cloudrun/store_setup` for topics or tables. Raises StartError with its reason."""
    program = ROOT / "cloudrun" / "store_setup" / "main.py"
    outcome = subprocess.run(
        (sys.executable, str(program), store),
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        raise StartError(f"{store} cannot be set up ({reason(outcome.stderr + outcome.stdout)})")


def _make_buckets() -> None:
    from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

    from local.stack.artifacts import publish

    publish(storage.Client())


def _make_warehouse() -> None:
    from google.cloud import bigquery

    from local.backing.warehouse import create_warehouse

    create_warehouse(bigquery.Client())
