"""A stack's life: up, killed, up again, beside another one, and down without a trace."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import read_env_file
from local.supervision import stack_processes
from local.waiting import wait_for
from tests.support.command import Pipeline


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path / "home")
    yield pipeline
    pipeline.done("down", "--remove-data")


def test_nothing_is_up_at_first(pipeline: Pipeline) -> None:
    assert "Nothing was up." in pipeline.done("down").err
    status = pipeline.run("status")
    assert (status.code, status.out) == (1, "")
    assert "start one with `pipeline up`" in status.err
    assert not pipeline.home.exists()


def test_two_stacks_do_not_meet_and_leave_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    other = Pipeline(tmp_path / "other")
    other.home.mkdir()
    (other.home / "mine.txt").write_text("not the stack's")
    starting = [pipeline.start("up"), other.start("up")]
    for process in starting:
        assert process.communicate(timeout=200)[1] is not None
        assert process.returncode == 0
    mine, theirs = read_env_file(pipeline.home / "env"), read_env_file(other.home / "env")
    addresses = [name for name in mine if name.endswith(("_HOST", "_URL"))]
    assert addresses
    assert all(mine[name] != theirs[name] for name in addresses)

    other.done("down", "--remove-data")
    assert stack_processes(other.home) == []
    assert [path.name for path in other.home.iterdir()] == ["mine.txt"]
    assert pipeline.status()["up"] is True


def test_what_dies_is_started_again(pipeline: Pipeline) -> None:
    pipeline.done("up")
    before = pipeline.pid("exchange")
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        services = {item["name"]: item for item in pipeline.status()["services"]}
        return services["exchange"]["pid"] not in (0, before) and services["exchange"]["answers"]

    wait_for("the supervisor to start the exchange again", is_back, 60)


def test_a_killed_supervisor_and_an_interrupted_up_are_taken_over(pipeline: Pipeline) -> None:
    pipeline.done("up")
    supervisor = int((pipeline.home / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    orphans = {process.pid for process in stack_processes(pipeline.home)}
    assert orphans  # nobody watches over them any more
    assert pipeline.run("status").code == 1

    # An `up` that is killed once it has begun leaves a supervisor at work, and no env file.
    interrupted = pipeline.start("up")
    wait_for("services of the second up", lambda: pipeline.status()["services"] and pipeline.pid("gcs"), 60)
    interrupted.kill()
    interrupted.communicate()
    pipeline.done("up")
    assert pipeline.status()["up"] is True
    assert not orphans & {process.pid for process in stack_processes(pipeline.home)}


def test_two_at_once_make_one_stack(pipeline: Pipeline) -> None:
    first, second = pipeline.start("up"), pipeline.start("up")
    ends = [(process.communicate(timeout=200)[1], process.returncode) for process in (first, second)]
    assert sorted(code for _, code in ends) == [0, 1]
    assert any("another `pipeline up` or `down` is at work" in error for error, _ in ends)
    assert pipeline.status()["up"] is True


def test_a_folder_that_is_none_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    outcome = pipeline.run("up", "--archive-dir", str(tmp_path / "nowhere"))
    assert outcome.code == 1
    assert outcome.err == f"error: --archive-dir must be a folder, got {tmp_path / 'nowhere'}\n"
