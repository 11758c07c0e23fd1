"""A Docker engine for the tests: the one that answers, else one that is started for them and ended after them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.waiting import wait_for


def answers() -> bool:
    """True when a Docker engine answers, by the variable DOCKER_HOST where it is set."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(("docker", "info"), capture_output=True, check=False, timeout=60).returncode == 0


@contextmanager
def engine(folder: Path) -> Iterator[None]:
    """An engine that answers as long as the context lasts.

    One that is started keeps its images in `folder`, listens on a socket there, and publishes ports on 127.0.0.1 alone.
    Raises RuntimeError when there is none and none can be started.
    """
    # The command of Debian's package has BuildKit inside; a newer one on the path may lack the plugin for it.
    if Path("/usr/bin/docker").exists():
        os.environ["PATH"] = f"/usr/bin:{os.environ['PATH']}"
    if answers():
        yield
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        raise RuntimeError("no Docker engine answers; start one, or as root install one (Debian: docker.io, iptables)")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
    os.environ["DOCKER_CONFIG"] = str(folder)
    if answers():  # an earlier run was killed
        yield
        return
    (folder / "docker.pid").unlink(missing_ok=True)
    options = (f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/docker.pid")
    with (folder / "dockerd.log").open("ab") as log:
        daemon = subprocess.Popen(
            ("dockerd", f"--host={os.environ['DOCKER_HOST']}", *options, "--ip=127.0.0.1"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(f"dockerd to answer ({folder}/dockerd.log)", lambda: daemon.poll() is not None or answers(), 60)
        if daemon.poll() is not None:
            raise RuntimeError(f"dockerd ended at once; its log: {folder}/dockerd.log")
        yield
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)
