"""A Docker engine for the tests: the one that answers, else one that is started for them and ended after them.

`python -m tests.containers.engine` ends with 1 and a line of the reason where there can be none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil
from filelock import FileLock

from local.stack.logs import reason
from local.waiting import wait_for

PROGRAMS: Final = ("docker", "dockerd", "iptables")
"""What an engine needs, of Debian's packages docker.io and iptables."""

_SECONDS: Final = 120
_KEEP_BYTES: Final = 10_000
"""Length of the end of the engine's log in which the reason for its end is searched."""


class EngineError(RuntimeError):
    """There is no Docker engine and none can be started; the message contains the reason."""


def engine_folder() -> Path:
    """Where an engine that is started keeps its images and its log."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bitcoin-pipeline-docker"


def answers() -> bool:
    """True when a Docker engine answers, by the variable DOCKER_HOST where it is set."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(("docker", "info"), capture_output=True, check=False, timeout=_SECONDS).returncode == 0


@contextmanager
def engine(folder: Path) -> Iterator[None]:
    """An engine that answers as long as the context lasts. Raises EngineError.

    One that is started keeps its images in `folder`, listens on a socket there, and publishes ports on 127.0.0.1 alone.
    It ends with the context; one that a killed run has left is used, and ended, by the next run.
    """
    # The command of Debian's package has BuildKit inside; a newer one on the path may lack the plugin for it.
    if Path("/usr/bin/docker").exists():
        os.environ["PATH"] = f"/usr/bin:{os.environ['PATH']}"
    if answers():
        yield
        return
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        words = f"{' and '.join(missing)} must be installed (Debian: docker.io, iptables)"
        raise EngineError(f"no Docker engine answers, and none can be started: {words}")
    if os.geteuid() != 0:
        raise EngineError("no Docker engine answers, and only root can start one; start it, or set DOCKER_HOST")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
    os.environ["DOCKER_CONFIG"] = str(folder)
    # The lock ends with its process, so an engine that answers now is left of a run that was killed.
    with FileLock(folder / "lock"):
        daemon = psutil.Process(int((folder / "docker.pid").read_text())) if answers() else _started(folder)
        try:
            yield
        finally:
            with suppress(psutil.NoSuchProcess):
                daemon.terminate()
                daemon.wait(_SECONDS)
            _unmount(folder)


def _unmount(folder: Path) -> None:
    """Unmount what an engine leaves mounted in its folder, which could not be removed otherwise."""
    mounts = [mount.mountpoint for mount in psutil.disk_partitions(all=True)]
    for mount in sorted((mount for mount in mounts if Path(mount).is_relative_to(folder)), reverse=True):
        subprocess.run(("umount", mount), check=False)


def _started(folder: Path) -> psutil.Process:
    (folder / "docker.pid").unlink(missing_ok=True)
    log = folder / "dockerd.log"
    options = (f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/docker.pid")
    with log.open("wb") as output:
        daemon = psutil.Popen(
            ("dockerd", f"--host={os.environ['DOCKER_HOST']}", *options, "--ip=127.0.0.1", "--bridge=none"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for("dockerd to answer", lambda: daemon.poll() is not None or answers(), _SECONDS, 0.2)
    except TimeoutError as error:
        daemon.terminate()
        raise EngineError(f"this machine runs no Docker engine: {error}; its log: {log}") from error
    if daemon.poll() is not None:
        why = reason(log.read_text(errors="replace")[-_KEEP_BYTES:])
        raise EngineError(f"this machine runs no Docker engine: dockerd ended at once ({why}); its log: {log}")
    return psutil.Process(daemon.pid)


if __name__ == "__main__":
    try:
        with engine(engine_folder()):
            pass
    except EngineError as error:
        sys.exit(f"error: {error}")
