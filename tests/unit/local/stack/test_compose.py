"""The file for `docker compose` has every container of the stack, on 127.0.0.1 alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.backing.containers import HOME_LABEL
from local.backing.postgres import password_made_once
from local.stack.compose import described
from local.stack.config import PORTS, StackConfig


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    ports = {name: 30_000 + number for number, name in enumerate(PORTS)}
    return StackConfig(tmp_path, ports, pubsub=Path("container"), images={"kafka": "kafka:1", "producer": "mine:1"})


def test_every_container_is_in_it(config: StackConfig) -> None:
    services = described(config)["services"]
    assert services.keys() == {*config.containers(), *config.jobs()}
    assert {name for name, item in services.items() if "build" in item} == {
        *("bigquery", "dashboard", "fetch_archive", "publish_live", "archive_live", "store_setup"),
    }
    assert services["producer"]["image"] == "mine:1"
    assert services["producer"]["network_mode"] == "host"
    assert services["producer"]["environment"]["KAFKA_BOOTSTRAP_SERVERS"] == f"127.0.0.1:{config.ports['kafka']}"


def test_ports_are_published_on_this_machine_alone(config: StackConfig) -> None:
    published = [port for item in described(config)["services"].values() for port in item.get("ports", [])]
    assert len(published) == 6
    assert all(port.startswith("127.0.0.1:") for port in published)
    listening = [item["environment"].get("HOST", "127.0.0.1") for item in described(config)["services"].values()]
    assert set(listening) == {"127.0.0.1"}


def test_clients_and_postgres_have_one_password(config: StackConfig) -> None:
    services = described(config)["services"]
    password = password_made_once(config.home / "postgres" / "pgpass")
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == password
    assert services["store_setup"]["environment"]["PGPASSWORD"] == password


def test_all_of_it_is_labelled_with_the_home(config: StackConfig) -> None:
    kinds = (described(config)[kind] for kind in ("services", "networks", "volumes"))
    labels = [item["labels"] for kind in kinds for item in kind.values()]
    assert len(labels) > len(config.containers())
    assert all(its == {HOME_LABEL: str(config.home)} for its in labels)
