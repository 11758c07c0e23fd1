"""The `pipeline` command installed alone: the project's wheel and the packages of its lock, with no checkout around."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from local.build import build_wheel
from local.checkout import ROOT
from local.setup.environments import UV
from local.setup.locks import pins


class Installation:
    """An environment that holds what a user of the data commands installs, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheel = build_wheel(folder)
        environment = folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
        self.bin = environment / "bin"
        (packages,) = environment.glob("lib/*/site-packages")
        for name, versions in pins((ROOT / "local" / "command" / "requirements.txt").read_text()).items():
            link_package(name, versions, packages)
        uv, python = str(UV.path / "bin" / "uv"), str(self.bin / "python")
        install = ("pip", "install", "--quiet", "--offline", "--no-deps", "--no-config", "--python", python)
        subprocess.run([uv, *install, str(self.wheel)], check=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `pipeline` as its user does, in a folder that is no checkout."""
        return subprocess.run(
            [str(self.bin / "pipeline"), *words],
            cwd=self.folder,
            env={"HOME": str(self.folder), "PATH": str(self.bin)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def link_package(name: str, versions: set[str], packages: Path) -> None:
    """Put the files of a package that is installed here into `packages`, where it has one of the locked versions.

    They are links, so that nothing is downloaded; a package for another platform is not installed here.
    """
    if name in NOT_HERE:
        return
    package = distribution(name)
    assert package.version in versions
    for file in package.files or ():
        target = packages / file
        if ".." not in file.parts and file.suffix != ".pyc":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(str(package.locate_file(file))))


NOT_HERE = {"colorama", "tzdata"}
"""Packages of the lock for Windows."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation"))


def test_every_command_is_there(installation: Installation) -> None:
    outcome = installation.run("--help")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    for command in ("up", "backfill", "candles", "trades", "sql", "replay", "tail"):
        assert f" {command} " in outcome.stdout


def test_without_a_project_the_error_names_the_setting(installation: Installation) -> None:
    outcome = installation.run("candles", "BTCUSDT", "2020-03-25")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        "error: GOOGLE_CLOUD_PROJECT is not set; "
        "name a Google Cloud project, or with PIPELINE_HOME the home of a stack\n"
    )


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_a_stack_needs_a_checkout(installation: Installation, command: str) -> None:
    outcome = installation.run(command)
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        "error: a stack is started from a checkout of the project; this installation has the data commands only\n"
    )


def test_every_module_of_the_data_commands_can_be_imported(installation: Installation) -> None:
    """Also what a command imports only when it runs."""
    modules = ("local.command.replay", "local.command.tail", "bitcoin_pipeline.adapters.arrow")
    libraries = (
        *("confluent_kafka.admin", "duckdb", "google.cloud.bigquery", "google.cloud.bigquery_storage", "psycopg.rows"),
        *("google.cloud.dataproc_v1", "google.oauth2.id_token", "grpc", "pyarrow.dataset", "pyarrow.fs", "requests"),
        *("bitcoin_pipeline.adapters.bigquery", "bitcoin_pipeline.adapters.kafka"),
    )
    code = "".join(f"import {name}\n" for name in (*modules, *libraries))
    outcome = subprocess.run(
        [str(installation.bin / "python"), "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr


def test_the_wheel_has_the_core_and_the_command_and_nothing_of_the_stack(installation: Installation) -> None:
    names = {name for name in zipfile.ZipFile(installation.wheel).namelist() if ".dist-info/" not in name}
    of_local = {name for name in names if not name.startswith("bitcoin_pipeline/")}
    outside = {name for name in of_local if not name.startswith("local/command/")}
    assert outside == {"local/__init__.py", "local/checkout.py", "local/environment.py"}
    assert "local/command/data.py" in of_local
    data = {"local/command/costs/prices.json"}
    assert {name for name in of_local if not name.endswith(".py")} == data
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*") if path.is_file()}
    assert names - of_local == {name for name in sources if "__pycache__" not in name}
