"""How a stack starts the processes of its Flink cluster. Imported by `local.stack`."""

from __future__ import annotations

from typing import Final

from local.backing.interface import BackingService, Place, ServiceSpec, module_command


def _processes(place: Place) -> list[ServiceSpec]:
    ready = f"tcp://{place.address('flink_taskmanager')}"
    return [
        ServiceSpec("jobmanager", _command(place, "jobmanager"), f"{place.url('flink_rest')}/overview"),
        ServiceSpec("taskmanager", _command(place, "taskmanager"), ready, needs=("jobmanager",)),
    ]


def _command(place: Place, process: str) -> tuple[str, ...]:
    ports = [f"--{name}-port={place.ports[f'flink_{name}']}" for name in ("rest", "rpc", "blob", "taskmanager")]
    return module_command("local.backing.flink.cluster", process, f"--folder={place.home / 'flink'}", *ports)


def _client_environ(_: Place) -> dict[str, str]:
    return {}  # its one client, the keeper of the candles job, gets FLINK_REST_URL from `local.stack.deployables`


FLINK: Final = BackingService(
    ("flink_rest", "flink_rpc", "flink_blob", "flink_taskmanager"), _processes, _client_environ
)
