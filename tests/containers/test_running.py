"""A stack in containers: what runs, with which rights, where it listens, and how large our images are."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from local.backing.containers import HOME_LABEL, network_of
from local.backing.images import BUILT
from local.checkout import ROOT
from local.stack.config import StackConfig
from local.stack.containers import engine
from local.stack.state import read_state
from local.stack.supervision import stack_processes
from local.waiting import wait_for
from tests.containers.table import FIRST, megabytes
from tests.e2e.replayed import Played

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]  # the first test may start the stack
OURS: Final = {*BUILT} - {"bigquery"}
LARGEST: Final = {"producer": 120, "dashboard": 350}
"""Upper bounds on the sizes of images, in megabytes."""


@pytest.fixture
def home(played: Played) -> Path:
    return played.pipeline.home


@pytest.fixture
def config(home: Path) -> StackConfig:
    state = read_state(home)
    assert state is not None
    return state.config(home)


def inspected(home: Path) -> dict[str, dict[str, Any]]:
    """What Docker has about each container of the stack, by the name of its service."""
    with engine() as client:
        found = client.containers.list(filters={"label": f"{HOME_LABEL}={home}"})
        return {str(item.name).removeprefix(f"{network_of(home)}-"): item.attrs for item in found}


def test_every_service_that_has_an_image_is_a_container(home: Path, config: StackConfig) -> None:
    running = inspected(home)
    assert {"postgres", "kafka", "gcs", "bigquery", *OURS} - {"store_setup"} <= running.keys()
    assert running.keys() == config.containers().keys()
    images = {name: item["Config"]["Image"] for name, item in running.items()}
    assert images == {name: item.image for name, item in config.containers().items()}


def test_our_containers_have_no_rights_and_write_nowhere(home: Path) -> None:
    ours = {name: item for name, item in inspected(home).items() if name in OURS}
    rights = {
        (item["Config"]["User"], item["HostConfig"]["ReadonlyRootfs"], *item["HostConfig"]["CapDrop"])
        for item in ours.values()
    }
    assert rights == {("65532:65532", True, "ALL")}


def test_our_containers_pass_the_checks_of_their_images(home: Path) -> None:
    def not_healthy() -> dict[str, str]:
        states = {name: item["State"].get("Health", {}).get("Status", "") for name, item in inspected(home).items()}
        return {name: state for name, state in states.items() if name in OURS and state != "healthy"}

    wait_for(f"{not_healthy()} to be healthy", lambda: not not_healthy(), 90, 1)


def test_everything_listens_on_127_0_0_1_alone(home: Path, config: StackConfig) -> None:
    running = inspected(home)
    published = [places for item in running.values() for places in (item["HostConfig"]["PortBindings"] or {}).values()]
    assert {place["HostIp"] for places in published for place in places} == {"127.0.0.1"}
    # Sockets in other networks than this machine's are not among those that are listed here.
    firsts = [psutil.Process(item["State"]["Pid"]) for item in running.values()]
    processes = [*stack_processes(home), *firsts, *(child for first in firsts for child in first.children(True))]
    pids, ports = {process.pid for process in processes}, {*config.ports.values()}
    listening = [
        place.laddr
        for place in psutil.net_connections("tcp")
        if place.status == psutil.CONN_LISTEN and place.laddr and (place.pid in pids or place.laddr.port in ports)
    ]
    assert {port for _, port in listening} >= {config.ports[name] for name in running}
    assert {ip.removeprefix("::ffff:") for ip, _ in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("name", FIRST)
def test_our_images_are_as_small_as_the_readme_states(name: str) -> None:
    stated = re.search(rf"^\| {name}\b[^|]*\| (\d+) MB \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert stated is not None
    assert megabytes(name) == pytest.approx(int(stated[1]), abs=3), "`make bench-images` prints the table"
    assert megabytes(name) < LARGEST.get(name, math.inf)
