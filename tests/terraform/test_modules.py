"""The form of Terraform's files, the rules of each module by Terraform's own tests, and checkov without a failure."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from local.checkout import ROOT
from local.terraform import PROGRAMS
from tests.support.terraform import Modules

pytestmark = pytest.mark.terraform

TERRAFORM = ROOT / "terraform"
FOLDERS = sorted(
    {
        path.parent.relative_to(TERRAFORM).as_posix()
        for path in TERRAFORM.glob("**/*.tf")
        if ".terraform" not in path.parts
    }
)
INNER = {"modules/generated"}
"""Modules that Terraform accepts only inside another, as their outputs are in no state; environments/ uses them."""


def test_files_have_terraforms_own_form(modules: Modules) -> None:
    outcome = modules.run(".", "fmt", "-check", "-recursive", "-diff")
    assert (outcome.returncode, outcome.stdout) == (0, "")


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder not in INNER])
def test_a_folder_is_valid_and_its_rules_hold(modules: Modules, folder: str) -> None:
    modules.init(folder)
    outcome = modules.run(folder, "validate", "-json")
    assert json.loads(outcome.stdout)["diagnostics"] == []
    if folder != "environments":  # whose plans the other tests make
        messages = modules.test(folder)
        [summary] = [message["test_summary"] for message in messages if message["type"] == "test_summary"]
        assert summary["passed"] > 1
        assert (summary["failed"], summary["errored"], summary["skipped"]) == (0, 0, 0)


def test_each_variable_and_output_is_described(modules: Modules) -> None:
    for path in sorted(TERRAFORM.rglob("*.tf")):
        text = path.read_text("utf-8")
        for kind, name, body in re.findall(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', text, re.M | re.S):
            description = re.search(r'^  description = "(.+)"$', body, re.M)
            assert description, f"{path}: the {kind} {name} has no description"
            assert description[1].endswith("."), f"{path}: the description of {name} is no sentence"


def test_environments_differ_by_values_only() -> None:
    folder = TERRAFORM / "environments"
    assert sorted(path.name for path in folder.glob("*.tfvars")) == ["full.tfvars", "history.tfvars", "small.tfvars"]
    for path in folder.glob("*.tfvars"):
        assert re.findall(r"^(module|resource|data|locals|variable|output)\b", path.read_text("utf-8"), re.M) == []


@pytest.fixture(scope="module")
def checkov() -> dict[str, list[dict[str, str]]]:
    """The results of checkov."""
    outcome = subprocess.run(
        [
            *(PROGRAMS / "checkov", "-d", TERRAFORM, "--framework", "terraform"),
            *("--skip-download", "--skip-path", "/tests/", "-o", "json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    results: dict[str, list[dict[str, str]]] = json.loads(outcome.stdout)["results"]
    return results


@pytest.mark.xdist_group("checkov")
def test_checkov_reads_every_file_and_finds_no_fault(checkov: dict[str, list[dict[str, str]]]) -> None:
    assert checkov["parsing_errors"] == []
    assert [f"{each['resource']}: {each['check_name']}" for each in checkov["failed_checks"]] == []
    assert len(checkov["passed_checks"]) > 60


@pytest.mark.xdist_group("checkov")
def test_each_skipped_check_is_explained_and_would_fail(checkov: dict[str, list[dict[str, str]]]) -> None:
    skips = {
        (match[1], path)
        for path in sorted(TERRAFORM.rglob("*.tf"))
        for match in re.finditer(r"#checkov:skip=(CKV\w+):(.{15,})", path.read_text("utf-8"))
    }
    words = sum(path.read_text("utf-8").count("checkov:skip") for path in TERRAFORM.rglob("*.tf"))
    named = {(each["check_id"], TERRAFORM / each["file_path"].lstrip("/")) for each in checkov["skipped_checks"]}
    assert skips == named
    assert words >= len(skips)


SCRIPTS = sorted(
    path for path in TERRAFORM.glob("modules/*/files/*") if path.read_text("utf-8").startswith("#!/bin/bash")
)
UNITS = sorted(TERRAFORM.glob("modules/*/files/*.service"))


def test_scripts_have_no_finding_of_shellcheck() -> None:
    assert len(SCRIPTS) == 6
    command = [str(PROGRAMS / "shellcheck"), "--shell=bash", "--severity=style", *map(str, SCRIPTS)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stdout) == (0, "")


def test_units_are_understood_by_systemd(tmp_path: Path) -> None:
    """The programs that only the machines have are empty files of the same names here."""
    assert len(UNITS) == 6
    for unit in UNITS:
        text = unit.read_text("utf-8").replace("/usr/bin/docker", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.glob("*.service")))]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stdout + outcome.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_calls_only_files_that_are_installed(unit: Path) -> None:
    beside = {path.name for path in unit.parent.iterdir()}
    called = re.findall(r"/etc/(?:redpanda|candles)/([a-z-]+)", unit.read_text("utf-8"))
    generated = {"environment", "clients"}  # by the module
    assert [name for name in called if name not in beside | generated] == []
    assert {"environment"} <= set(called)
