"""How a stack starts the project's deployables.

Imported by `local.stack.config`. Every path to the code of a deployable comes from `source_of`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from local.backing.interface import LONGEST_CHAIN, Place, ServiceSpec, module_command
from local.checkout import ROOT

PORTS: Final = ("fetch_archive", "publish_live", "archive_live", "producer", "candles_job", "dashboard")

_SOURCES: Final = {
    **{name: f"functions/{name}" for name in ("fetch_archive", "publish_live", "archive_live")},
    **{name: f"cloudrun/{name}" for name in ("producer", "dashboard")},
}

_THREADS: Final = {"fetch_archive": 8, "publish_live": 2, "archive_live": 2}
"""Concurrent calls of each function, which bound its memory: eight calls of fetch_archive peak near 128 MiB. The
functions framework's own default is four threads a core."""


def source_of(name: str) -> Path:
    """The folder that holds `main.py` of a deployable."""
    return ROOT / _SOURCES[name]


def deployables(place: Place) -> list[ServiceSpec]:
    """Every deployable that runs as a service."""
    return [
        *(_function(place, name) for name in _THREADS),
        _producer(place),
        _candles_job(place),
        _dashboard(place),
    ]


def client_environ(place: Place) -> dict[str, str]:
    """The variables that lead clients to the functions."""
    return {f"PIPELINE_{name.upper()}_URL": place.url(name) for name in _THREADS}


def _function(place: Place, name: str) -> ServiceSpec:
    command = (
        str(Path(sys.executable).parent / "functions-framework"),
        f"--target={name}",
        f"--source={source_of(name) / 'main.py'}",
        "--signature-type=http",
        "--host=127.0.0.1",
        f"--port={place.ports[name]}",
    )
    environ = {"THREADS": str(_THREADS[name])}
    return ServiceSpec(name, command, f"tcp://{place.address(name)}", environ, needs=LONGEST_CHAIN)


def _producer(place: Place) -> ServiceSpec:
    return ServiceSpec(
        "producer",
        _main("producer"),
        f"{place.url('producer')}/live",
        _listening(place, "producer"),
        needs=("topics",),
        works=f"{place.url('producer')}/ready",
    )


def _candles_job(place: Place) -> ServiceSpec:
    command = module_command(
        "local.backing.flink.candles_job",
        f"--folder={place.home / 'flink'}",
        f"--rest={place.url('flink_rest')}",
        f"--port={place.ports['candles_job']}",
    )
    return ServiceSpec("candles_job", command, place.url("candles_job"), needs=("jobmanager", "topics", "tables"))


def _dashboard(place: Place) -> ServiceSpec:
    ready = f"{place.url('dashboard')}/ready"
    needs = ("topics", "tables", "warehouse")
    return ServiceSpec("dashboard", _main("dashboard"), ready, _listening(place, "dashboard"), needs=needs)


def _main(name: str) -> tuple[str, ...]:
    return (sys.executable, str(source_of(name) / "main.py"))


def _listening(place: Place, name: str) -> dict[str, str]:
    return {"HOST": "127.0.0.1", "PORT": str(place.ports[name])}
