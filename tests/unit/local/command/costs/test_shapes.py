"""The priced shapes are those that Terraform deploys."""

from __future__ import annotations

import re

import pytest

from local.checkout import ROOT
from local.command.costs.shapes import SHAPES, Environment

ENVIRONMENTS = ROOT / "terraform" / "environments"


def value(text: str, part: str, name: str) -> str | None:
    """The value of `name` in the line of `part`, such as `broker = { machine = "e2-small", ... }`."""
    line = re.search(rf"^  {part}\s*=\s*{{(.*)}}$", text, re.MULTILINE)
    found = re.search(rf'\b{name}\s*=\s*"?([\w.-]+)', line[1]) if line else None
    return found[1] if found else None


@pytest.mark.parametrize("environment", [Environment.SMALL, Environment.FULL])
def test_machines_and_disks_are_those_of_the_values(environment: Environment) -> None:
    text = (ENVIRONMENTS / f"{environment}.tfvars").read_text()
    live = SHAPES[environment].live
    assert live is not None
    assert value(text, "broker", "machine") == live.broker_machine
    assert value(text, "broker", "disk_gib") == str(live.broker_disk_gib)
    assert value(text, "flink", "machine") == live.flink_machine
    assert value(text, "flink", "type") in (None, live.flink_boot_type)
    assert value(text, "flink", "gib") in (None, str(live.flink_boot_gib))
    assert value(text, "postgres", "tier") == live.sql_tier
    assert value(text, "postgres", "disk_gib") in (None, str(live.sql_disk_gib))
    assert value(text, "producer", "cpu") == str(live.producer_vcpus)
    assert value(text, "producer", "memory_mib") == f"{live.producer_memory_gib * 1024:.0f}"
    assert ("\ncomposer" in text) == bool(SHAPES[environment].composer)


def test_history_has_no_live_plane() -> None:
    text = (ENVIRONMENTS / "history.tfvars").read_text()
    assert re.search(r"^live\s*=\s*null$", text, re.MULTILINE)
    assert SHAPES[Environment.HISTORY].live is None


def test_disks_of_machines_are_those_of_the_modules() -> None:
    stream = (ENVIRONMENTS.parent / "modules" / "candles_stream" / "variables.tf").read_text()
    [default] = re.findall(r'type = optional\(string, "([^"]+)"\), gib = optional\(number, (\d+)\)', stream)
    full = SHAPES[Environment.FULL].live
    assert full is not None
    assert default == (full.flink_boot_type, str(full.flink_boot_gib))
    broker = (ENVIRONMENTS.parent / "modules" / "broker" / "main.tf").read_text()
    for environment in (Environment.SMALL, Environment.FULL):
        live = SHAPES[environment].live
        assert live is not None
        types = re.findall(r'^\s+type\s+=\s+"(pd-[^"]+)"', broker, re.MULTILINE)
        assert types == [live.broker_disk_type, live.broker_boot_type]
        assert re.findall(r"^\s+size\s+=\s+(\d+)", broker, re.MULTILINE) == [str(live.broker_boot_gib)]
