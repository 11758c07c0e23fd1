"""A command that is killed while it waits for its batch: the next one waits for the same batch of the real stand-in."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.cloud import dataproc_v1 as dataproc
from google.cloud.dataproc_v1.services.batch_controller.transports import BatchControllerGrpcTransport

from local.checkout import ROOT
from local.waiting import wait_for
from tests.support.processes import RunningStack

PARENT = "projects/local/locations/europe-west1"

JOB = """
import os, pathlib, sys, time
folder = pathlib.Path({folder!r})
with (folder / "ran").open("a") as out:
    out.write(sys.argv[1] + "\\n")
while not (folder / "go").exists():
    time.sleep(0.02)
sys.exit((folder / "fails").exists())
"""
"""Writes its batch id once, goes on until the test writes a file, and fails while there is another."""

COMMAND = """
import os, sys
from local.command import batch_runs
from local.command.cloud import Cloud

class Printed:
    def step(self, title, total): pass
    def advance(self): pass
    def note(self, text): print(text, flush=True)

def description(name):
    job = {"main_python_file_uri": sys.argv[1], "args": [name]}
    properties = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
    return {"pyspark_batch": job, "runtime_config": {"version": "2.3", "properties": properties}}

batch_runs._PAUSE_US = 1
def batch_id(attempt):
    return f"{sys.argv[2]}-{attempt}"

batch_runs.run_batch(Cloud(os.environ), batch_id, description, lambda: sys.argv[3] == "recorded", Printed())
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("stack"), ("metadata", "gcs", "dataproc")) as running:
        yield running


class Work:
    """The work of one batch, and the command that has it done. `recorded`: whether `ingests` has the result."""

    def __init__(self, stack: RunningStack, folder: Path, work: str) -> None:
        self._stack = stack
        self._folder = folder
        self._work = work
        (folder / "job.py").write_text(JOB.format(folder=str(folder)))

    def start(self, recorded: bool = True) -> subprocess.Popen[str]:
        words = (str(self._folder / "job.py"), self._work, "recorded" if recorded else "deleted")
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words],
            cwd=ROOT,
            env=self._stack.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def outcome(self, process: subprocess.Popen[str]) -> tuple[int, list[str]]:
        out, err = process.communicate(timeout=120)
        return process.returncode, [*out.splitlines(), *err.splitlines()[-1:]]

    def end_with(self, *, success: bool) -> None:
        """Let every batch end, from now on in this way."""
        (self._folder / "fails").unlink(missing_ok=True) if success else (self._folder / "fails").touch()
        (self._folder / "go").touch()

    @property
    def ran(self) -> list[str]:
        """The ids of the batches that ran."""
        file = self._folder / "ran"
        return file.read_text().split() if file.exists() else []

    def wait_until_it_runs(self) -> None:
        wait_for(f"the batch of {self._work} to run", lambda: self.ran, 60)

    def states(self) -> dict[str, str]:
        """The state of every batch of this work."""
        address = self._stack.stack.environ()["DATAPROC_EMULATOR_HOST"]
        transport = BatchControllerGrpcTransport(channel=grpc.insecure_channel(address))
        listed = dataproc.BatchControllerClient(transport=transport).list_batches(parent=PARENT)
        states = {batch.name.rpartition("/")[2]: batch.state.name for batch in listed}
        return {name: state for name, state in states.items() if name.startswith(self._work)}


# first   ── creates ── waits ─x kill -9
# second                           ── attaches ── waits ──── done
# batch         ══════════════════════════════════════════|
def test_a_command_killed_in_mid_wait_and_run_again_has_one_batch_in_total(stack: RunningStack, tmp_path: Path) -> None:
    work = Work(stack, tmp_path, "candles-killed")
    first = work.start()
    work.wait_until_it_runs()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = work.start()
    assert second.stdout is not None
    assert second.stdout.readline() == "batch candles-killed-1 is running already; waiting for it\n"
    work.end_with(success=True)
    assert work.outcome(second) == (0, ["done"])
    assert work.ran == ["candles-killed-1"]
    assert work.states() == {"candles-killed-1": "SUCCEEDED"}
    # A third run finds the work done; only where its rows were deleted it is done again.
    assert work.outcome(work.start()) == (0, ["done"])
    assert work.ran == ["candles-killed-1"]
    assert work.outcome(work.start(recorded=False)) == (0, ["done"])
    assert work.ran == ["candles-killed-1", "candles-killed-2"]


def test_after_a_failed_batch_the_next_run_goes_on_with_the_next_try(stack: RunningStack, tmp_path: Path) -> None:
    work = Work(stack, tmp_path, "candles-fails")
    work.end_with(success=False)
    code, lines = work.outcome(work.start())
    assert code == 1
    assert lines[-1].startswith(
        "bitcoin_pipeline.planning.BackfillError: the batch failed 3 times; its output: file:///"
    )
    work.end_with(success=True)
    assert work.outcome(work.start()) == (0, ["done"])
    failed = {f"candles-fails-{attempt}": "FAILED" for attempt in (1, 2, 3)}
    assert work.states() == failed | {"candles-fails-4": "SUCCEEDED"}
