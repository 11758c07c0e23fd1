"""The live plane's tables in Postgres, from the core's schema. Imported by `main.py` and by tests."""

from __future__ import annotations

import psycopg

from bitcoin_pipeline import schemas


def create_tables(conninfo: str = "") -> None:
    """Create the tables and indexes that are absent, and replace functions and triggers by those of the schema.

    `conninfo`: libpq's; what it lacks comes from libpq's variables. Raises psycopg.Error when the server refuses or
    does not answer; then nothing has changed.
    """
    with psycopg.connect(conninfo) as connection:
        connection.execute(schemas.live_sql())
