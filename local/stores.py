"""What a stack's stores hold before anything works on them: buckets, tables, topics, the batch's artifacts.

Used by `pipeline up`; the one place where they are made. In the cloud this is Terraform's duty.
"""

from __future__ import annotations

import os

from google.cloud import bigquery, storage  # type: ignore[attr-defined]  # ships no types

from local.artifacts import publish
from local.kafka import create_topics
from local.postgres import create_tables
from local.services import Stack, beside_a_stack
from local.warehouse import create_warehouse


def prepare(stack: Stack) -> None:
    """Make what is absent, and renew the artifacts; it may run again after an interruption.

    Google's libraries and libpq read their variables from this process, so from here on it is led to the stack.
    """
    environ = {**beside_a_stack(os.environ), **stack.environ()}
    os.environ.clear()
    os.environ.update(environ)
    publish(storage.Client())
    create_warehouse(bigquery.Client())
    create_topics(environ["KAFKA_BOOTSTRAP_SERVERS"])
    create_tables()
