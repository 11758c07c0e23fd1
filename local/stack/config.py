"""The configuration of one stack: its ports, its services, and the environment that leads clients to it.

Imported by the rest of `local.stack` and by tests; nothing here starts a process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from bitcoin_pipeline.bybit.frames import TOPIC_PREFIX
from bitcoin_pipeline.settings import read_settings
from local.backing import gcs, kafka, metadata, postgres, pubsub
from local.backing.bigquery import service as bigquery
from local.backing.containers import Container, containers
from local.backing.flink import service as flink
from local.backing.images import BUILT, image
from local.backing.interface import PROJECT, BackingService, Place, ServiceSpec, module_command
from local.stack import airflow, deployables, stand_ins
from local.stack.options import BybitSettings, SyntheticMarket

REGION: Final = "europe-west1"
LAKE: Final = "lake"
STAGING: Final = "staging"
"""The bucket of temporary objects."""
ARTIFACTS: Final = "artifacts"
"""The bucket from which batches take their code."""


def backing_services(emulator: Path | None) -> list[BackingService]:
    """Every backing service, in the order in which `status` lists them. `emulator`: the jar of Pub/Sub's, or None."""
    services = [metadata.METADATA, gcs.GCS, bigquery.BIGQUERY, pubsub.pubsub(emulator), kafka.KAFKA, postgres.POSTGRES]
    return [*services, flink.FLINK]


PORTS: Final = (
    *(port for service in backing_services(None) for port in service.ports),
    *stand_ins.PORTS,
    *airflow.PORTS,
    *deployables.PORTS,
)
"""The names of the ports on which a stack listens."""


@dataclass(frozen=True, slots=True)
class StackConfig:
    """What one stack consists of.

    `ports`: a port for each of PORTS. `archive_dir`: real files that the simulated archive serves, or None. `capture`:
    recorded frames that the simulator plays at `speed` (0: as fast as possible), or None for the synthetic `market`.
    `add_files`: real files that the synthetic archive serves in place of its own, or None.
    `bybit`: the variables of the real exchange, which is then not simulated. `pubsub`: the jar of the Pub/Sub emulator;
    without it, events are off. `airflow`: whether the DAGs run, too. `images`: the images that replace others, of a
    stack in containers; None for processes.
    """

    home: Path
    ports: Mapping[str, int]
    archive_dir: Path | None = None
    capture: Path | None = None
    speed: float = 1.0
    market: SyntheticMarket = field(default_factory=SyntheticMarket)
    bybit: Mapping[str, str] | None = None
    pubsub: Path | None = None
    airflow: bool = False
    add_files: Path | None = None
    images: Mapping[str, str] | None = None

    @property
    def place(self) -> Place:
        """Where the stack runs."""
        return Place(self.home, self.ports)

    def url(self, name: str) -> str:
        """The HTTP address of what listens on the port of that name."""
        return self.place.url(name)

    def environ(self) -> dict[str, str]:
        """The variables by which any program finds this stack: Google's own where they exist, else the project's."""
        variables = {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "no_grpc_proxy": "127.0.0.1,localhost",
            "PIPELINE_REGION": REGION,
            "PIPELINE_LAKE": LAKE,
            "PIPELINE_STAGING": STAGING,
            "PIPELINE_CANDLES_JOB": f"gs://{ARTIFACTS}/candles/main.py",
            "PIPELINE_CANDLES_JOB_FILES": ",".join(
                f"gs://{ARTIFACTS}/candles/{name}.zip" for name in ("candles_batch", "bitcoin_pipeline", "isal")
            ),
        }
        for service in backing_services(self.pubsub):
            variables |= service.client_environ(self.place)
        exchange = stand_ins.exchange_environ(self.place) if self.bybit is None else self.bybit
        return {
            **variables,
            **stand_ins.dataproc_environ(self.place),
            **deployables.client_environ(self.place),
            **exchange,
            **({"PIPELINE_AIRFLOW_URL": self.url("airflow")} if self.airflow else {}),
            "PIPELINE_SYMBOLS": ",".join(self.symbols()),
        }

    def services(self) -> list[ServiceSpec]:
        """Every service, in the order in which `status` lists them."""
        every = [
            *(spec for service in backing_services(self.pubsub) for spec in service.processes(self.place)),
            *([stand_ins.exchange(self.place, self._market())] if self.bybit is None else []),
            stand_ins.dataproc(self.place),
            *deployables.deployables(self.place),
            stand_ins.schedule(self.place),
            *(airflow.services(self.place) if self.airflow else ()),
        ]
        own = self.containers()
        command = ("local.stack.containers", str(self.home))
        return [
            replace(item, command=module_command(*command, item.name)) if item.name in own else item for item in every
        ]

    def containers(self) -> dict[str, Container]:
        """The containers that run in the place of services, by the names of these; none in a stack of processes."""
        if self.images is None:
            return {}
        ours = [item for item in deployables.deployables(self.place) if item.name in BUILT]
        return {
            **containers(self.place, self.images),
            **{item.name: self._container(item.name, item.environ) for item in ours},
        }

    def jobs(self) -> dict[str, Container]:
        """The containers that run to their end; none in a stack of processes."""
        return {} if self.images is None else {"store_setup": self._container("store_setup", {})}

    def _container(self, name: str, environ: Mapping[str, str]) -> Container:
        """A deployable's. It shares this machine's network, on which the processes of the stack listen."""
        # The image has the path of its own packages.
        variables = {key: value for key, value in {**self.environ(), **environ}.items() if key != "PYTHONPATH"}
        return Container(image(name, self.images or {}), environ=variables, credential_variable="PGPASSWORD")

    def symbols(self) -> tuple[str, ...]:
        """The symbols that the producer subscribes to: of the real exchange, of the capture or of the market."""
        if self.bybit is not None:
            return read_settings(BybitSettings, self.bybit).symbols
        if self.capture is None:
            return self.market.symbols
        topics = re.findall(rf'"topic":\s*"{re.escape(TOPIC_PREFIX)}([^"]+)"', self.capture.read_text("utf-8"))
        return tuple(sorted(set(topics)))

    def _market(self) -> tuple[str, ...]:
        """The simulator's arguments that choose what is published and traded."""
        folders = {"archive-dir": self.archive_dir, "add-files": self.add_files}
        published = tuple(f"--{name}={folder}" for name, folder in folders.items() if folder)
        if self.capture:
            return (*published, f"--capture={self.capture}", f"--speed={self.speed:g}")
        return (
            *published,
            f"--symbols={','.join(self.market.symbols)}",
            f"--trades-per-second={self.market.rate:g}",
            f"--clock-offset-ms={self.market.clock_offset_ms}",
        )
