"""The candles job of the live path: builds the SQL beside it and submits it to Flink as one job.

`flink run -py main.py`, on any Flink 2.2 cluster; a checkpoint to go on from is Flink's own option. Imports the core
only. Settings come from the environment: the broker's, and libpq's for Postgres, whose password stays in PGPASSFILE.
"""

from __future__ import annotations

import argparse
import os
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyflink.table import EnvironmentSettings, ExplainDetail, TableEnvironment

from bitcoin_pipeline import names
from bitcoin_pipeline.settings import read_settings, setting
from bitcoin_pipeline.times import MINUTE_US

SQL: Final = Path(__file__).with_name("candles.sql")

CONFIGURATION: Final = {
    "pipeline.name": "candles",
    "table.local-time-zone": "UTC",  # the JDBC sink takes no TIMESTAMP_LTZ
    "table.exec.state.ttl": "8 d",  # a day longer than the topic; by processing time
    "table.exec.sink.not-null-enforcer": "DROP",  # leaves out minutes without a trade
    "table.exec.mini-batch.enabled": "false",  # it makes the removal of duplicates retract, and every trade look late
    "table.exec.source.idle-timeout": "0 s",  # heartbeats come on every partition; one that lags is waited for
}

_APPENDED_AFTER_MS: Final = 60_000
"""A trade is not in the topic a minute before its time: the most that clocks may differ."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the topic and the tables are."""

    brokers: str = setting("KAFKA_BOOTSTRAP_SERVERS", "host:port of the broker")
    postgres_host: str = setting("PGHOST", "host of Postgres")
    postgres_user: str = setting("PGUSER", "user of Postgres")
    postgres_database: str = setting("PGDATABASE", "database of the live tables")
    postgres_port: str = setting("PGPORT", "port of Postgres", default="5432")
    postgres_tls: str = setting("PGSSLMODE", "libpq's word for how TLS is used", default="prefer")

    @property
    def jdbc_url(self) -> str:
        """The database as Java's driver takes it, without a password."""
        return (
            f"jdbc:postgresql://{self.postgres_host}:{self.postgres_port}/{self.postgres_database}"
            f"?user={self.postgres_user}&sslmode={self.postgres_tls}&reWriteBatchedInserts=true"
        )


def statements(settings: Settings, topic: str, dead_letter_topic: str, start_us: int = 0) -> list[str]:
    """The job's SQL. `start_us`: the minute at whose start it begins in the topic, 0 for the topic's own start.

    Raises ValueError when `start_us` is within a minute, whose candle would lack a part.
    """
    if start_us % MINUTE_US:
        raise ValueError(f"a start is the start of a minute in microseconds, got {start_us}")
    start = "'scan.startup.mode' = 'earliest-offset'"
    if start_us:
        start_ms = start_us // 1000 - _APPENDED_AFTER_MS
        start = f"'scan.startup.mode' = 'timestamp', 'scan.startup.timestamp-millis' = '{start_ms}'"
    text = string.Template(SQL.read_text("utf-8")).substitute(
        topic=topic,
        dead_letter_topic=dead_letter_topic,
        brokers=settings.brokers,
        jdbc_url=settings.jdbc_url,
        start=start,
        start_us=start_us,
    )
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return [statement.strip() for statement in "\n".join(lines).split(";\n") if statement.strip()]


def main() -> None:
    """Submit the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topic", default=names.TRADES_TOPIC)
    parser.add_argument("--dead-letter-topic", default=names.DEAD_LETTER_TOPIC)
    parser.add_argument("--start-us", type=int, default=0)
    parser.add_argument("--jars", type=Path, help="folder of the connectors' jars, where the cluster has none")
    parser.add_argument("--explain", action="store_true", help="print the plan instead")
    arguments = parser.parse_args()
    settings = read_settings(Settings, os.environ)

    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for name, value in CONFIGURATION.items():
        environment.get_config().set(name, value)
    if arguments.jars:
        jars = sorted(path.absolute().as_uri() for path in arguments.jars.glob("*.jar"))
        environment.get_config().set("pipeline.jars", ";".join(jars))
    job = environment.create_statement_set()
    for statement in statements(settings, arguments.topic, arguments.dead_letter_topic, arguments.start_us):
        if statement.startswith("INSERT"):
            job.add_insert_sql(statement)
        else:
            environment.execute_sql(statement)
    if arguments.explain:
        print(job.explain(ExplainDetail.CHANGELOG_MODE))  # noqa: T201  # what was asked for
    else:
        job.execute()


if __name__ == "__main__":
    main()
