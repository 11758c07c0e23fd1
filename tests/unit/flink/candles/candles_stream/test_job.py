"""The job's SQL, its settings and its plan. Conformance and integration tests run it in Flink."""

from __future__ import annotations

import re

import pytest

from bitcoin_pipeline import names
from bitcoin_pipeline.bybit.frames import PlainTrade
from bitcoin_pipeline.live.records import encoded_trade
from bitcoin_pipeline.settings import SettingsError
from candles_stream import job
from candles_stream.job import plan, read_job_settings, statements

ENVIRON = {"KAFKA_BOOTSTRAP_SERVERS": "k:9092", "PGHOST": "p", "PGUSER": "flink", "PGDATABASE": "live"}
START_US = 1_786_310_760_000_000

CLASS_PATH = ["/flink/lib/flink-dist-2.2.1.jar", "/jars/flink-connector-jdbc-4.0.jar", "/lib/postgresql-42.jar"]


def sql(start_us: int = 0, **variables: str) -> str:
    return ";\n".join(statements(read_job_settings({**ENVIRON, **variables}), "trades", "trades.dlq", start_us))


def test_every_placeholder_is_filled_and_no_comment_is_left() -> None:
    assert "${" not in sql()
    assert "--" not in sql()
    assert [text.split()[0] for text in sql().split(";\n")].count("INSERT") == 4


def test_the_start_is_a_minute_and_reads_a_minute_before_it() -> None:
    assert "'scan.startup.mode' = 'earliest-offset'" in sql()
    assert f"'scan.startup.timestamp-millis' = '{START_US // 1000 - 60_000}'" in sql(START_US)
    assert f"`time` >= {START_US}" in sql(START_US)
    with pytest.raises(ValueError, match="a start is the start of a minute in microseconds, got 1786310760000001"):
        sql(START_US + 1)


def test_the_brokers_password_is_named_by_its_file() -> None:
    file = "/secrets/password"
    text = sql(KAFKA_SSL_CA_LOCATION="/s/ca.pem", KAFKA_SASL_USERNAME="flink", KAFKA_SASL_PASSWORD_FILE=file)
    assert 'username="flink" password="${directory:/secrets:password}";' in text
    assert "'properties.security.protocol' = 'SASL_SSL'" in text


def test_the_system_s_authorities_need_no_file() -> None:
    text = sql(KAFKA_SSL_CA_LOCATION="system")
    assert "'properties.security.protocol' = 'SSL'" in text
    assert "truststore" not in text


def test_postgres_is_verified_by_the_authority_that_signs_it() -> None:
    text = sql(PGSSLMODE="verify-ca", PGSSLROOTCERT="/s/postgres.pem")
    assert "?user=flink&sslmode=verify-ca&reWriteBatchedInserts=true&sslrootcert=/s/postgres.pem'" in text


def test_each_source_has_a_consumer_group_that_names_spells() -> None:
    groups = re.findall(r"'properties.group.id' = '([^']+)'", sql())
    assert groups == [names.CANDLES_GROUP, names.CANDLES_LINES_GROUP]


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"PGHOST": ""}, "PGHOST is not set"),
        ({"PGHOST": "p'"}, "PGHOST: must be of letters"),
        ({"PGSSLMODE": "on"}, "PGSSLMODE: must be one of disable, allow, "),
        ({"PGSSLMODE": "verify-ca"}, "PGSSLROOTCERT is not set, and PGSSLMODE is verify-ca"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "k'"}, "KAFKA_BOOTSTRAP_SERVERS: must be of letters"),
        ({"KAFKA_SSL_CA_LOCATION": "ca.pem"}, "KAFKA_SSL_CA_LOCATION: must be an absolute path"),
        (
            {"KAFKA_SASL_MECHANISM": "GSSAPI"},
            "KAFKA_SASL_MECHANISM: must be one of PLAIN, SCRAM-SHA-256, ",
        ),
        ({"KAFKA_SASL_USERNAME": "flink"}, "KAFKA_SASL_PASSWORD_FILE is not set, and there is a KAFKA_SASL_USERNAME"),
    ],
)
def test_a_wrong_setting_is_named(variables: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        read_job_settings({**ENVIRON, **variables})


def test_the_plan_follows_from_what_decides_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    now = plan("trades", CLASS_PATH)
    # Neither the order and place of jars nor a jar that is not Flink's change it.
    assert plan("trades", ["/elsewhere/flink-dist-2.2.1.jar", "/x/flink-connector-jdbc-4.0.jar", "/x/b.jar"]) == now
    assert plan("trades", [name.replace("2.2.1", "2.2.2") for name in CLASS_PATH]) != now
    assert plan("replay", CLASS_PATH) != now
    monkeypatch.setattr(job, "CONFIGURATION", {**job.CONFIGURATION, "table.exec.mini-batch.enabled": "false"})
    assert plan("trades", CLASS_PATH) != now


def test_the_line_of_a_trade_needs_no_reading_to_be_known_as_json() -> None:
    form = re.compile(job.FORMS["ordinary_line"])
    trade_id = "a9188a0a-82bc-50de-be60-03eedbe3cdd7"
    for flags in ((None, None), (True, None), (None, False), (False, True)):
        trade = PlainTrade("BTCUSDT", trade_id, START_US, 7, "Buy", "65114.2", "0.001", "65.1142", None, *flags)
        text = encoded_trade(trade).decode()
        assert form.search(text)
        for broken in (
            text[:-1],
            text + "}",
            text.replace('"Buy"', '"Bu"y"'),
            text.replace(":7,", ":07,"),
            f"[{text}]",
        ):
            assert not form.search(broken)
