"""The keeper of the candles job, with a cluster and checkpoints that are variables, and a client that is a script."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from bitcoin_pipeline.settings import read_settings
from candles_stream import keeper
from candles_stream.checkpoints import Checkpoint
from candles_stream.job import plan
from candles_stream.keeper import Keeper, KeeperSettings
from candles_stream.rest import FlinkRest, RunningJob

CLASS_PATH: Final = ["/flink/lib/flink-dist-2.2.1.jar"]
PLAN: Final = plan("trades", CLASS_PATH)
UNREADABLE: Final = "Exception while creating StreamOperatorStateContext\nCaused by: java.io.EOFException"
REFUSED: Final = "at org.apache.flink.runtime.checkpoint.CheckpointCoordinator.restoreSavepoint(C.java:1)"


class Flink(FlinkRest):
    """A cluster. `answers`: what the next calls of `job` return; the last one stays."""

    def __init__(self) -> None:
        self.answers: list[RunningJob | None] = [None]
        self.traces: list[str] = []
        self.restored_from: str | None = None
        self.checkpointed = False
        self.cancelled: list[str] = []

    def job(self, name: str) -> RunningJob | None:
        assert name == "candles"
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def class_path(self) -> list[str]:
        return CLASS_PATH

    def failures(self, job_id: str) -> list[str]:
        return self.traces

    def restored(self, job_id: str) -> str | None:
        return self.restored_from

    def has_checkpoint(self, job_id: str) -> bool:
        return self.checkpointed

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)


@dataclass
class Store:
    """Checkpoints, newest last."""

    base: str = "gs://bucket/flink"
    paths: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def complete(self) -> list[Checkpoint]:
        now_us = time.time_ns() // 1000
        return [Checkpoint(path, now_us - 1_000_000 * age) for age, path in enumerate(reversed(self.paths))]

    def set_aside(self, path: str) -> bool:
        found = path in self.paths
        self.paths = [other for other in self.paths if other != path]
        return found

    def runs(self) -> list[str]:
        return list(self.left)

    def remove(self, run: str) -> None:
        self.left.remove(run)


class World:
    """A keeper with its surroundings. `submitted`: the words that Flink's client was started with, call by call."""

    def __init__(self, folder: Path) -> None:
        self.flink, self.store = Flink(), Store()
        self.client, self._calls = folder / "a client", folder / "calls"
        self.settings = {
            "KAFKA_BOOTSTRAP_SERVERS": "broker:9092",
            "FLINK_REST_URL": "http://flink:8081",
            "FLINK_CLIENT": str(self.client),
            "CANDLES_CHECKPOINTS": self.store.base,
            "CANDLES_LOCK": str(folder / "lock"),
        }
        self.answer("", 0)

    def answer(self, text: str, code: int) -> None:
        """Make the client print a text and end with a code."""
        record = f"for word; do printf '%s\\n' \"$word\" >> '{self._calls}'; done; echo >> '{self._calls}'"
        self.client.write_text(f"#!/bin/sh\n{record}\necho '{text}'\nexit {code}\n")
        self.client.chmod(0o755)

    def keeper(self) -> Keeper:
        return Keeper(read_settings(KeeperSettings, self.settings), self.flink, self.store)

    def step(self) -> Keeper:
        made = self.keeper()
        made.step()
        return made

    @property
    def submitted(self) -> list[list[str]]:
        calls = self._calls.read_text().split("\n\n") if self._calls.exists() else []
        return [call.splitlines() for call in calls if call]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(keeper, "first_whole_minute", lambda _client, _topic: 1_786_310_760_000_000)
    return World(tmp_path)


def events(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]


def test_the_newest_checkpoint_of_the_plan_is_restored(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.store.paths = [f"{PLAN}/old/chk-9", f"{PLAN}/new/chk-2", "another-plan/run/chk-3"]
    world.step()
    [words] = world.submitted
    main = words.pop(words.index("--python") + 1)
    assert Path(main).is_file()
    assert words == [
        *("run", "--detached"),
        f"-Dexecution.checkpointing.dir=gs://bucket/flink/{PLAN}",
        f"-Dexecution.state-recovery.path=gs://bucket/flink/{PLAN}/new/chk-2",
        *("--python", "--topic", "trades"),
    ]
    assert events(capsys) == ["job is submitted"]


def test_without_a_checkpoint_the_job_begins_in_the_topic(world: World, tmp_path: Path) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    (jars / "flink-connector.jar").touch()
    world.settings |= {"CANDLES_TOPIC": "replay", "CANDLES_JARS": str(jars)}
    world.store.paths = [f"{PLAN}/run/chk-1"]  # of another topic and other jars
    world.step()
    [words] = world.submitted
    topic = ("--topic", "replay", "--jars", str(jars), "--start-us", "1786310760000000")
    assert words[-6:] == list(topic)
    assert not [word for word in words if "recovery" in word]
    this_plan = plan("replay", [*CLASS_PATH, "flink-connector.jar"])
    assert f"-Dexecution.checkpointing.dir=gs://bucket/flink/{this_plan}" in words


def test_a_checkpoint_on_which_a_submission_fails_is_set_aside(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.store.paths = [f"{PLAN}/run/chk-1", f"{PLAN}/run/chk-2"]
    world.answer(REFUSED, 1)
    world.step()
    assert world.store.paths == [f"{PLAN}/run/chk-1"]
    assert events(capsys) == [
        *("job is submitted", "submission failed", "checkpoint cannot be read and is set aside"),
    ]


def test_a_submission_that_fails_otherwise_leaves_its_checkpoint(world: World) -> None:
    world.store.paths = [f"{PLAN}/run/chk-1"]
    world.answer("Connection refused", 1)
    world.step()
    assert world.store.paths == [f"{PLAN}/run/chk-1"]


def test_a_job_that_another_keeper_has_submitted_meanwhile_is_not_submitted_again(world: World) -> None:
    world.flink.answers = [None, RunningJob("other", False)]
    world.step()
    assert world.submitted == []


def test_a_job_that_cannot_restore_is_cancelled_and_its_checkpoint_set_aside(world: World) -> None:
    world.store.paths = [f"{PLAN}/run/chk-1", f"{PLAN}/run/chk-2"]
    world.flink.answers = [RunningJob("job", False)]
    world.flink.traces = [UNREADABLE] * 3
    world.flink.restored_from = f"gs://bucket/flink/{PLAN}/run/chk-2"
    assert not world.step().is_healthy
    assert world.store.paths == [f"{PLAN}/run/chk-1"]
    assert world.flink.cancelled == ["job"]
    assert world.submitted == []


def test_a_job_that_fails_otherwise_or_began_in_the_topic_is_left_to_flink(world: World) -> None:
    world.store.paths = [f"{PLAN}/run/chk-2"]
    world.flink.answers = [RunningJob("job", False)]
    world.flink.restored_from = f"gs://bucket/flink/{PLAN}/run/chk-2"
    world.flink.traces = ["Connection refused"] * 3
    world.step()
    world.flink.restored_from, world.flink.traces = None, [UNREADABLE] * 3
    world.step()
    assert world.flink.cancelled == []
    assert world.store.paths == [f"{PLAN}/run/chk-2"]


def test_earlier_runs_go_once_the_job_has_a_checkpoint_of_its_own(world: World) -> None:
    world.flink.answers = [RunningJob("job", True)]
    world.store.left = ["another-plan/old", f"{PLAN}/old", f"{PLAN}/job"]
    kept = world.keeper()
    kept.step()
    assert kept.is_healthy
    assert len(world.store.left) == 3
    world.flink.checkpointed = True
    kept.step()
    assert world.store.left == [f"{PLAN}/job"]
