"""Runs the end-to-end tests in containers; a part of `make test-containers`.

`python -m tests.containers [ARGUMENT of pytest ...]`. Where no registry answers, images that are built here stand in.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from local.backing.images import image
from tests.containers.engine import engine
from tests.containers.stand_ins import environ_with, images

TESTS: Final = (*("tests/containers", "tests/e2e/test_live.py", "tests/e2e/test_archive_to_candles.py"),)


def registry_answers() -> bool:
    """True when the image of the smallest service can be pulled or is here."""
    command = ("docker", "pull", "--quiet", image("gcs", {}))
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main() -> int:
    """Make what the tests need, and run them; returns pytest's exit code."""
    began = time.monotonic()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with engine(cache / "bitcoin-pipeline-docker"):
        found = {} if registry_answers() else images()
        words = "those of registries" if not found else f"stand-ins ({', '.join(filter(None, found.values()))})"
        sys.stdout.write(f"images after {time.monotonic() - began:.0f} s: {words}\n")
        sys.stdout.flush()
        command = (sys.executable, "-m", "pytest", "--backing=container", *(sys.argv[1:] or TESTS))
        return subprocess.run(command, env=environ_with(found), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
