"""Connection options of a broker's client: plain, encrypted, with a user, with both."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.broker import BrokerFileSettings, BrokerSettings, client_config
from bitcoin_pipeline.settings import read_settings

USER = {"sasl.username": "u", "sasl.password": "p", "sasl.mechanism": "SCRAM-SHA-256"}


@pytest.mark.parametrize(
    ("ca", "user", "more"),
    [
        ("", "", {}),
        ("ca.pem", "", {"security.protocol": "SSL", "ssl.ca.location": "ca.pem"}),
        ("system", "", {"security.protocol": "SSL", "ssl.ca.location": "probe"}),
        ("", "u", {"security.protocol": "SASL_PLAINTEXT", **USER}),
        ("ca.pem", "u", {"security.protocol": "SASL_SSL", "ssl.ca.location": "ca.pem", **USER}),
    ],
)
def test_what_is_set_is_used(ca: str, user: str, more: dict[str, str]) -> None:
    config = client_config("broker:9092", ca=ca, user=user, password="p", mechanism="SCRAM-SHA-256")  # noqa: S106  # no secret
    assert config == {"bootstrap.servers": "broker:9092", **more}


def test_settings_of_a_client_are_its_options() -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p"}
    assert read_settings(BrokerSettings, environ).client_config() == {
        "bootstrap.servers": "broker:9092",
        "security.protocol": "SASL_PLAINTEXT",
        **USER,
    }


def test_a_password_s_file_is_no_password() -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092", "KAFKA_SASL_PASSWORD_FILE": "/run/password"}
    settings = read_settings(BrokerFileSettings, environ)
    assert (settings.kafka_password_file, settings.kafka_mechanism) == ("/run/password", "SCRAM-SHA-256")
    assert not hasattr(settings, "kafka_password")
