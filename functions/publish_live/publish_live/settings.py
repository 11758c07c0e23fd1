"""Settings of the function `publish_live`.

Its modules and tests import it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitcoin_pipeline.settings import setting, whole


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that the environment holds.

    libpq reads PGHOST and its other variables itself; they are fields here so that a missing one stops the start.
    """

    project: str = setting("GOOGLE_CLOUD_PROJECT", "the project of the dataset market")
    location: str = setting("BIGQUERY_LOCATION", "the location of the dataset market, such as EU")
    postgres_host: str = setting("PGHOST", "Postgres' address")
    postgres_user: str = setting("PGUSER", "Postgres' user, a member of the role live_publisher")
    postgres_database: str = setting("PGDATABASE", "Postgres' database")
    keep_days: int = setting(
        "POSTGRES_KEEP_DAYS", "age from which Postgres' candles and gaps are deleted", whole("days", 3650, 9), 35
    )
    """Flink can change a candle for 8 days."""
