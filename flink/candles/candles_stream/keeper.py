"""Keeps the candles job running on a cluster: submits it when there is none, from its newest usable checkpoint.

Imported by `candles_stream.__main__`. A checkpoint that Flink cannot read is set aside for the next older one; without
any, the job begins in the topic.
"""

from __future__ import annotations

import fcntl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.broker import BrokerFileSettings
from bitcoin_pipeline.settings import parse_port, setting, url_of
from candles_stream.checkpoints import CheckpointStore, parse_base
from candles_stream.job import NAME, plan
from candles_stream.recovery import failed_restore, refuses_checkpoint, usable
from candles_stream.rest import FlinkRest, RunningJob
from candles_stream.topic import first_whole_minute

_MAIN: Final = Path(__file__).resolve().parents[1] / "main.py"
_SUBMIT_TIMEOUT_S: Final = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperSettings(BrokerFileSettings):
    """Settings of the keeper; the job's own (`candles_stream.job.JobSettings`) come from the same environment."""

    rest_url: str = setting("FLINK_REST_URL", "the REST address of the Flink cluster", url_of("http", "https"))
    client: str = setting("FLINK_CLIENT", "Flink's command line client, a program", str, "flink")
    checkpoints: str = setting("CANDLES_CHECKPOINTS", "the folder of the checkpoints", parse_base)
    lock: str = setting("CANDLES_LOCK", "the file that the submission of this job locks")
    jars: str = setting("CANDLES_JARS", "folder of the connectors' jars, where the cluster has none", str, "")
    topic: str = setting("CANDLES_TOPIC", "the topic of trades", str, names.TRADES_TOPIC)
    host: str = setting("HOST", "where the health port listens", str, "127.0.0.1")
    port: int = setting("PORT", "the health port", parse_port, 8080)

    def client_config(self) -> dict[str, str]:
        """The options of librdkafka that find the broker, with the password from its file. Raises OSError."""
        password = Path(self.kafka_password_file).read_text("utf-8") if self.kafka_password_file else ""
        return self.client_config_with(password)


class Keeper:
    """Keeps one job of one cluster running. `is_healthy`: all tasks of the job ran at the last step."""

    def __init__(self, settings: KeeperSettings, flink: FlinkRest, store: CheckpointStore) -> None:
        self._settings = settings
        self._flink = flink
        self._store = store
        self.is_healthy = False
        self._without_earlier = ""
        """Id of the job for which the checkpoints of earlier runs were deleted; empty before."""

    def step(self) -> None:
        """Check the job once: submit it if there is none, cancel one that cannot read its checkpoint.

        Raises OSError, subprocess.TimeoutExpired, KafkaException or RetryableError when something does not answer; the
        next call may succeed.
        """
        job = self._flink.job(NAME)
        self.is_healthy = job is not None and job.is_whole
        if job is None:
            self._submit()
        elif job.is_whole:
            self._remove_earlier_runs(job)
        elif cause := failed_restore(self._flink.failures(job.job_id)):
            restored = self._flink.restored(job.job_id)
            if restored is not None:
                # Flink writes the base of the URI in a form of its own; what follows it is the store's path.
                self._set_aside("/".join(restored.split("/")[-3:]), cause)
                self._flink.cancel(job.job_id)

    def _submit(self) -> None:
        settings = self._settings
        jars = [str(path) for path in Path(settings.jars).glob("*.jar")] if settings.jars else []
        this_plan = plan(settings.topic, (*self._flink.class_path(), *jars))
        checkpoint = next(iter(usable(self._store.complete(), this_plan, time.time_ns() // 1000)), None)
        location = f"{self._store.base}/{checkpoint.path}" if checkpoint else None
        command = [
            *(settings.client, "run", "--detached"),
            f"-Dexecution.checkpointing.dir={self._store.base}/{this_plan}",
            *([f"-Dexecution.state-recovery.path={location}"] if location else []),
            *("--python", str(_MAIN), "--topic", settings.topic),
            *(("--jars", settings.jars) if settings.jars else ()),
        ]
        if checkpoint is None:
            command += ["--start-us", str(first_whole_minute(settings.client_config(), settings.topic))]
        # The submission holds the lock, too: if this process is killed, its successor waits until that one has ended.
        with Path(settings.lock).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._flink.job(NAME):
                return
            log("INFO", "job is submitted", checkpoint=location)
            outcome = subprocess.run(
                command,
                pass_fds=[lock.fileno()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SUBMIT_TIMEOUT_S,
                check=False,
            )
        if outcome.returncode:
            log("ERROR", "submission failed", output=outcome.stdout[-3000:] + outcome.stderr[-1000:])
            if checkpoint is not None and refuses_checkpoint(outcome.stdout + outcome.stderr):
                self._set_aside(checkpoint.path, "the submission failed on it")

    def _set_aside(self, path: str, reason: str) -> None:
        if self._store.set_aside(path):
            log(
                "WARNING",
                "checkpoint cannot be read and is set aside",
                checkpoint=f"{self._store.base}/{path}",
                reason=reason,
            )

    def _remove_earlier_runs(self, job: RunningJob) -> None:
        """Remove what earlier runs have left, once for each job, when it has a checkpoint of its own."""
        if job.job_id != self._without_earlier and self._flink.has_checkpoint(job.job_id):
            for run in self._store.runs():
                if not run.endswith(f"/{job.job_id}"):
                    self._store.remove(run)
            self._without_earlier = job.job_id
