"""The preparations of a stack's stores: buckets, tables, topics and the batch's artifacts.

Imported by the `pipeline` command. In the cloud, Terraform makes all of this.
"""

from __future__ import annotations

import os
from functools import partial

from local.environment import beside_a_stack, replace_process_environ
from local.stack.config import StackConfig
from local.stack.startup import Preparation


def preparations(stack: StackConfig) -> list[Preparation]:
    """The preparations that make what is absent and renew the artifacts; each may be repeated after an interruption.

    This process gets the stack's environment, from which Google's libraries and libpq read their variables.
    """
    environ = {**beside_a_stack(os.environ), **stack.environ()}
    replace_process_environ(environ)
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
