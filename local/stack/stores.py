"""What a stack's stores hold before anything works on them: buckets, tables, topics, the batch's artifacts.

Used by `pipeline up`; the one place where they are made. In the cloud this is Terraform's duty.
"""

from __future__ import annotations

import os
from functools import partial

from local.stack.services import Stack, beside_a_stack
from local.stack.startup import Preparation


def preparations(stack: Stack) -> list[Preparation]:
    """What makes all that is absent, and renews the artifacts; each may run again after an interruption.

    Google's libraries and libpq read their variables from this process, so from here on it is led to the stack.
    """
    environ = {**beside_a_stack(os.environ), **stack.environ()}
    os.environ.clear()
    os.environ.update(environ)
    return [
        Preparation("topics", ("kafka",), partial(_make_topics, environ["KAFKA_BOOTSTRAP_SERVERS"])),
        Preparation("tables", ("postgres",), _make_tables),
        Preparation("buckets", ("gcs", "metadata"), _make_buckets),
        Preparation("warehouse", ("bigquery", "metadata"), _make_warehouse),
    ]


def _make_topics(bootstrap_servers: str) -> None:
    from local.backing.kafka import create_topics

    create_topics(bootstrap_servers)


def _make_tables() -> None:
    from local.backing.postgres import create_tables

    create_tables()


def _make_buckets() -> None:
    from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

    from local.stack.artifacts import publish

    publish(storage.Client())


def _make_warehouse() -> None:
    from google.cloud import bigquery

    from local.backing.warehouse import create_warehouse

    create_warehouse(bigquery.Client())
