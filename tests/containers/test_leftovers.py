"""What a killed test run has left in Docker is removed by the next one, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.backing.containers import HOME_LABEL, network_of
from local.backing.images import chosen, image
from local.stack.containers import engine
from local.stack.supervision import HOME_VARIABLE
from tests.support.containers import remove_leftovers

pytestmark = pytest.mark.containers


def kept_for(home: Path) -> list[str]:
    """The kinds of what Docker keeps for the stack in `home`."""
    mine: Any = {"label": f"{HOME_LABEL}={home}"}
    with engine() as client:
        kinds: dict[str, list[Any]] = {
            "container": client.containers.list(all=True, filters=mine),
            "network": client.networks.list(filters=mine),
            "volume": client.volumes.list(filters=mine),
        }
    return [kind for kind, found in kinds.items() for _ in found]


def leave(home: Path) -> None:
    """Leave a container, a network and a volume, as `up` does when it is killed."""
    labels, name = {HOME_LABEL: str(home)}, network_of(home)
    with engine() as client:
        client.volumes.create(f"{name}-postgres", labels=labels)
        client.networks.create(name, labels=labels)
        client.containers.create(image("gcs", chosen(os.environ)), name=f"{name}-gcs", labels=labels, network=name)
    assert kept_for(home) == ["container", "network", "volume"]


def test_the_rest_of_a_stack_without_processes_is_removed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    leave(home)
    assert remove_leftovers(tmp_path) == [f"{network_of(home)}-gcs"]
    assert kept_for(home) == []


def test_a_stack_that_runs_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    leave(home)
    environ = {**os.environ, HOME_VARIABLE: str(home)}
    with subprocess.Popen((sys.executable, "-c", "input()"), env=environ, stdin=subprocess.PIPE):
        assert remove_leftovers(tmp_path) == []
    assert kept_for(home) == ["container", "network", "volume"]
    remove_leftovers(tmp_path)
    assert kept_for(home) == []
