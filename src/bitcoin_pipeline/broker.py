"""How a client finds the broker: the words that librdkafka wants.

Part of the core; anybody may import it.
"""

from __future__ import annotations


def client_config(brokers: str, *, ca: str = "", user: str = "", password: str = "", mechanism: str) -> dict[str, str]:
    """The part of a client's configuration that every one has.

    `brokers`: host:port, with commas between. `ca`: file of the authority that signs the broker; it turns TLS on.
    `user`: turns SASL on.
    """
    config = {"bootstrap.servers": brokers}
    if ca or user:
        config["security.protocol"] = ("SASL_" if user else "") + ("SSL" if ca else "PLAINTEXT")
    if ca:
        config["ssl.ca.location"] = ca
    if user:
        config |= {"sasl.username": user, "sasl.password": password, "sasl.mechanism": mechanism}
    return config
