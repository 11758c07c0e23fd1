"""A stack's containers in the form of a file for `docker compose`. Imported by `local.stack.lifecycle`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local.backing.containers import HOME_LABEL, Container, network_of
from local.backing.images import BUILT, image
from local.backing.postgres import password_made_once
from local.checkout import ROOT
from local.stack.config import StackConfig
from local.stack.deployables import artifacts_in

_NETWORK = "stack"


def described(config: StackConfig) -> dict[str, Any]:
    """The file's content. Makes Postgres' password, which it contains, where the stack has none yet."""
    folder = config.home / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    password = password_made_once(folder / "pgpass")
    services = config.containers()
    mine = {HOME_LABEL: str(config.home)}
    named = {source for item in services.values() for source in item.volumes if not source.startswith("/")}
    return {
        "name": network_of(config.home),
        "services": {
            name: {**_service(config, name, item, password), "restart": restart, "labels": mine}
            # A job is tried until it succeeds; what needs its tables and topics tries again, too.
            for restart, items in (("unless-stopped", services), ("on-failure", config.jobs()))
            for name, item in items.items()
        },
        "networks": {_NETWORK: {"driver": "bridge", "labels": mine}},
        "volumes": {name: {"name": name, "labels": mine} for name in sorted(named)},
    }


def _service(config: StackConfig, name: str, container: Container, password: str) -> dict[str, Any]:
    environ = {**container.environ}
    if container.credential_variable:
        environ[container.credential_variable] = password
    found: dict[str, Any] = {
        "image": container.image,
        "environment": {key: value.replace("$", "$$") for key, value in environ.items()},
        "init": True,
    }
    if name in BUILT and container.image == image(name, {}):
        context = (ROOT if name == "bigquery" else artifacts_in(config.home)) / BUILT[name]
        found["build"] = {"context": str(context), "network": "host"}
    if container.command:
        found["command"] = list(container.command)
    if container.user:
        found["user"] = container.user
    if container.volumes:
        for source in container.volumes:
            if source.startswith("/"):
                Path(source).mkdir(exist_ok=True)
        found["volumes"] = [f"{source}:{target}" for source, target in container.volumes.items()]
    if container.ports:
        found["networks"] = {_NETWORK: {"aliases": [name]}}
        found["ports"] = [f"127.0.0.1:{outside}:{inside}" for inside, outside in container.ports.items()]
    else:
        found |= {"network_mode": "host", "read_only": True, "cap_drop": ["ALL"]}
    return found
