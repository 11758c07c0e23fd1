"""The containers of a stack, for tests: one is killed, and those of killed test runs are removed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from local.backing.containers import HOME_LABEL, network_of
from local.stack.containers import ContainerError, engine, remove_left
from local.stack.state import read_state
from local.stack.supervision import stack_processes
from local.waiting import wait_for

_SECONDS: Final = 60


def kill_container(home: Path, service: str, moment: Callable[[], object] = lambda: None) -> bool:
    """Kill the container of a service, or of a job as `JOB-ARGUMENT`, with SIGKILL once `moment` has returned.

    It is found before, so that it is killed at once. False where the service is a process; then `moment` is not called.
    """
    config = state.config(home) if (state := read_state(home)) else None
    if config is None or service.partition("-")[0] not in {**config.containers(), **config.jobs()}:
        return False
    name = f"{network_of(home)}-{service}"
    with engine() as client:
        running = wait_for(
            f"{name} to run",
            lambda: client.containers.list(filters={"name": f"^/{name}$", "status": "running"}),
            _SECONDS,
        )
        moment()
        running[0].kill()
    return True


def remove_leftovers(folder: Path | None = None) -> list[str]:
    """Remove what killed test runs have left in Docker; returns the names of the containers.

    It belongs to a stack in `folder`, by default the folder of temporary files, of which no process runs any more.
    """
    folder = folder or Path(tempfile.gettempdir())
    removed = []
    try:
        with engine() as client:
            mine: dict[str, str | list[str] | bool] = {"label": HOME_LABEL}
            kept: list[Any] = [*client.containers.list(all=True, filters=mine), *client.volumes.list(filters=mine)]
            kept += client.networks.list(filters=mine)
            labels = [item.attrs.get("Labels") or item.attrs["Config"]["Labels"] for item in kept]
            homes = {Path(its[HOME_LABEL]) for its in labels}
            for home in sorted(homes):
                if home.is_relative_to(folder) and not stack_processes(home):
                    left = client.containers.list(all=True, filters={"label": f"{HOME_LABEL}={home}"})
                    removed += [container.name or "" for container in left]
                    remove_left(client, home, data=True)
    except ContainerError:
        return []
    return removed
