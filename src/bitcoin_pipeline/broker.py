"""How a client connects to the broker: its settings, and the options of librdkafka that follow from them.

Part of the core; any module may import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bitcoin_pipeline.settings import setting

SYSTEM_CA: Final = "system"
"""In place of a PEM file: the authorities that the client's system trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Settings of a connection to the broker without the password; base class of a client's settings."""

    brokers: str = setting("KAFKA_BOOTSTRAP_SERVERS", "the broker, host:port")
    kafka_ca: str = setting(
        "KAFKA_SSL_CA_LOCATION", "PEM file of the authority that signs the broker, or system; turns TLS on", str, ""
    )
    kafka_user: str = setting("KAFKA_SASL_USERNAME", "SASL user; without one there is no SASL", str, "")
    kafka_mechanism: str = setting("KAFKA_SASL_MECHANISM", "SASL mechanism", str, "SCRAM-SHA-256")

    def client_config_with(self, password: str) -> dict[str, str]:
        """The options that every client of librdkafka needs, with the SASL password."""
        return client_config(
            self.brokers, ca=self.kafka_ca, user=self.kafka_user, password=password, mechanism=self.kafka_mechanism
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings(BrokerAddress):
    """Settings of a client that reads its password from the environment."""

    kafka_password: str = setting("KAFKA_SASL_PASSWORD", "SASL password", str, "")

    def client_config(self) -> dict[str, str]:
        """The options that every client of librdkafka needs."""
        return self.client_config_with(self.kafka_password)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFileSettings(BrokerAddress):
    """Settings of a client that reads its password from a file."""

    kafka_password_file: str = setting(
        "KAFKA_SASL_PASSWORD_FILE", "file that holds the SASL password alone, no line's end", str, ""
    )


def client_config(brokers: str, *, ca: str = "", user: str = "", password: str = "", mechanism: str) -> dict[str, str]:
    """The options that every client of librdkafka needs.

    `brokers`: comma-separated addresses, host:port. `ca`: PEM file of the authority that signs the broker's
    certificate, or SYSTEM_CA; it turns TLS on. `user`: SASL user; it turns SASL on.
    """
    config = {"bootstrap.servers": brokers}
    if protocol := security_protocol(ca, user):
        config["security.protocol"] = protocol
    if ca:
        config["ssl.ca.location"] = "probe" if ca == SYSTEM_CA else ca  # librdkafka's word
    if user:
        config |= {"sasl.username": user, "sasl.password": password, "sasl.mechanism": mechanism}
    return config


def security_protocol(ca: str, user: str) -> str:
    """Kafka's `security.protocol`, or an empty text for its default, plain text without a user."""
    return ("SASL_" if user else "") + ("SSL" if ca else "PLAINTEXT") if ca or user else ""
