"""Every deployable of a stack imports the core of its own artifact, although the checkout's is installed, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.build import build
from local.stack.config import PORTS, StackConfig
from local.stack.deployables import artifact_of, artifacts_in, deployables
from local.stack.ports import free_ports

MARK = "the core of the artifact was imported"
SERVICES = ("fetch_archive", "publish_live", "archive_live", "producer", "candles_job", "dashboard")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> StackConfig:
    home = tmp_path_factory.mktemp("stack")
    build(artifacts_in(home))
    for core in artifacts_in(home).glob("*/*/bitcoin_pipeline/__init__.py"):
        core.write_text(f"raise ImportError({MARK!r})")
    return StackConfig(home, free_ports(PORTS))


def output(command: tuple[str, ...], folder: Path, environ: dict[str, str]) -> str:
    ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    return ended.stdout + ended.stderr


def test_these_are_all_services(stack: StackConfig) -> None:
    assert sorted(service.name for service in deployables(stack.place)) == sorted(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_imports_the_core_of_its_artifact(stack: StackConfig, name: str) -> None:
    [service] = [service for service in deployables(stack.place) if service.name == name]
    environ = {**os.environ, **stack.environ(), **service.environ}
    assert MARK in output(service.command, stack.home, environ)


def test_the_set_up_job_imports_the_core_of_its_artifact(stack: StackConfig) -> None:
    main = artifact_of(stack.home, "store_setup") / "main.py"
    assert MARK in output((sys.executable, str(main), "topics"), stack.home, {**os.environ, **stack.environ()})
