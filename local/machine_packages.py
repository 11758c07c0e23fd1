"""The Python packages of the Flink job for the machine of its cluster, which reaches no package registry.

`python -m local.machine_packages` installs what the job's lock names into `.flink-packages`, for the machine's Python
and not for this one's; `python3 -m local.setup machine-packages` calls it. `local.build` puts them into the bundle.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from local.build import MACHINE_PACKAGES
from local.checkout import ROOT

FOLDER: Final = ROOT / MACHINE_PACKAGES
LOCK: Final = ROOT / "flink" / "candles" / "requirements.txt"
PYTHON_VERSION: Final = "3.12"
"""Python of Dataproc's image 3.0; the script `install` of modules/candles_stream demands it."""

_PLATFORM: Final = "x86_64-manylinux_2_28"
_UV: Final = ROOT / ".venv-uv" / "bin" / "uv"


def without_flink(lock: str) -> str:
    """The lines of a lock with hashes without the packages of Flink itself, which the cluster's image brings."""
    kept = []
    is_kept = True
    for line in lock.splitlines(keepends=True):
        if line[:1].isalnum():
            is_kept = not line.startswith("apache-flink")
        if is_kept:
            kept.append(line)
    return "".join(kept)


def main() -> None:
    """Install the packages; the environment has uv's settings."""
    for path in FOLDER.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with tempfile.TemporaryDirectory() as name:
        lock = Path(name, "requirements.txt")
        lock.write_text(without_flink(LOCK.read_text("utf-8")))
        platform = ("--python-version", PYTHON_VERSION, "--python-platform", _PLATFORM)
        which = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement", str(lock))
        command = (str(_UV), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(FOLDER))
        outcome = subprocess.run((*command, *platform, *which), check=False)
    shutil.rmtree(FOLDER / "bin", ignore_errors=True)  # programs, which hold the path of this machine's interpreter
    sys.exit(outcome.returncode)


if __name__ == "__main__":
    main()
