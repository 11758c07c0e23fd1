"""How a stack starts the project's deployables, from the artifacts that `local.build` makes in its home.

Imported by the rest of `local.stack`. Every path to the code of a deployable comes from `artifact_of`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from local.backing.flink import cluster
from local.backing.interface import LONGEST_CHAIN, Place, ServiceSpec

PORTS: Final = ("fetch_archive", "publish_live", "archive_live", "producer", "candles_job", "dashboard")

_ARTIFACTS: Final = {
    **{name: f"functions/{name}" for name in ("fetch_archive", "publish_live", "archive_live")},
    **{name: f"cloudrun/{name}" for name in ("producer", "dashboard", "store_setup")},
    "candles_job": "flink/candles",
    "candles_batch": "dataproc_jobs/candles",
    "dags": "composer_dags",
}

_THREADS: Final = {"fetch_archive": 8, "publish_live": 2, "archive_live": 2}
"""Concurrent calls of each function, which bound its memory: eight calls of fetch_archive peak near 128 MiB. The
functions framework's own default is four threads a core."""


def artifacts_in(home: Path) -> Path:
    """The folder of a stack's artifacts, which are built when it is started and stay as they are while it runs."""
    return home / "artifacts"


def artifact_of(home: Path, name: str) -> Path:
    """The folder of a deployable's artifact, which holds its `main.py`."""
    return artifacts_in(home) / _ARTIFACTS[name]


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
        f"--source={artifact_of(place.home, name) / 'main.py'}",
        "--signature-type=http",
        "--host=127.0.0.1",
        f"--port={place.ports[name]}",
    )
    # functions-framework appends the source's folder to Python's path, behind the checkout's core.
    environ = {**_listening(place, name), "THREADS": str(_THREADS[name])}
    environ["PYTHONPATH"] = str(artifact_of(place.home, name))
    return ServiceSpec(name, command, f"tcp://{place.address(name)}", environ, needs=LONGEST_CHAIN)


def _producer(place: Place) -> ServiceSpec:
    return ServiceSpec(
        "producer",
        _main(place, "producer"),
        f"{place.url('producer')}/live",
        _listening(place, "producer"),
        needs=("topics",),
        works=f"{place.url('producer')}/ready",
    )


def _candles_job(place: Place) -> ServiceSpec:
    folder = place.home / "flink"
    environ = {
        **_listening(place, "candles_job"),
        **cluster.client_environ(folder),
        "PYTHONPATH": str(artifact_of(place.home, "candles_job")),
        "FLINK_REST_URL": place.url("flink_rest"),
        "CANDLES_CHECKPOINTS": cluster.flink_uri(folder / "checkpoints"),
        "CANDLES_LOCK": str(folder / "submission.lock"),
    }
    command = (str(cluster.PYTHON), "-m", "candles_stream")
    needs = ("jobmanager", "topics", "tables")
    return ServiceSpec("candles_job", command, place.url("candles_job"), environ, needs=needs)


def _dashboard(place: Place) -> ServiceSpec:
    ready = f"{place.url('dashboard')}/ready"
    needs = ("topics", "tables", "warehouse")
    return ServiceSpec("dashboard", _main(place, "dashboard"), ready, _listening(place, "dashboard"), needs=needs)


def _main(place: Place, name: str) -> tuple[str, ...]:
    return (sys.executable, str(artifact_of(place.home, name) / "main.py"))


def _listening(place: Place, name: str) -> dict[str, str]:
    return {"HOST": "127.0.0.1", "PORT": str(place.ports[name])}
