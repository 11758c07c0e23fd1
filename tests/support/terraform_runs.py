"""The real Terraform with the real provider, applied to the stand-in of Google's control plane. For tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from local import terraform
from local.checkout import ROOT

_TIMEOUT_S: Final = 500
_PASSED_ON: Final = ("PATH", "HOME", "TMPDIR", "TF_CLI_CONFIG_FILE", terraform.MIRROR_VARIABLE)
"""Variables of the tests' process that Terraform needs; no other reaches it, least of all a credential."""

NOTHING_TO_DO: Final = 0
CHANGES: Final = 2
"""Exit codes of a plan."""


class TerraformError(Exception):
    """Terraform ended with an error; the message is its output."""


class Terraform:
    """A root module in `folder`, whose provider is led to a control plane by `environ`.

    `settings`: the folder of Terraform's settings and of providers that it has installed, for any number of modules.
    `data`: the folder in which an earlier command of Terraform has installed the module's provider and set its backend.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], settings: Path, data: Path) -> None:
        self.folder = folder
        own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._environ = {**terraform.variables(own, settings), "TF_DATA_DIR": str(data)}
        self._stand_in = dict(environ)

    def install_provider(self) -> None:
        """Install the provider into the settings, from where the machine has it, before the proxy leads elsewhere."""
        self._run("init", "-input=false", "-backend=false", environ=self._environ)

    def plan(self, *arguments: str) -> tuple[int, str]:
        """The exit code of a plan, and its output."""
        outcome = self._try("plan", "-input=false", "-detailed-exitcode", *arguments, environ=self._client_environ())
        if outcome.returncode not in (NOTHING_TO_DO, CHANGES):
            raise TerraformError(outcome.stdout + outcome.stderr)
        return outcome.returncode, outcome.stdout

    def apply(self, *arguments: str) -> str:
        """Apply and return the output. Raises TerraformError."""
        return self._run("apply", "-input=false", "-auto-approve", *arguments, environ=self._client_environ())

    def destroy(self, *arguments: str) -> str:
        """Destroy and return the output. Raises TerraformError."""
        return self._run("destroy", "-input=false", "-auto-approve", *arguments, environ=self._client_environ())

    def outputs(self) -> dict[str, Any]:
        """The values of the outputs."""
        found = json.loads(self._run("output", "-json", environ=self._client_environ()))
        return {name: item["value"] for name, item in found.items()}

    def resources(self) -> list[str]:
        """The addresses of what is applied."""
        return self._run("state", "list", environ=self._client_environ()).splitlines()

    def _client_environ(self) -> dict[str, str]:
        return {**self._environ, **self._stand_in}

    def _run(self, command: str, *arguments: str, environ: Mapping[str, str]) -> str:
        outcome = self._try(command, *arguments, environ=environ)
        if outcome.returncode:
            raise TerraformError(outcome.stdout[-3000:] + outcome.stderr)
        return outcome.stdout

    def _try(self, command: str, *arguments: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        options = () if command == "state" else ("-no-color",)
        return subprocess.run(
            [*terraform.command(), command, *arguments[:1], *options, *arguments[1:]],
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )


def copied(folder: Path) -> Path:
    """A copy in `folder` of `terraform/` and of what its files read; returns `folder`."""
    for part in ("terraform", "src/bitcoin_pipeline/schemas", "tests/terraform/mocks"):
        ignored = shutil.ignore_patterns(".terraform*", "__pycache__", "*.tfstate*")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    return folder


def values_file(path: Path, values: Mapping[str, Any]) -> Path:
    """The file `path`, written with these values of Terraform's variables."""
    path.write_text(json.dumps(values))
    return path
