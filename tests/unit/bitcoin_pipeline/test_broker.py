"""A client's way to the broker: plain, encrypted, with a user, with both."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.broker import client_config

USER = {"sasl.username": "u", "sasl.password": "p", "sasl.mechanism": "SCRAM-SHA-256"}


@pytest.mark.parametrize(
    ("ca", "user", "more"),
    [
        ("", "", {}),
        ("ca.pem", "", {"security.protocol": "SSL", "ssl.ca.location": "ca.pem"}),
        ("", "u", {"security.protocol": "SASL_PLAINTEXT", **USER}),
        ("ca.pem", "u", {"security.protocol": "SASL_SSL", "ssl.ca.location": "ca.pem", **USER}),
    ],
)
def test_what_is_set_is_used(ca: str, user: str, more: dict[str, str]) -> None:
    config = client_config("broker:9092", ca=ca, user=user, password="p", mechanism="SCRAM-SHA-256")  # noqa: S106  # no secret
    assert config == {"bootstrap.servers": "broker:9092", **more}
