"""The candles job of the live path: builds the SQL beside it and submits it to Flink as one job.

`flink run -py main.py`, on any Flink 2.2 cluster; a checkpoint to go on from is Flink's own option. Imports the core
only. Settings come from the environment: the broker's, and libpq's for Postgres. No password passes through here:
Flink's processes read both themselves, Postgres' from the file that PGPASSFILE names in their environment.
"""

from __future__ import annotations

import argparse
import os
import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyflink.table import EnvironmentSettings, ExplainDetail, TableEnvironment

from bitcoin_pipeline import names
from bitcoin_pipeline.amounts import MAX_INTEGER_DIGITS, MAX_TURNOVER_DIGITS, SCALE
from bitcoin_pipeline.broker import BrokerFileSettings, security_protocol
from bitcoin_pipeline.live.records import MAX_US
from bitcoin_pipeline.settings import SettingsError, narrowed, read_settings, setting
from bitcoin_pipeline.symbols import SYMBOL
from bitcoin_pipeline.times import MINUTE_US
from bitcoin_pipeline.trade import TRADE_ID

SQL: Final = Path(__file__).with_name("candles.sql")

CONFIGURATION: Final = {
    # Records are judged once and ids counted once for all tables, not once for each: half the state.
    "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
    "pipeline.name": "candles",
    "table.local-time-zone": "UTC",  # the JDBC sink takes no TIMESTAMP_LTZ
    "table.exec.state.ttl": "8 d",  # a day longer than the topic; by processing time
    "table.exec.sink.not-null-enforcer": "DROP",  # leaves out minutes without a trade
    "table.exec.mini-batch.enabled": "false",  # it makes the removal of duplicates retract, and every trade look late
    "table.exec.source.idle-timeout": "0 s",  # heartbeats come on every partition; one that lags is waited for
    "pipeline.object-reuse": "true",  # no copy of each record between chained operators; the sinks copy what they keep
    "state.backend.rocksdb.use-bloom-filter": "true",  # nearly every id is new: it says so without a look at files
    "execution.buffer-timeout.interval": "20 ms",  # a few trades a second do not fill a buffer: Flink would wait 100 ms
}

_AMOUNT: Final = rf"[0-9]{{1,{MAX_INTEGER_DIGITS}}}(?:[.][0-9]{{1,{SCALE}}})?"
_POSITIVE: Final = "[0.]*[1-9]"
_TURNOVER: Final = rf"[0-9]{{1,{MAX_TURNOVER_DIGITS}}}(?:[.][0-9]{{1,{SCALE}}})?"
_FORMS: Final = {
    "symbol": SYMBOL.pattern,
    "trade_id": TRADE_ID,
    "number": "-?[0-9]+(?:[.][0-9]+)?",
    "positive": _POSITIVE,
    "amount": _AMOUNT,
    "ordinary_trade": f"^{SYMBOL.pattern} {TRADE_ID}(?: (?={_POSITIVE}){_AMOUNT}){{2}} {_TURNOVER}$",
}
"""The core's rules of a trade as regular expressions of Java; amounts are plain digits, as the core writes them."""

_APPENDED_AFTER_MS: Final = 60_000
"""A trade is not in the topic a minute before its time: the most that clocks may differ."""


_KAFKA: Final = "org.apache.flink.kafka.shaded.org.apache.kafka.common"
"""Where the connector's jar has Kafka's own classes."""
_LOGINS: Final = {
    "PLAIN": "plain.PlainLoginModule",
    "SCRAM-SHA-256": "scram.ScramLoginModule",
    "SCRAM-SHA-512": "scram.ScramLoginModule",
}


def _plain(text: str) -> str:
    if not re.fullmatch(r"[\w.:,@+-]+", text, re.ASCII):
        raise ValueError(f"must be of letters, digits and . : , @ + - _, got {text!r}")
    return text


def _file(text: str) -> str:
    if not re.fullmatch(r"/[\w./@+-]+", text, re.ASCII):
        raise ValueError(f"must be a whole path of letters, digits and . / @ + - _, got {text!r}")
    return text


def _mechanism(text: str) -> str:
    if text not in _LOGINS:
        raise ValueError(f"must be one of {', '.join(_LOGINS)}, got {text!r}")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BrokerFileSettings):
    """Where the topic and the tables are. Files are such as every process of the cluster has them."""

    # These go into SQL, so that fewer characters are taken than the broker's other clients take.
    brokers: str = narrowed(BrokerFileSettings, "brokers", _plain)
    kafka_ca: str = narrowed(BrokerFileSettings, "kafka_ca", _file)
    kafka_user: str = narrowed(BrokerFileSettings, "kafka_user", _plain)
    kafka_password_file: str = narrowed(BrokerFileSettings, "kafka_password_file", _file)
    kafka_mechanism: str = narrowed(BrokerFileSettings, "kafka_mechanism", _mechanism)
    postgres_host: str = setting("PGHOST", "host of Postgres")
    postgres_user: str = setting("PGUSER", "user of Postgres")
    postgres_database: str = setting("PGDATABASE", "database of the live tables")
    postgres_port: str = setting("PGPORT", "port of Postgres", default="5432")
    postgres_tls: str = setting("PGSSLMODE", "libpq's word for how TLS is used", default="prefer")
    postgres_ca: str = setting("PGSSLROOTCERT", "PEM file of the authority that signs Postgres", _file, "")

    @property
    def kafka_options(self) -> str:
        """The broker as options of a table in SQL; for the password they name the file."""
        properties = {"bootstrap.servers": self.brokers}
        if protocol := security_protocol(self.kafka_ca, self.kafka_user):
            properties["security.protocol"] = protocol
        if self.kafka_ca:
            properties |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": self.kafka_ca}
        if self.kafka_user:
            folder, file = os.path.split(self.kafka_password_file)
            login = f'username="{self.kafka_user}" password="${{directory:{folder}:{file}}}"'
            properties |= {
                "config.providers": "directory",
                "config.providers.directory.class": f"{_KAFKA}.config.provider.DirectoryConfigProvider",
                "sasl.mechanism": self.kafka_mechanism,
                "sasl.jaas.config": f"{_KAFKA}.security.{_LOGINS[self.kafka_mechanism]} required {login};",
            }
        return ", ".join(f"'properties.{name}' = '{value}'" for name, value in properties.items())

    @property
    def jdbc_url(self) -> str:
        """The database as Java's driver takes it, without a password."""
        return (
            f"jdbc:postgresql://{self.postgres_host}:{self.postgres_port}/{self.postgres_database}"
            f"?user={self.postgres_user}&sslmode={self.postgres_tls}&reWriteBatchedInserts=true"
            + (f"&sslrootcert={self.postgres_ca}" if self.postgres_ca else "")
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
        kafka=settings.kafka_options,
        jdbc_url=settings.jdbc_url,
        start=start,
        start_us=start_us,
        max_us=MAX_US - 1,
        **_FORMS,
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
    if settings.kafka_user and not settings.kafka_password_file:
        raise SettingsError("KAFKA_SASL_PASSWORD_FILE is not set, and there is a KAFKA_SASL_USERNAME")

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
