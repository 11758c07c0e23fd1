"""The semantics of the batch API, with drivers that the test controls and the state on a real disk."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from google.cloud import dataproc_v1 as dataproc

from local.dataproc.batches import Batches, Limits
from local.dataproc.driver import Drivers, DriverState, Result, SparkJob
from local.dataproc.validation import RefusedError

PARENT = "projects/demo/locations/europe-west1"
BATCH = dataproc.Batch(
    pyspark_batch={"main_python_file_uri": "/job/main.py"},
    runtime_config={"version": "2.3"},
    environment_config={"execution_config": {"ttl": dt.timedelta(minutes=10)}},
)


class Machine(Drivers):
    """Drivers without processes, which outlive an API as the real ones do."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.states: dict[str, DriverState] = {}
        self.results: dict[str, Result] = {}
        self.time = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def api(self, folder: Path, at_once: int = 1) -> Batches:
        """An API that opens `folder`, which an earlier one may have used."""
        return Batches(folder, self, Limits("3.5.9", at_once), now=lambda: self.time)

    def start(self, folder: Path, uuid: str, job: SparkJob) -> None:
        assert job.main == "/job/main.py"
        self.started.append(folder.name)
        self.states[folder.name] = DriverState.RUNNING

    def state(self, folder: Path, uuid: str) -> DriverState:
        return self.states.get(folder.name, DriverState.NEW)

    def result(self, folder: Path) -> Result | None:
        return self.results.get(folder.name)

    def end(self, folder: Path, uuid: str) -> None:
        self.states[folder.name] = DriverState.GONE

    def finish(self, batch_id: str, exit_code: int, message: str = "") -> None:
        self.states[batch_id] = DriverState.GONE
        self.results[batch_id] = Result(exit_code, message)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def states(api: Batches) -> dict[str, str]:
    return {batch.name.split("/")[-1]: batch.state.name for batch in api.page(PARENT)[0]}


def test_runs_batches_in_their_order_and_so_many_at_once(machine: Machine, tmp_path: Path) -> None:
    api = machine.api(tmp_path, at_once=2)
    for name in ("one1", "two2", "three3"):
        api.create(PARENT, BATCH, name)
    api.step()
    assert states(api) == {"three3": "PENDING", "two2": "RUNNING", "one1": "RUNNING"}
    machine.finish("two2", 0)
    machine.finish("one1", 1, "ValueError: no")
    api.step()
    assert states(api) == {"three3": "RUNNING", "two2": "SUCCEEDED", "one1": "FAILED"}
    failed = api.get(f"{PARENT}/batches/one1")
    output = (tmp_path / "one1" / "driveroutput").as_uri()
    assert failed.state_message == f"Job failed with message [ValueError: no]. Driver output: {output}"
    assert machine.started == ["one1", "two2", "three3"]


def test_a_request_id_is_accepted_once_also_by_the_next_api(machine: Machine, tmp_path: Path) -> None:
    first = machine.api(tmp_path).create(PARENT, BATCH, "once", "request-1")
    api = machine.api(tmp_path)
    assert api.create(PARENT, BATCH, "twice", "request-1") == first
    assert states(api) == {"once": "PENDING"}
    for parent in (PARENT, "projects/demo/regions/europe-west1", "projects/demo/regions/us-west1"):
        with pytest.raises(RefusedError, match="exists already"):
            api.create(parent, BATCH, "once", "request-2")
    generated = api.operation(api.create(PARENT, BATCH))
    assert not generated.done
    assert states(api).keys() > {"once"}


@pytest.mark.parametrize("driver", ["NEW", "RUNNING", "finished", "GONE"])
def test_the_next_api_goes_on_wherever_the_last_was_killed(machine: Machine, tmp_path: Path, driver: str) -> None:
    last = machine.api(tmp_path)
    last.create(PARENT, BATCH, "batch")
    last.step()
    if driver == "finished":
        machine.finish("batch", 0)
    else:  # NEW: killed between the decision to run the batch and the start of its driver
        machine.states["batch"] = DriverState[driver]
    api = machine.api(tmp_path)
    api.step()
    expected = {"NEW": "RUNNING", "RUNNING": "RUNNING", "finished": "SUCCEEDED", "GONE": "FAILED"}
    assert states(api) == {"batch": expected[driver]}
    assert len(machine.started) == (2 if driver == "NEW" else 1)
    if driver == "GONE":
        assert "vanished" in api.get(f"{PARENT}/batches/batch").state_message


def test_ends_a_batch_that_outlives_its_ttl(machine: Machine, tmp_path: Path) -> None:
    api = machine.api(tmp_path)
    operation = api.create(PARENT, BATCH, "slow")
    api.step()
    machine.time += dt.timedelta(minutes=10)
    api.step()
    assert states(api) == {"slow": "RUNNING"}
    machine.time += dt.timedelta(seconds=1)
    machine.api(tmp_path).step()
    assert machine.states["slow"] is DriverState.GONE
    answer = api.operation(operation)
    assert (answer.done, answer.error.message) == (True, "the batch ran longer than its ttl of 0:10:00 and was ended")


@pytest.mark.parametrize("killed", [False, True])
def test_cancel_is_kept_until_it_is_done(machine: Machine, tmp_path: Path, *, killed: bool) -> None:
    api = machine.api(tmp_path)
    running, pending = (api.create(PARENT, BATCH, name) for name in ("runs", "waits"))
    api.step()
    for operation in (running, pending, pending):
        api.cancel(operation)
    assert states(api) == {"waits": "CANCELLED", "runs": "CANCELLING"}
    with pytest.raises(RefusedError, match="is CANCELLING") as refused:
        api.delete(f"{PARENT}/batches/runs")
    assert refused.value.code == "FAILED_PRECONDITION"
    api = machine.api(tmp_path) if killed else api
    api.step()
    assert states(api) == {"waits": "CANCELLED", "runs": "CANCELLED"}
    assert machine.started == ["runs"]
    assert api.operation(running).error.code == 1


def test_a_batch_that_succeeded_before_its_cancellation_succeeded(machine: Machine, tmp_path: Path) -> None:
    api = machine.api(tmp_path)
    operation = api.create(PARENT, BATCH, "fast")
    api.step()
    machine.finish("fast", 0)
    api.cancel(operation)
    api.step()
    assert states(api) == {"fast": "SUCCEEDED"}


def test_stop_ends_what_runs_and_keeps_what_waits(machine: Machine, tmp_path: Path) -> None:
    api = machine.api(tmp_path, at_once=2)
    for name in ("done", "runs", "waits"):
        api.create(PARENT, BATCH, name)
    api.step()
    machine.finish("done", 0)
    api.stop()
    api = machine.api(tmp_path)
    assert states(api) == {"waits": "PENDING", "runs": "FAILED", "done": "SUCCEEDED"}
    api.step()
    assert states(api)["waits"] == "RUNNING"


def test_a_deleted_batch_frees_its_id_and_keeps_its_operation(machine: Machine, tmp_path: Path) -> None:
    api = machine.api(tmp_path)
    operation = api.create(PARENT, BATCH, "name", "request-1")
    api.step()
    machine.finish("name", 0)
    api.step()
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "result.json").touch()
    api.delete(f"{PARENT}/batches/name")
    assert not (tmp_path / "name").exists()
    assert api.operation(operation).done
    assert api.create(PARENT, BATCH, "other", "request-1") == operation
    (tmp_path / "name").mkdir()  # as if the API had been killed before it was removed
    (tmp_path / "name" / "result.json").touch()
    assert api.create(PARENT, BATCH, "name") != operation
    assert not (tmp_path / "name").exists()
    assert states(api) == {"name": "PENDING"}


def test_pages_stay_whole_while_batches_arrive(machine: Machine, tmp_path: Path) -> None:
    api = machine.api(tmp_path)
    for number in range(5):
        api.create(PARENT, BATCH, f"batch-{number}")
    api.create("projects/demo/locations/us-west1", BATCH, "elsewhere")
    found, token = [], ""
    while True:
        page, token = api.page("projects/demo/regions/europe-west1", 2, token)
        found += [batch.name.split("-")[-1] for batch in page]
        if not token:
            break
        api.create(PARENT, BATCH)
    assert found == ["4", "3", "2", "1", "0"]
    for wrong in ({"size": -1}, {"token": "x"}):
        with pytest.raises(RefusedError) as refused:
            api.page(PARENT, **wrong)
        assert refused.value.code == "INVALID_ARGUMENT"
