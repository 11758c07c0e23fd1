"""Keeps the candles job running: submits it when the cluster has none, and goes on from its newest whole checkpoint.

`python -m local.backing.flink.candles_job --folder F --rest URL --port P`. Answers GET on its port with 200 while every
task of the job runs, else 503. In the cloud the same is the cluster's own duty.

A checkpoint that Flink cannot read is set aside (its `_metadata` renamed) for the next older one; with none left, the
job begins in the topic.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.kafka import SilentBrokerError, partitions, read
from bitcoin_pipeline.broker import BrokerFileSettings
from bitcoin_pipeline.settings import read_settings
from bitcoin_pipeline.times import DAY_US, MINUTE_US, SECOND_US, floor_us
from local.backing.flink.cluster import client_command, environ, flink_uri
from local.checkout import ROOT
from local.java.jars import LOCK as JARS_LOCK

JOB: Final = ROOT / "flink" / "candles"
NAME: Final = "candles"

OLDEST_CHECKPOINT_US: Final = 6 * DAY_US
"""The topic keeps 7 days, and a checkpoint is of use only while all that came after it is still there."""

_ENDED: Final = {"FINISHED", "CANCELED", "FAILED", "SUSPENDED"}
_PAUSE_SECONDS: Final = 0.5
_SUBMIT_SECONDS: Final = 180
_KAFKA_SECONDS: Final = 30

_UNREADABLE: Final = "org.apache.flink.runtime.checkpoint.CheckpointCoordinator.restoreSavepoint"
"""In the trace of a submission that failed: the checkpoint did."""
_NOT_RESTORED: Final = "Exception while creating StreamOperatorStateContext"
"""How a task fails that cannot read its state; its surroundings fail it in other words."""
_RESTORES: Final = 3
"""So often in a row, and the checkpoint will not be read the next time either."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that has not ended. `whole`: every task of it runs."""

    job_id: str
    whole: bool


def plan() -> str:
    """Names the job as it is written now: state of another plan cannot be taken over."""
    files = [*sorted(JOB.glob("*.py")), *sorted(JOB.glob("*.sql")), JOB / "requirements.txt", JARS_LOCK]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def whole_checkpoints(checkpoints: Path, now_us: int) -> list[Path]:
    """The whole checkpoints of any earlier run that are young enough to go on from, the newest first."""
    # Flink writes _metadata last.
    found = [(path.stat().st_mtime_ns // 1000, path.parent) for path in checkpoints.glob("*/chk-*/_metadata")]
    return [path for time_us, path in sorted(found, reverse=True) if now_us - time_us < OLDEST_CHECKPOINT_US]


def set_aside(checkpoint: Path, reason: str) -> None:
    """See to it that nobody goes on from this checkpoint again."""
    metadata = checkpoint / "_metadata"
    if metadata.exists():
        metadata.rename(checkpoint / "_metadata.unreadable")
        _tell("checkpoint cannot be read and is set aside", checkpoint=str(checkpoint), reason=reason)


def client_of(settings: BrokerFileSettings) -> dict[str, str]:
    """The options by which a client finds the broker; the password is read from its file. Raises OSError."""
    password = Path(settings.kafka_password_file).read_text("utf-8") if settings.kafka_password_file else ""
    return settings.client_config_with(password)


def first_whole_minute(client: Mapping[str, str], topic: str) -> int:
    """Where to begin in the topic (us) without a checkpoint: 0, its start, while nothing of it was deleted by age.

    After that, the first minute of which every partition still has every trade. Raises KafkaException or
    SilentBrokerError.
    """
    consumer = Consumer({**client, "group.id": "candles-start", "enable.auto.commit": False})
    try:
        oldest_us = 0
        for number in partitions(consumer, topic, _KAFKA_SECONDS):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_KAFKA_SECONDS)
            if low == 0:
                continue
            if low == high:
                return floor_us(time.time_ns() // 1000) + MINUTE_US
            [record] = read(consumer, TopicPartition(topic, number, low), low + 1, _KAFKA_SECONDS)
            oldest_us = max(oldest_us, record.timestamp()[1] * 1000)
        # Clocks may differ: a trade may be appended a little before its time.
        return floor_us(oldest_us + SECOND_US) + 2 * MINUTE_US if oldest_us else 0
    finally:
        consumer.close()


class Keeper:
    """Keeps one job of one cluster running. `folder`: the cluster's; `rest`: its address."""

    def __init__(self, settings: BrokerFileSettings, folder: Path, rest: str, topic: str) -> None:
        self.settings = settings
        self.folder = folder
        self.rest = rest
        self.topic = topic
        self.checkpoints = folder / "checkpoints" / plan()
        self.healthy = False

    def step(self) -> None:
        """Look once; submit the job if there is none, end one that cannot read its checkpoint.

        Raises OSError, TimeoutError, KafkaException or SilentBrokerError when something does not answer.
        """
        job = self._running()
        self.healthy = job is not None and job.whole
        if job is None:
            self._submit()
        elif job.whole:
            self._forget_earlier(job)
        elif (checkpoint := self._not_restored(job)) is not None:
            set_aside(*checkpoint)
            self._request(f"/jobs/{job.job_id}?mode=cancel", "PATCH")

    def _running(self) -> RunningJob | None:
        for item in self._get("/jobs/overview")["jobs"]:
            if item["name"] == NAME and item["state"] not in _ENDED:
                whole = item["state"] == "RUNNING" and item["tasks"]["running"] == item["tasks"]["total"]
                return RunningJob(item["jid"], whole)
        return None

    def _submit(self) -> None:
        checkpoint = next(iter(whole_checkpoints(self.checkpoints, time.time_ns() // 1000)), None)
        command = [
            *client_command(self.folder),
            "run",
            "--detached",
            f"-Dexecution.checkpointing.dir={flink_uri(self.checkpoints)}",
            *([f"-Dexecution.state-recovery.path={flink_uri(checkpoint)}"] if checkpoint else []),
            *("--python", str(JOB / "main.py")),
            *("--topic", self.topic),
        ]
        if checkpoint is None:
            command += ["--start-us", str(first_whole_minute(client_of(self.settings), self.topic))]
        environment = {**os.environ, **environ(self.folder), "PYTHONPATH": str(ROOT / "src")}
        # Held by the submission, too: if this process is killed, its successor waits until that one has ended.
        with (self.folder / "submission.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._running():
                return
            _tell("job is submitted", checkpoint=str(checkpoint) if checkpoint else None)
            outcome = subprocess.run(
                command,
                env=environment,
                pass_fds=[lock.fileno()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SUBMIT_SECONDS,
                check=False,
            )
        if outcome.returncode:
            _tell("submission failed", output=outcome.stdout[-3000:] + outcome.stderr[-1000:])
            if checkpoint is not None and _UNREADABLE in outcome.stdout + outcome.stderr:
                set_aside(checkpoint, "the submission failed on it")

    def _not_restored(self, job: RunningJob) -> tuple[Path, str] | None:
        """The checkpoint from which every task's last attempts could not start, and why; None when all is well.

        Also None when something else keeps the job from running: that passes.
        """
        failures = self._get(f"/jobs/{job.job_id}/exceptions")["exceptionHistory"]["entries"][:_RESTORES]
        if len(failures) < _RESTORES or not all(_NOT_RESTORED in failure["stacktrace"] for failure in failures):
            return None
        restored = self._get(f"/jobs/{job.job_id}/checkpoints")["latest"]["restored"]
        if restored is None:  # it began without one
            return None
        causes = [line for line in failures[0]["stacktrace"].splitlines() if line.startswith("Caused by: ")]
        return Path(restored["external_path"].removeprefix("file:")), causes[-1] if causes else _NOT_RESTORED

    def _forget_earlier(self, job: RunningJob) -> None:
        """Remove what earlier runs left, once this one can stand on a checkpoint of its own."""
        earlier = [
            path
            for path in (self.folder / "checkpoints").glob("*/*")
            if path != self.checkpoints / job.job_id and path.is_dir()
        ]
        if earlier and self._get(f"/jobs/{job.job_id}/checkpoints")["latest"]["completed"]:
            for path in earlier:
                shutil.rmtree(path, ignore_errors=True)

    def _get(self, path: str) -> Any:
        return json.loads(self._request(path, "GET"))

    def _request(self, path: str, method: str) -> bytes:
        request = urllib.request.Request(f"{self.rest}{path}", method=method)  # noqa: S310  # our own address
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.read()  # type: ignore[no-any-return]


def _serve_health(keeper: Keeper, port: int) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            self.send_response(200 if keeper.healthy else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: a probe is no event."""

    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", port), Health).serve_forever, daemon=True).start()


def _tell(event: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Keep the job running until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m local.backing.flink.candles_job", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rest", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--topic", default=names.TRADES_TOPIC)
    arguments = parser.parse_args()
    keeper = Keeper(
        read_settings(BrokerFileSettings, os.environ), arguments.folder.absolute(), arguments.rest, arguments.topic
    )
    _serve_health(keeper, arguments.port)
    answering = True
    while True:
        try:
            keeper.step()
            answering = True
        except (OSError, TimeoutError, subprocess.TimeoutExpired, KafkaException, SilentBrokerError) as error:
            keeper.healthy = False
            if answering:
                _tell("something does not answer", error=str(error))
            answering = False
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
