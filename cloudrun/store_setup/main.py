"""Sets up the live plane's stores: `main.py [topics|tables]`, both without an argument.

Runs as a Cloud Run job after Terraform's apply, and in each `pipeline up`. A second run changes nothing. Settings come
from the environment: the broker's variables, libpq's for Postgres, and the logins to create with their passwords. An
entry point; no module imports it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from confluent_kafka import KafkaException

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.broker import BrokerSettings
from bitcoin_pipeline.settings import SettingsError, read_settings, setting
from store_setup.logins import create_logins, parse_logins, read_passwords
from store_setup.tables import create_tables
from store_setup.topics import create_topics


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """The variables of libpq that must be set; libpq reads them and its others itself."""

    host: str = setting("PGHOST", "host of Postgres")
    logins: Mapping[str, str] | None = setting(
        "POSTGRES_LOGINS", "logins to create and the role of each: LOGIN=ROLE, with commas between", parse_logins, None
    )


def main() -> None:
    """Set up what the argument names. The exit code is 1 when that failed, with the reason in the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", nargs="?", choices=("topics", "tables"))
    store = parser.parse_args().store
    try:
        if store != "tables":
            created = create_topics(read_settings(BrokerSettings, os.environ).client_config())
            log("INFO", "topics are set up", created=created)
        if store != "topics":
            logins = read_settings(PostgresSettings, os.environ).logins or {}
            passwords = read_passwords(logins, os.environ)
            create_tables()
            log("INFO", "tables are set up")
            if logins:
                create_logins(logins, passwords)
                log("INFO", "logins are set up", logins=sorted(logins))
    except (SettingsError, KafkaException, psycopg.Error) as error:
        log("CRITICAL", "set-up failed", reason=str(error).strip())
        sys.exit(1)


if __name__ == "__main__":
    main()
