"""A single service of a stack is stopped and started, under a real supervisord."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.backing.interface import ServiceSpec
from local.stack.ports import free_ports
from local.stack.progress import Silent
from local.stack.supervision import Supervisor, new_password
from local.waiting import wait_for

SERVICE = ServiceSpec("producer", ("/bin/sleep", "600"), "")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path, free_ports(("supervisor",))["supervisor"], new_password())
    made.start([SERVICE], {})
    yield made
    made.stop([SERVICE], Silent())


def state_of(supervisor: Supervisor) -> str:
    [process] = supervisor.states()
    return process.state


def test_a_stopped_service_stays_stopped_until_it_is_started(supervisor: Supervisor) -> None:
    supervisor.start_process("producer")
    wait_for("the service to run", lambda: state_of(supervisor) == "RUNNING", 60)
    for _ in range(2):  # a second time it does nothing
        supervisor.stop_process("producer")
        assert state_of(supervisor) == "STOPPED"
    supervisor.start_process("producer")
    wait_for("the service to run", lambda: state_of(supervisor) == "RUNNING", 60)


def test_a_service_that_is_none_cannot_be_stopped(supervisor: Supervisor) -> None:
    with pytest.raises(OSError, match="nothing cannot be stopped: BAD_NAME"):
        supervisor.stop_process("nothing")
