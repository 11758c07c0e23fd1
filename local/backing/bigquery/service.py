"""How a stack starts the BigQuery emulator and how clients reach it. Imported by `local.stack`."""

from __future__ import annotations

from typing import Final

from local.backing.interface import PROJECT, BackingService, Place, ServiceSpec
from local.checkout import ROOT

LOCATION: Final = "US"
"""The location that the emulator reports for every dataset and job."""

_ENVIRONMENT: Final = ROOT / ".venv-bigquery"


def _processes(place: Place) -> list[ServiceSpec]:
    command = (
        str(_ENVIRONMENT / "bin" / "python"),
        str(ROOT / "local" / "backing" / "bigquery" / "serve.py"),
        "--host=127.0.0.1",
        f"--port={place.ports['bigquery']}",
        f"--grpc-port={place.ports['bigquery_storage']}",
        f"--project={PROJECT}",
        f"--data-dir={place.home / 'bigquery'}",
    )
    # DuckDB looks for its extensions below HOME, where set-up has put the files of the wheels.
    environ = {"HOME": str(_ENVIRONMENT / "home")}
    ready = f"{place.url('bigquery')}/bigquery/v2/projects/{PROJECT}/datasets"
    return [ServiceSpec("bigquery", command, ready, environ, is_store=True)]


def _client_environ(place: Place) -> dict[str, str]:
    return {
        "BIGQUERY_EMULATOR_HOST": place.url("bigquery"),
        "BIGQUERY_STORAGE_EMULATOR_HOST": place.address("bigquery_storage"),
        "BIGQUERY_LOCATION": LOCATION,
    }


BIGQUERY: Final = BackingService(("bigquery", "bigquery_storage"), _processes, _client_environ)
