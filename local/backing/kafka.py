"""Apache Kafka as one node of a stack (KRaft, no ZooKeeper).

`python -m local.backing.kafka --folder F --port P --controller-port C` formats the folder once and becomes the broker.
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

from local.java import jvm
from local.java.jars import FOLDER as JARS

_LOGGING: Final = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")
_MEMORY: Final = ("-Xms96m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:MaxMetaspaceSize=128m", "-XX:TieredStopAtLevel=1")


def properties(data: Path, port: int, controller_port: int) -> str:
    """The broker's configuration. Flushing is left as Kafka has it: a killed process loses nothing it has confirmed."""
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
        # One node: what Kafka keeps for itself has one copy.
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
        # A broker that comes back after a kill is taken in again at once.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def classes() -> jvm.Classes:
    """What the broker loads."""
    return jvm.Classes("kafka", tuple(sorted((JARS / "kafka").glob("*.jar"))))


def _format_once(data: Path) -> None:
    if (data / "meta.properties").exists():
        return
    shutil.rmtree(data, ignore_errors=True)  # a formatting that was interrupted
    shutil.copytree(_formatted(), data)


def _formatted() -> Path:
    """A data folder as Kafka's own tool formats it, made once: nothing in it is one stack's."""
    formatted = jvm.PREPARED / f"{classes().archive.stem}-formatted"
    jvm.PREPARED.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{formatted}.lock"), tempfile.TemporaryDirectory(dir=jvm.PREPARED) as folder:
        if not formatted.exists():
            data, configuration = Path(folder, "data"), Path(folder, "server.properties")
            configuration.write_text(properties(data, 1, 2))
            tool = jvm.command(classes(), ("-Xmx64m", *_LOGGING), "kafka.tools.StorageTool", {})
            # One node, so its id need not differ from anybody's.
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
    # The supervisor's child is the broker itself, so that a signal reaches it.
    os.execv(words[0], (*words, str(configuration)))  # noqa: S606


if __name__ == "__main__":
    main()
