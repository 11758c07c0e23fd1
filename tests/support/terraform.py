"""Runs of Terraform's own tests on a copy of the modules, and what a plan holds.

Imported by tests/terraform. The copy keeps the checkout free of what Terraform writes beside its files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from local import terraform
from local.checkout import ROOT

UNKNOWN: Final = "(known after apply)"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a plan. `values`: its attributes, with UNKNOWN where only an apply can give one."""

    address: str
    kind: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an environment would be."""

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, *kinds: str) -> Iterator[Resource]:
        """The resources of these kinds."""
        return (resource for resource in self.resources if resource.kind in kinds)

    def one(self, kind: str, **values: str) -> Resource:
        """The only resource of the kind with these values. Raises ValueError when there is none or another."""
        found = [
            each for each in self.of(kind) if all(each.values.get(name) == value for name, value in values.items())
        ]
        if len(found) != 1:
            raise ValueError(f"one {kind} with {values}, got {[each.address for each in found]}")
        return found[0]


class Modules:
    """A copy of all Terraform code, in which its commands run."""

    def __init__(self, folder: Path) -> None:
        self._environ = {**terraform.variables(os.environ, folder), "GOOGLE_OAUTH_ACCESS_TOKEN": "none"}
        self._root = folder / "checkout"
        unneeded = shutil.ignore_patterns(".terraform*", "*.tfstate*")
        for part in ("terraform", "src/bitcoin_pipeline/schemas", "tests/terraform/mocks"):
            shutil.copytree(ROOT / part, self._root / part, ignore=unneeded)

    def run(self, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of Terraform in a folder of terraform/."""
        return subprocess.run(
            [*terraform.command(), *words],
            cwd=self._root / "terraform" / module,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def init(self, module: str) -> None:
        """Make a folder ready. Raises RuntimeError with the remedy where the provider cannot be had."""
        outcome = self.run(module, "init", "-backend=false", "-input=false", "-no-color")
        if outcome.returncode:
            raise RuntimeError(
                "Terraform's provider for Google could not be installed: neither its registry answers nor is there a "
                f"mirror, whose folder {terraform.MIRROR_VARIABLE} would name.\n{outcome.stdout}{outcome.stderr}"
            )

    def test(self, module: str, *words: str) -> list[dict[str, Any]]:
        """The messages of `terraform test`. Raises AssertionError with what failed."""
        outcome = self.run(module, "test", "-no-color", "-json", *words)
        messages = [json.loads(line) for line in outcome.stdout.splitlines() if line.startswith("{")]
        faults = [
            f"{item.get('range', {}).get('filename')}: {item['summary']}: {item['detail']}"
            for message in messages
            if message["type"] == "diagnostic" and (item := message["diagnostic"])["severity"] == "error"
        ]
        assert outcome.returncode == 0, "\n".join(faults) or outcome.stderr + outcome.stdout[-2000:]
        return messages

    def plan(self, environment: str) -> Plan:
        """The plan of environments/ENVIRONMENT.tfvars by the real provider, which makes no request for it."""
        messages = self.test("environments", f"-var-file={environment}.tfvars", "-verbose")
        [content] = [message["test_plan"] for message in messages if message["type"] == "test_plan"]
        return read_plan(content)


def read_plan(content: Mapping[str, Any]) -> Plan:
    """The plan in Terraform's JSON form."""
    resources = [
        Resource(
            change["address"], change["type"], _whole(change["change"]["after"], change["change"]["after_unknown"])
        )
        for change in content["resource_changes"]
        if change["mode"] == "managed"
    ]
    outputs = {
        name: _whole(change.get("after"), change["after_unknown"]) for name, change in content["output_changes"].items()
    }
    return Plan(resources, outputs)


def _whole(known: Any, unknown: Any) -> Any:
    """The value with UNKNOWN in all places that an apply would fill."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, Mapping):
        values = known or {}
        return {name: _whole(values.get(name), unknown.get(name)) for name in {**values, **unknown}}
    if isinstance(unknown, list):
        values = known or []
        padded = [*values, *([None] * (len(unknown) - len(values)))]
        return [_whole(value, unknown[index] if index < len(unknown) else None) for index, value in enumerate(padded)]
    return known
