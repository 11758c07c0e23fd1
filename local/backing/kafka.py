"""Apache Kafka as one node of a stack (KRaft, no ZooKeeper).

`python -m local.backing.kafka --folder F --port P --controller-port C` formats the folder once and becomes the broker.
Imported by `local.stack`, which starts it so, and by tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from filelock import FileLock

from local.backing.interface import BackingService, Place, ServiceSpec, module_command
from local.java import jvm
from local.java.jars import FOLDER as JARS

_LOGGING: Final = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")
_MEMORY: Final = ("-Xms96m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:MaxMetaspaceSize=128m", "-XX:TieredStopAtLevel=1")


def _processes(place: Place) -> list[ServiceSpec]:
    command = module_command(
        "local.backing.kafka",
        f"--folder={place.home / 'kafka'}",
        f"--port={place.ports['kafka']}",
        f"--controller-port={place.ports['kafka_controller']}",
    )
    return [ServiceSpec("kafka", command, f"kafka://{place.address('kafka')}", is_store=True)]


def _client_environ(place: Place) -> dict[str, str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": place.address("kafka")}


KAFKA: Final = BackingService(("kafka", "kafka_controller"), _processes, _client_environ)


def properties(data: Path, port: int, controller_port: int) -> str:
    """The content of the broker's `server.properties`, with its data in the folder `data`.

    Flushing is left at Kafka's default: the operating system keeps what a killed process has confirmed.
    """
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        # On one node, Kafka's own topics can have one replica only.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.segment.bytes": str(128 * 1024 * 1024),
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
        # The controller accepts a broker that restarts after a kill once its old session has ended.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def classes() -> jvm.Classes:
    """The classes that the broker loads."""
    return jvm.Classes("kafka", tuple(sorted((JARS / "kafka").glob("*.jar"))))


def _format_once(data: Path) -> None:
    if (data / "meta.properties").exists():
        return
    shutil.rmtree(data, ignore_errors=True)  # the rest of a formatting that was interrupted
    shutil.copytree(_formatted(), data)


def _formatted() -> Path:
    """A data folder formatted by Kafka's own tool, made once for all stacks: it holds nothing of one stack."""
    formatted = jvm.PREPARED / f"{classes().archive.stem}-formatted"
    jvm.PREPARED.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{formatted}.lock"), tempfile.TemporaryDirectory(dir=jvm.PREPARED) as folder:
        if not formatted.exists():
            data, configuration = Path(folder, "data"), Path(folder, "server.properties")
            configuration.write_text(properties(data, 1, 2))
            tool = jvm.command(classes(), ("-Xmx64m", *_LOGGING), "kafka.tools.StorageTool", {})
            # A cluster of one node never meets another, so all stacks may share one id.
            words = ("format", "--cluster-id", "bGl2ZS1waXBlbGluZS0wMQ", "--config", str(configuration))
            subprocess.run((*tool, *words), check=True, stdout=subprocess.DEVNULL)
            data.rename(formatted)
    return formatted


def main() -> None:
    """Become the broker."""
    parser = argparse.ArgumentParser(prog="python -m local.backing.kafka", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--controller-port", type=int, required=True)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "server.properties"
    configuration.write_text(properties(folder / "data", arguments.port, arguments.controller_port))
    _format_once(folder / "data")
    words = jvm.command(classes(), (*_MEMORY, *_LOGGING), "kafka.Kafka", os.environ)
    # The broker replaces this process, so that the supervisor's signals reach it.
    os.execv(words[0], (*words, str(configuration)))  # noqa: S606


if __name__ == "__main__":
    main()
