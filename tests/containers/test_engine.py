"""Why there is no Docker engine is an error with the reason, before any test runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.containers.engine import EngineError, engine

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: an engine that cannot start, as only root starts one"),
]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for an engine, on a machine where none answers."""
    for name, value in {"DOCKER_HOST": f"unix://{tmp_path}/no.sock", "DOCKER_CONFIG": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", os.environ["PATH"])  # the engine changes it
    return tmp_path / "engine"


def test_what_is_not_installed_is_named(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "iptables" else find(name))
    with pytest.raises(EngineError, match=r"none can be started: iptables must be installed"), engine(nowhere):
        raise AssertionError("there is no engine")


def test_a_daemon_that_cannot_run_on_this_machine_is_an_error_with_its_reason(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = nowhere / "bin" / "dockerd"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'failed to start daemon: Devices cgroup is not mounted' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    words = r"no Docker engine: dockerd ended at once .*Devices cgroup is not mounted"
    with pytest.raises(EngineError, match=words), engine(nowhere):
        raise AssertionError("there is no engine")
