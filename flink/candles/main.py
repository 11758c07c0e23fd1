"""Submits the candles job to Flink: `flink run --python main.py`, on any Flink 2.2 cluster.

A checkpoint to restore is an option of Flink's own; `python -m candles_stream` chooses one and calls this program.
Settings come from the environment: the broker's variables, and libpq's for Postgres. No password passes through here:
Flink's processes read both themselves, the one of Postgres from the file named by PGPASSFILE in their environment.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pyflink.table import EnvironmentSettings, ExplainDetail, TableEnvironment

from bitcoin_pipeline import names
from candles_stream.job import CONFIGURATION, read_job_settings, statements


def main() -> None:
    """Submit all statements as one job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topic", default=names.TRADES_TOPIC)
    parser.add_argument("--dead-letter-topic", default=names.DEAD_LETTER_TOPIC)
    parser.add_argument("--start-us", type=int, default=0, help="first minute to read of the topic; 0 for all of it")
    parser.add_argument("--jars", type=Path, help="folder of the connectors' jars, where the cluster has none")
    parser.add_argument("--explain", action="store_true", help="print the plan instead")
    arguments = parser.parse_args()
    settings = read_job_settings(os.environ)
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
        print(job.explain(ExplainDetail.CHANGELOG_MODE))  # noqa: T201  # the requested output
    else:
        job.execute()


if __name__ == "__main__":
    main()
