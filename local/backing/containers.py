"""The backing services of a stack as containers, which listen on the same ports of 127.0.0.1 as its processes would.

They share one network, on which each has its own name. Imported by `local.stack`.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from local.backing.images import image
from local.backing.interface import PROJECT, Place
from local.backing.postgres import DATABASE, USER
from local.backing.pubsub import topic_path

HOME_LABEL: Final = "bitcoin-pipeline.home"
"""Label of everything that Docker keeps for a stack, with the stack's home."""

_POSTGRES: Final = 5432
_GCS: Final = 4443
_BIGQUERY: Final = (9050, 9060)
_PUBSUB: Final = 8085


@dataclass(frozen=True, slots=True)
class Container:
    """How a service of a stack runs as a container.

    `ports`: ports of the container with those of 127.0.0.1; without any, it shares the network of this machine.
    `volumes`: volumes of Docker, or folders of this machine as absolute paths, with their paths in the container.
    `user`: the user and group ids with which it runs, or those of its image. `creates`: an address that is requested by
    PUT once it answers, to create what the service keeps in memory alone. `credential_variable`: the variable with
    which it gets Postgres' password, or none.
    """

    image: str
    command: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    creates: str = ""
    credential_variable: str = ""


def network_of(home: Path) -> str:
    """The name of the network, and the prefix of the names of the volumes and containers, of the stack in `home`."""
    return f"pipeline-{zlib.crc32(str(home).encode()):08x}"


def containers(place: Place, images: Mapping[str, str]) -> dict[str, Container]:
    """The containers of the backing services, by the names of the processes that they replace."""
    found = {
        "postgres": _postgres(place, images),
        "kafka": _kafka(place, images) if images.get("kafka") else _redpanda(place, images),
        "gcs": _gcs(place, images),
        "bigquery": _bigquery(place, images),
    }
    return found | ({"pubsub": _pubsub(place, images)} if has_events(images) else {})


def has_events(images: Mapping[str, str]) -> bool:
    """True unless the image of the Pub/Sub emulator is replaced by none."""
    return images.get("pubsub") != ""


def _volume(place: Place, name: str) -> str:
    return f"{network_of(place.home)}-{name}"


def _owner() -> str:
    """The user of this process, who owns the files that a container writes into a folder of the home."""
    return f"{os.getuid()}:{os.getgid()}"


def _postgres(place: Place, images: Mapping[str, str]) -> Container:
    settings = ("-c", "shared_buffers=64MB", "-c", "timezone=UTC", "-c", "log_min_messages=warning")
    return Container(
        image("postgres", images),
        ("postgres", *settings),
        {"POSTGRES_USER": USER, "POSTGRES_DB": DATABASE, "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C"},
        {_POSTGRES: place.ports["postgres"]},
        {_volume(place, "postgres"): "/var/lib/postgresql"},
        credential_variable="POSTGRES_PASSWORD",
    )


def _redpanda(place: Place, images: Mapping[str, str]) -> Container:
    port = place.ports["kafka"]
    return Container(
        image("redpanda", images),
        (
            *("redpanda", "start", "--smp=1", "--memory=512M", "--overprovisioned", "--reserve-memory=0M"),
            *("--check=false", f"--kafka-addr=0.0.0.0:{port}", f"--advertise-kafka-addr={place.address('kafka')}"),
            *("--rpc-addr=127.0.0.1:33145", "--set", "redpanda.auto_create_topics_enabled=false"),
        ),
        ports={port: port},
        volumes={_volume(place, "redpanda"): "/var/lib/redpanda/data"},
    )


def _kafka(place: Place, images: Mapping[str, str]) -> Container:
    port = place.ports["kafka"]
    environ = {
        "CLUSTER_ID": "bGl2ZS1waXBlbGluZS0wMQ",
        "KAFKA_HEAP_OPTS": "-Xms96m -Xmx256m",
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{place.address('kafka')}",
        "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        # The controller accepts a broker that restarts after a kill once its old session has ended.
        "KAFKA_BROKER_SESSION_TIMEOUT_MS": "3000",
        "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
    }
    return Container(
        image("kafka", images),
        environ=environ,
        ports={port: port},
        volumes={_volume(place, "kafka"): "/var/lib/kafka/data"},
    )


def _gcs(place: Place, images: Mapping[str, str]) -> Container:
    # Clients on this machine use the published port, the BigQuery emulator the name on the network.
    command = (
        *("-host=0.0.0.0", f"-port={_GCS}", "-scheme=http", "-backend=filesystem", "-filesystem-root=/data"),
        *(f"-external-url={place.url('gcs')}", f"-public-host=gcs:{_GCS}", "-log-level=warn"),
    )
    folder = {str(place.home / "gcs"): "/data"}
    return Container(image("gcs", images), command, ports={_GCS: place.ports["gcs"]}, volumes=folder, user=_owner())


def _bigquery(place: Place, images: Mapping[str, str]) -> Container:
    rest, grpc = _BIGQUERY
    return Container(
        image("bigquery", images),
        ("--host=0.0.0.0", f"--port={rest}", f"--grpc-port={grpc}", f"--project={PROJECT}", "--data-dir=/data"),
        {"STORAGE_EMULATOR_HOST": f"http://gcs:{_GCS}"},
        {rest: place.ports["bigquery"], grpc: place.ports["bigquery_storage"]},
        {str(place.home / "bigquery"): "/data"},
        _owner(),
    )


def _pubsub(place: Place, images: Mapping[str, str]) -> Container:
    words = ("gcloud", "beta", "emulators", "pubsub", "start", f"--project={PROJECT}", f"--host-port=0.0.0.0:{_PUBSUB}")
    topic = f"{place.url('pubsub')}/v1/{topic_path(PROJECT)}"
    return Container(image("pubsub", images), words, ports={_PUBSUB: place.ports["pubsub"]}, creates=topic)
