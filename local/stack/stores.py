"""The content of a stack's stores before any service uses them: topics, tables, buckets, the batch's artifacts.

Imported by the `pipeline` command. The job `cloudrun/store_setup` makes topics and tables, here as in the cloud, where
Terraform makes the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from local.environment import beside_a_stack, replace_process_environ
from local.stack import airflow
from local.stack.config import ARTIFACTS, LAKE, STAGING, StackConfig
from local.stack.containers import run_once
from local.stack.deployables import artifact_of
from local.stack.logs import reason
from local.stack.startup import Preparation, StartError


def preparations(stack: StackConfig) -> list[Preparation]:
    """The preparations that make what is absent and renew the artifacts; each may be repeated after an interruption.

    This process gets the stack's environment, from which Google's libraries and libpq read their variables.
    """
    environ = {**beside_a_stack(os.environ), **stack.environ()}
    replace_process_environ(environ)
    tables = Preparation(airflow.TABLES, (), partial(airflow.make_tables, stack.place))
    return [
        *((tables,) if stack.airflow else ()),
        Preparation("topics", ("kafka",), partial(set_up, stack, "topics", environ)),
        Preparation("tables", ("postgres",), partial(set_up, stack, "tables", environ)),
        Preparation("buckets", ("gcs", "metadata"), partial(_make_buckets, artifact_of(stack.home, "candles_batch"))),
        Preparation("warehouse", ("bigquery", "metadata"), _make_warehouse),
    ]


def set_up(stack: StackConfig, store: str, environ: Mapping[str, str]) -> None:
    """Run the job `cloudrun/store_setup` for topics or tables. Raises StartError with its reason."""
    if stack.jobs():
        code, text = run_once(stack, "store_setup", (store,))
    else:
        code, text = _run(artifact_of(stack.home, "store_setup") / "main.py", store, environ)
    if code:
        raise StartError(f"{store} cannot be set up ({reason(text)})")


def _run(program: Path, store: str, environ: Mapping[str, str]) -> tuple[int, str]:
    outcome = subprocess.run(
        (sys.executable, str(program), store),
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return outcome.returncode, outcome.stderr + outcome.stdout


def _make_buckets(batch: Path) -> None:
    from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

    client = storage.Client()
    for name in (LAKE, STAGING, ARTIFACTS):
        if client.lookup_bucket(name) is None:
            client.create_bucket(name)
    for path in batch.iterdir():
        client.bucket(ARTIFACTS).blob(f"candles/{path.name}").upload_from_filename(path)


def _make_warehouse() -> None:
    from google.cloud import bigquery

    from local.backing.warehouse import create_warehouse

    create_warehouse(bigquery.Client())
