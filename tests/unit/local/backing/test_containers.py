"""The containers of the backing services: their ports, what they keep, and which broker there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.backing.containers import containers, network_of
from local.backing.interface import Place
from local.stack.config import PORTS

PLACE = Place(Path("/home-of-a-stack"), {name: 30_000 + number for number, name in enumerate(PORTS)})


def test_they_publish_the_ports_on_which_the_processes_would_listen() -> None:
    published = {name: sorted(item.ports.values()) for name, item in containers(PLACE, {}).items()}
    assert published == {
        "postgres": [PLACE.ports["postgres"]],
        "kafka": [PLACE.ports["kafka"]],
        "gcs": [PLACE.ports["gcs"]],
        "bigquery": sorted((PLACE.ports["bigquery"], PLACE.ports["bigquery_storage"])),
        "pubsub": [PLACE.ports["pubsub"]],
    }


def test_data_outlives_a_container() -> None:
    kept = {name: list(item.volumes) for name, item in containers(PLACE, {}).items()}
    stack = network_of(PLACE.home)
    assert kept == {
        "postgres": [f"{stack}-postgres"],
        "kafka": [f"{stack}-redpanda"],
        "gcs": ["/home-of-a-stack/gcs"],
        "bigquery": ["/home-of-a-stack/bigquery"],
        "pubsub": [],  # the emulator keeps nothing on disk
    }


@pytest.mark.parametrize(
    ("images", "program"), [({}, "redpanda"), ({"kafka": "apache/kafka:4.1.1"}, "apache/kafka:4.1.1")]
)
def test_the_broker_is_redpanda_unless_an_image_of_kafka_is_named(images: dict[str, str], program: str) -> None:
    broker = containers(PLACE, images)["kafka"]
    address = PLACE.address("kafka")
    assert program in broker.image
    assert f"--advertise-kafka-addr={address}" in broker.command or broker.environ[
        "KAFKA_ADVERTISED_LISTENERS"
    ].endswith(address)


def test_an_empty_image_of_the_emulator_turns_events_off() -> None:
    assert "pubsub" not in containers(PLACE, {"pubsub": ""})


def test_two_stacks_share_neither_network_nor_volumes() -> None:
    assert network_of(Path("/a")) != network_of(Path("/b"))
