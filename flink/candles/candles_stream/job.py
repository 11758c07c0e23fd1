"""The candles job as Flink gets it: its settings, its configuration and its SQL, which is in `candles.sql`.

Imported by `main.py`, which submits the job, and by `candles_stream.keeper`. Needs no PyFlink.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath
from typing import Final

from bitcoin_pipeline import names
from bitcoin_pipeline.amounts import MAX_INTEGER_DIGITS, MAX_TURNOVER_DIGITS, SCALE
from bitcoin_pipeline.broker import SYSTEM_CA, BrokerFileSettings, security_protocol
from bitcoin_pipeline.live.records import MAX_US
from bitcoin_pipeline.settings import SettingsError, narrowed, read_settings, setting
from bitcoin_pipeline.symbols import SYMBOL
from bitcoin_pipeline.times import DAY_US, MINUTE_US
from bitcoin_pipeline.trade import TRADE_ID

NAME: Final = "candles"
"""The name of the job in Flink."""

CONFIGURATION: Final = {
    # All tables share one validation of records and one count of ids, which halves the state.
    "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
    "pipeline.name": NAME,
    "table.local-time-zone": "UTC",  # the JDBC sink takes no TIMESTAMP_LTZ
    "table.exec.state.ttl": "8 d",  # a day longer than the topic; by processing time
    "table.exec.sink.not-null-enforcer": "DROP",  # leaves out minutes without a trade
    # Trades are merged before they reach the candle's state; rows are still only inserted and updated, as the ids that
    # are counted by OVER never change their count.
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "20 ms",
    "table.exec.mini-batch.size": "2000",
    "pipeline.object-reuse": "true",  # no copy of each record between chained operators; the sinks copy what they keep
    "state.backend.rocksdb.use-bloom-filter": "true",  # nearly every id is new, which the filter finds without a file
    "execution.buffer-timeout.interval": "20 ms",  # a few trades a second do not fill a buffer: Flink would wait 100 ms
}

_AMOUNT: Final = rf"[0-9]{{1,{MAX_INTEGER_DIGITS}}}(?:[.][0-9]{{1,{SCALE}}})?"
_POSITIVE: Final = "[0.]*[1-9]"
_TURNOVER: Final = rf"[0-9]{{1,{MAX_TURNOVER_DIGITS}}}(?:[.][0-9]{{1,{SCALE}}})?"
_SUM: Final = rf"[0-9]{{1,{38 - SCALE}}}(?:[.][0-9]{{1,{SCALE}}})?"
FORMS: Final = {
    "symbol": SYMBOL.pattern,
    "trade_id": TRADE_ID,
    "number": "-?[0-9]+(?:[.][0-9]+)?",
    "positive": _POSITIVE,
    "amount": _AMOUNT,
    "sum": _SUM,
    "ordinary_line": (
        rf'^\{{"type":"trade","symbol":"{SYMBOL.pattern}","id":"{TRADE_ID}","time":[1-9][0-9]{{0,17}},'
        r'"seq":(?:0|[1-9][0-9]{0,18}),"side":"[A-Za-z]+","price":"[0-9.]+","size":"[0-9.]+","turnover":"[0-9.]+"'
        r'(?:,"block_trade":(?:true|false))?(?:,"rpi":(?:true|false))?\}$'
    ),
    "ordinary_trade": f"^{SYMBOL.pattern} {TRADE_ID}(?: (?={_POSITIVE}){_AMOUNT}){{2}} {_TURNOVER}$",
}
"""The core's rules of a trade as regular expressions of Java; amounts are plain digits, as the core writes them."""

_MAX_GAP_US: Final = 7 * DAY_US
"""Upper bound on the part of a gap that marks minutes, the time for which the topic keeps records."""

_MAX_CLOCK_SKEW_MS: Final = 60_000
"""Upper bound on the time by which a trade may be appended to the topic before its own time, as clocks differ."""

_KAFKA: Final = "org.apache.flink.kafka.shaded.org.apache.kafka.common"
"""The package of Kafka's own classes in the connector's jar."""
_TLS_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_LOGIN_MODULES: Final = {
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
        raise ValueError(f"must be an absolute path of letters, digits and . / @ + - _, got {text!r}")
    return text


def _authority(text: str) -> str:
    return text if text == SYSTEM_CA else _file(text)


def _tls(text: str) -> str:
    if text not in _TLS_MODES:
        raise ValueError(f"must be one of {', '.join(_TLS_MODES)}, got {text!r}")
    return text


def _mechanism(text: str) -> str:
    if text not in _LOGIN_MODULES:
        raise ValueError(f"must be one of {', '.join(_LOGIN_MODULES)}, got {text!r}")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings(BrokerFileSettings):
    """Addresses of the topic and of the tables. Every process of the cluster must have the files that they name."""

    # These values become part of SQL, so fewer characters are allowed than in the broker's other clients.
    brokers: str = narrowed(BrokerFileSettings, "brokers", _plain)
    kafka_ca: str = narrowed(BrokerFileSettings, "kafka_ca", _authority)
    kafka_user: str = narrowed(BrokerFileSettings, "kafka_user", _plain)
    kafka_password_file: str = narrowed(BrokerFileSettings, "kafka_password_file", _file)
    kafka_mechanism: str = narrowed(BrokerFileSettings, "kafka_mechanism", _mechanism)
    postgres_host: str = setting("PGHOST", "host of Postgres", _plain)
    postgres_user: str = setting("PGUSER", "user of Postgres", _plain)
    postgres_database: str = setting("PGDATABASE", "database of the live tables", _plain)
    postgres_port: str = setting("PGPORT", "port of Postgres", _plain, "5432")
    postgres_tls: str = setting("PGSSLMODE", "libpq's word for how TLS is used", _tls, "prefer")
    postgres_ca: str = setting("PGSSLROOTCERT", "PEM file of the authority that signs Postgres", _file, "")

    @property
    def kafka_options(self) -> str:
        """The broker as options of a table in SQL, which contain the file of the password and not the password."""
        properties = {"bootstrap.servers": self.brokers}
        if protocol := security_protocol(self.kafka_ca, self.kafka_user):
            properties["security.protocol"] = protocol
        if self.kafka_ca and self.kafka_ca != SYSTEM_CA:  # without a truststore Java trusts the system's
            properties |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": self.kafka_ca}
        if self.kafka_user:
            folder, file = os.path.split(self.kafka_password_file)
            login = f'username="{self.kafka_user}" password="${{directory:{folder}:{file}}}"'
            properties |= {
                "config.providers": "directory",
                "config.providers.directory.class": f"{_KAFKA}.config.provider.DirectoryConfigProvider",
                "sasl.mechanism": self.kafka_mechanism,
                "sasl.jaas.config": f"{_KAFKA}.security.{_LOGIN_MODULES[self.kafka_mechanism]} required {login};",
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


def read_job_settings(environ: Mapping[str, str]) -> JobSettings:
    """The job's settings. Raises SettingsError that names every fault."""
    settings = read_settings(JobSettings, environ)
    if settings.kafka_user and not settings.kafka_password_file:
        raise SettingsError("KAFKA_SASL_PASSWORD_FILE is not set, and there is a KAFKA_SASL_USERNAME")
    if settings.postgres_tls.startswith("verify") and not settings.postgres_ca:
        raise SettingsError(f"PGSSLROOTCERT is not set, and PGSSLMODE is {settings.postgres_tls}")
    return settings


def statements(settings: JobSettings, topic: str, dead_letter_topic: str, start_us: int = 0) -> list[str]:
    """The job's SQL. `start_us`: the first minute (UTC) that is read of the topic, 0 for all of the topic.

    Raises ValueError when `start_us` lies within a minute, whose candle would lack its earlier trades.
    """
    if start_us % MINUTE_US:
        raise ValueError(f"a start is the start of a minute in microseconds, got {start_us}")
    start = "'scan.startup.mode' = 'earliest-offset'"
    if start_us:
        start_ms = start_us // 1000 - _MAX_CLOCK_SKEW_MS
        start = f"'scan.startup.mode' = 'timestamp', 'scan.startup.timestamp-millis' = '{start_ms}'"
    text = string.Template(files(__package__).joinpath("candles.sql").read_text("utf-8")).substitute(
        topic=topic,
        dead_letter_topic=dead_letter_topic,
        group=names.CANDLES_GROUP,
        lines_group=names.CANDLES_LINES_GROUP,
        kafka=settings.kafka_options,
        jdbc_url=settings.jdbc_url,
        start=start,
        start_us=start_us,
        max_us=MAX_US - 1,
        max_gap_us=_MAX_GAP_US,
        **FORMS,
    )
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return [statement.strip() for statement in "\n".join(lines).split(";\n") if statement.strip()]


def plan(topic: str, class_path: Iterable[str]) -> str:
    """A digest of all that decides the form of the job's state; a checkpoint fits only a job of the same plan.

    That is the configuration, the SQL apart from addresses and start, and the versions in the names of Flink's own
    jars and of its connectors in `class_path`.
    """
    anywhere = JobSettings(brokers="-", postgres_host="-", postgres_user="-", postgres_database="-")
    jars = {name for name in (PurePath(entry).name for entry in class_path) if name.startswith("flink-")}
    content = [CONFIGURATION, statements(anywhere, topic, names.DEAD_LETTER_TOPIC), sorted(jars)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
