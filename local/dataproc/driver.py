"""The driver of one batch: fetches its artifacts, runs spark-submit on them and leaves the result in a file.

    python -m local.dataproc.driver FOLDER

It is a process in a session of its own, so that it outlives the API that started it. The folder of a batch holds

    job.json       the job, written by the API
    claim.json     the process that runs it, made once, so that no job runs twice
    result.json    the outcome, written when the driver and all that it started have ended
    driveroutput   stdout and stderr
    work/          the working directory: artifacts and Spark's temporary files, removed at the end

Imported by the API, which starts, watches and ends drivers with `Drivers`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import Enum
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import psutil

BATCH_VARIABLE: Final = "DATAPROC_BATCH_UUID"
"""Variable of every process of a batch, with the batch's uuid, by which the processes of several batches differ."""

# pyspark is found without importing it, which would take longer than all other work of this module.
SPARK_HOME: Final = Path(str(distribution("pyspark").locate_file("pyspark")))
SPARK_VERSION: Final = version("pyspark")
SPARK_CONF: Final = Path(__file__).parent / "spark-conf"

# Variables of a user's shell that Dataproc has not: those of other Sparks, and Java options that print a notice.
_FOREIGN: Final = (
    "SPARK_",
    "PYSPARK_",
    "HADOOP_",
    "PYTHONPATH",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
)


@dataclass(frozen=True, slots=True)
class SparkJob:
    """The job of one batch.

    `main`, `python_files`, `files`: gs:// objects or local paths. `environ`: variables of the driver, which on one
    machine its workers inherit, unlike on Dataproc.
    """

    main: str
    python_files: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    conf: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a driver. `exit_code`: negative for a signal. `message`: empty unless it failed."""

    exit_code: int
    message: str


class DriverState(Enum):
    """The state of a batch's driver. A driver that is gone has left its result, unless it was killed."""

    NEW = "new"
    RUNNING = "running"
    GONE = "gone"


class Drivers:
    """The drivers of this machine. `cores`: number of tasks that one driver runs at a time."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, folder: Path, uuid: str, job: SparkJob) -> None:
        """Start the driver of the batch, which does nothing when another one has been started before."""
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "job.json", {"cores": self.cores, **asdict(job)})
        with (folder / "driveroutput").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(folder)],
                env={**os.environ, BATCH_VARIABLE: uuid},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # The processes are kept to be waited for; otherwise they would remain as zombies.
        self._started = {key: value for key, value in self._started.items() if value.poll() is None} | {uuid: process}

    def state(self, folder: Path, uuid: str) -> DriverState:
        """The state of the driver, which an earlier process may have started."""
        try:
            pid = json.loads((folder / "claim.json").read_text())["pid"]
        except FileNotFoundError:
            if uuid not in self._started:
                return DriverState.NEW
            return DriverState.RUNNING if self._started[uuid].poll() is None else DriverState.GONE
        try:
            return DriverState.RUNNING if _belongs(psutil.Process(pid), uuid) else DriverState.GONE
        except psutil.NoSuchProcess:
            return DriverState.GONE

    def result(self, folder: Path) -> Result | None:
        """The outcome of the driver; None when it has not ended, or was killed."""
        try:
            return Result(**json.loads((folder / "result.json").read_text()))
        except FileNotFoundError:
            return None

    def end(self, folder: Path, uuid: str) -> None:
        """Kill every process of the batch and remove its working directory; returns when all of them have ended."""
        _end(uuid)
        shutil.rmtree(folder / "work", ignore_errors=True)


def file_name(uri: str) -> str:
    """The last part of a gs:// object's or a file's name."""
    return _local_path(uri).rsplit("/", 1)[-1]


def command(job: SparkJob, cores: int, work: Path) -> list[str]:
    """The spark-submit that runs `job`, whose files lie in `work`.

    Everything runs in one JVM, the driver, with its workers: Spark's local mode ignores properties of executors.
    """

    def staged(uris: tuple[str, ...]) -> str:
        return ",".join(str(work / file_name(uri)) for uri in uris)

    # Spark's local mode repeats no task unless its master has the number of failures.
    failures = job.conf.get("spark.task.maxFailures", "4")
    conf = {
        **job.conf,
        "spark.master": f"local[{cores},{failures}]",
        "spark.submit.deployMode": "client",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    words = [str(SPARK_HOME / "bin" / "spark-submit")]
    for name, value in conf.items():
        words += ["--conf", f"{name}={value}"]
    if job.python_files:
        words += ["--py-files", staged(job.python_files)]
    if job.files:
        words += ["--files", staged(job.files)]
    return [*words, str(work / file_name(job.main)), *job.args]


def environment(job: SparkJob, work: Path, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of spark-submit: `base` without the variables of other Sparks, with those of the job."""
    return {
        **{name: value for name, value in base.items() if not name.startswith(_FOREIGN)},
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_CONF_DIR": str(SPARK_CONF),
        "SPARK_LOCAL_IP": "127.0.0.1",
        # Temporary files lie in a folder that is removed after a kill, too. (The property spark.local.dir would warn.)
        "SPARK_LOCAL_DIRS": str(work / "spark"),
        "SPARK_SUBMIT_OPTS": f'"-Djava.io.tmpdir={work / "spark"}"',
        "TMPDIR": str(work / "spark"),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        **job.environ,
    }


def failure(exit_code: int, output: str) -> str:
    """The reason why the driver failed: the exception of the last traceback in its output, or its exit code."""
    if exit_code < 0:
        return f"killed by signal {-exit_code}"
    *_, last = output.rpartition("Traceback (most recent call last):\n")
    if last != output:
        for line in last.splitlines():
            if line and not line[0].isspace():
                return line
    return f"exit code {exit_code}"


def run(folder: Path, uuid: str) -> None:
    """Run the job of `folder` unless another process has claimed it, and leave its result there."""
    if not _claim(folder):
        return
    values = json.loads((folder / "job.json").read_text())
    cores = values.pop("cores")
    python_files, files, args = (tuple(values.pop(name)) for name in ("python_files", "files", "args"))
    job = SparkJob(python_files=python_files, files=files, args=args, **values)
    work = folder / "work"
    (work / "spark").mkdir(parents=True, exist_ok=True)
    message = _fetch_all((job.main, *job.python_files, *job.files), work)
    exit_code = 1
    if message:
        sys.stdout.write(f"{message}\n")
    else:
        exit_code = subprocess.run(
            command(job, cores, work), cwd=work, env=environment(job, work, os.environ), check=False
        ).returncode
        if exit_code:
            message = failure(exit_code, _tail(folder / "driveroutput"))
    # Where Spark's JVM alone was killed, the processes that it had started must end before there is a result.
    _end(uuid, but=os.getpid())
    shutil.rmtree(work, ignore_errors=True)
    _write(folder / "result.json", asdict(Result(exit_code, message)))


def _claim(folder: Path) -> bool:
    mine = folder / f"claim.{os.getpid()}"
    _write(mine, {"pid": os.getpid()})
    try:
        os.link(mine, folder / "claim.json")
    except FileExistsError:
        return False
    finally:
        mine.unlink()
    return True


def _fetch_all(uris: tuple[str, ...], work: Path) -> str:
    """The empty text when every file is in `work`; otherwise the first that cannot be read, with the reason."""
    for uri in uris:
        try:
            if uri.startswith("gs://"):
                _download(uri, work / file_name(uri))
            else:
                shutil.copyfile(_local_path(uri), work / file_name(uri))
        except OSError as error:
            return f"{uri} cannot be read: {error}"
    return ""


def _download(uri: str, to: Path) -> None:
    # These are imported here, since every start of the API and of a driver would wait for them.
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage  # type: ignore[attr-defined]  # a namespace package

    try:
        storage.Client().bucket(uri.split("/")[2]).blob(uri.split("/", 3)[3]).download_to_filename(str(to))
    except NotFound:
        raise FileNotFoundError("no such object") from None
    except (GoogleAPIError, GoogleAuthError) as error:
        raise OSError(str(error)) from error


def _local_path(uri: str) -> str:
    return unquote(urlsplit(uri).path) if uri.startswith("file://") else uri


def _tail(path: Path, size: int = 16_384) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode(errors="replace")


def _write(path: Path, value: Mapping[str, object]) -> None:
    """Write `value` as JSON, whole or not at all."""
    new = path.with_suffix(f".{os.getpid()}.new")
    with new.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _belongs(process: psutil.Process, uuid: str) -> bool:
    try:
        return process.environ().get(BATCH_VARIABLE) == uuid and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return False  # a process of another user, or one that has ended


def _end(uuid: str, but: int | None = None) -> None:
    # This is repeated until no process is found, since one of them may have started another meanwhile.
    while found := [item for item in psutil.process_iter() if item.pid != but and _belongs(item, uuid)]:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=1)


if __name__ == "__main__":
    run(Path(sys.argv[1]), os.environ[BATCH_VARIABLE])
