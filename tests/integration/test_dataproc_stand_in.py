"""The Dataproc stand-in with Google's own client in front of it and the real spark-submit behind it."""

from __future__ import annotations

import io
import json
import os
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.api_core import exceptions
from google.api_core.operation import Operation
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataproc_v1 as dataproc
from google.cloud import storage  # type: ignore[attr-defined]  # a namespace package
from google.cloud.dataproc_v1.services.batch_controller.transports import BatchControllerGrpcTransport
from google.longrunning import operations_pb2, operations_pb2_grpc

from local.backing.interface import ServiceSpec
from local.dataproc.driver import BATCH_VARIABLE
from local.stack.config import StackConfig
from local.waiting import wait_for
from tests.support.processes import RunningStack

PARENT = "projects/local/locations/europe-west1"
State = dataproc.Batch.State

COUNTS = """
import json, os, sys
import answers  # from python_file_uris
from pyspark import SparkFiles
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
numbers = spark.sparkContext.parallelize(range(1000), 4)
counts = numbers.map(lambda n: f"{n % 2} {os.environ['WORKER']}").countByValue()
with open(sys.argv[1], "w") as out:
    json.dump({
        "args": sys.argv[2:],
        "counts": counts,
        "driver": os.environ["DRIVER"],
        "files": [open("words.txt").read(), open(SparkFiles.get("words.txt")).read()],
        "answer": answers.ANSWER,
        "memory": spark.conf.get("spark.driver.memory"),
        "master": spark.sparkContext.master,
    }, out)
print("counted")
"""

# Writes its process id once, and goes on until the test writes a file.
WAITS = """
import os, sys, time
with open(sys.argv[1] + ".ran", "a") as out:
    out.write(f"{os.getpid()}\\n")
while not os.path.exists(sys.argv[1] + ".go"):
    time.sleep(0.02)
"""

FAILS = """
print("about to fail")
raise ValueError("no such day: 2020-02-30")
"""


class SmallStack(StackConfig):
    """A stack whose Dataproc takes a ttl of seconds."""

    def services(self) -> list[ServiceSpec]:
        arguments = ("--shortest-ttl=1",)
        return [
            replace(service, command=(*service.command, *arguments)) if service.name == "dataproc" else service
            for service in super().services()
        ]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("stack"), ("metadata", "gcs", "dataproc"))
    running.stack = SmallStack(running.stack.home, running.stack.ports)
    with running:
        yield running


@pytest.fixture
def client(stack: RunningStack) -> dataproc.BatchControllerClient:
    return connect(stack)


def channel(stack: RunningStack) -> grpc.Channel:
    return grpc.insecure_channel(stack.stack.environ()["DATAPROC_EMULATOR_HOST"])


def connect(stack: RunningStack) -> dataproc.BatchControllerClient:
    return dataproc.BatchControllerClient(transport=BatchControllerGrpcTransport(channel=channel(stack)))


class Waiting:
    """A batch whose driver waits until it is let go."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.marker = folder / name
        (folder / "waits.py").write_text(WAITS)
        self.description = batch(folder / "waits.py", str(self.marker))

    def let_go(self) -> None:
        self.marker.with_suffix(".go").touch()

    @property
    def runs(self) -> list[int]:
        """The process of each time that it ran."""
        file = self.marker.with_suffix(".ran")
        return [int(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []

    def wait_until_it_runs(self) -> int:
        return wait_for(f"{self.name} to run", lambda: self.runs, 60)[0]


def batch(main: Path | str, *args: str, **more: Any) -> dict[str, Any]:
    job = {"main_python_file_uri": str(main), "args": list(args)}
    # Half the time for a JVM that does next to nothing.
    properties = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
    return {"pyspark_batch": job, "runtime_config": {"version": "2.3", "properties": properties}, **more}


def submit(
    client: dataproc.BatchControllerClient, description: dict[str, Any], batch_id: str = "", request_id: str = ""
) -> Operation:
    request = {"parent": PARENT, "batch": description, "batch_id": batch_id, "request_id": request_id}
    return client.create_batch(request=request)


def get(client: dataproc.BatchControllerClient, batch_id: str) -> dataproc.Batch:
    return client.get_batch(name=f"{PARENT}/batches/{batch_id}")


def ended(client: dataproc.BatchControllerClient, batch_id: str) -> tuple[str, str]:
    """The last state of a batch, and its message."""
    over = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
    wait_for(f"{batch_id} to end", lambda: get(client, batch_id).state in over, 60)
    last = get(client, batch_id)
    return last.state.name, last.state_message


def processes_of(uuid: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(BATCH_VARIABLE) == uuid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_runs_the_artifacts_as_they_are(
    stack: RunningStack, client: dataproc.BatchControllerClient, tmp_path: Path
) -> None:
    bucket = storage.Client(
        "local", AnonymousCredentials(), client_options={"api_endpoint": stack.stack.url("gcs")}
    ).create_bucket("artifacts")
    library = io.BytesIO()
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("answers.py", "ANSWER = 42\n")
    bucket.blob("job/main.py").upload_from_string(COUNTS)
    bucket.blob("job/answers.zip").upload_from_string(library.getvalue())
    (tmp_path / "words.txt").write_text("two words")
    result = tmp_path / "result.json"
    properties = {
        "spark.dataproc.driverEnv.DRIVER": "set",
        "spark.executorEnv.WORKER": "too",
        "spark.driver.memory": "4g",
    }
    description = {
        "pyspark_batch": {
            "main_python_file_uri": "gs://artifacts/job/main.py",
            "python_file_uris": ["gs://artifacts/job/answers.zip"],
            "file_uris": [(tmp_path / "words.txt").as_uri()],
            "args": [str(result), "--day=BTCUSDT:2020-03-25", "two words", ""],
        },
        "runtime_config": {"version": "2.3", "properties": properties},
        "labels": {"kind": "test"},
    }

    operation = submit(client, description, "counts", "r-1")
    again = submit(client, description, "other", "r-1")
    assert again.operation.name == operation.operation.name
    with pytest.raises(exceptions.AlreadyExists, match="batches/counts exists already"):
        submit(client, description, "counts", "r-2")
    done = operation.result(timeout=90)

    assert json.loads(result.read_text()) == {
        "args": ["--day=BTCUSDT:2020-03-25", "two words", ""],
        "counts": {"0 too": 500, "1 too": 500},
        "driver": "set",
        "files": ["two words", "two words"],
        "answer": 42,
        "memory": "4g",
        "master": f"local[{min(4, os.cpu_count() or 1)},4]",
    }
    assert done == get(client, "counts")
    assert [item.state.name for item in done.state_history] == ["PENDING", "RUNNING"]
    assert done.create_time == done.state_history[0].state_start_time
    assert done.create_time < done.state_history[1].state_start_time < done.state_time
    assert (done.state.name, done.state_message, dict(done.labels)) == ("SUCCEEDED", "", {"kind": "test"})
    assert (operation.metadata.batch, operation.metadata.batch_uuid) == (done.name, done.uuid)
    output = stack.stack.home / "dataproc" / "counts" / "driveroutput"
    assert done.runtime_info.output_uri == output.as_uri()
    assert output.read_text().split() == ["counted"]  # no warning of Spark's, Java's or Hadoop's
    assert get(client, "counts") == client.get_batch(name="projects/local/regions/europe-west1/batches/counts")

    client.delete_batch(name=done.name)
    with pytest.raises(exceptions.NotFound, match="no such batch"):
        get(client, "counts")
    assert not output.exists()


def test_says_what_is_wrong_with_a_request(client: dataproc.BatchControllerClient, tmp_path: Path) -> None:
    good = batch(tmp_path / "main.py")
    for code, wrong, message in (
        (exceptions.InvalidArgument, {"batch_id": "Up"}, "4 to 63 characters"),
        (exceptions.InvalidArgument, {"batch": {}}, "batch_config must be set"),
        (exceptions.InvalidArgument, {"batch": {**good, "runtime_config": {"version": "9.9"}}}, "must be 2.3 or 3.0"),
        (exceptions.MethodNotImplemented, {"batch": {**good, "runtime_config": {"version": "3.0"}}}, "Spark 4.0"),
    ):
        with pytest.raises(code, match=message):
            client.create_batch(request={"parent": PARENT, "batch": good, **wrong})
    with pytest.raises(exceptions.MethodNotImplemented, match="filters by"):
        client.list_batches(request={"parent": PARENT, "filter": "labels.kind = test"})
    with pytest.raises(exceptions.NotFound, match="no such operation"):
        client.get_operation(request={"name": f"{PARENT}/operations/none"})
    assert list(client.list_batches(request={"parent": PARENT, "filter": "state = RUNNING"})) == []


def test_survives_kill_9_and_runs_nothing_twice(
    stack: RunningStack, client: dataproc.BatchControllerClient, tmp_path: Path
) -> None:
    #  API    ---kill -9      start---
    #  ends   ------------x             its result was left
    #  shot   ---------x                killed as well: no result
    #  stays  --------------------x     taken over
    #  fails  pending             ---x
    ends, shot, stays = (Waiting(tmp_path, name) for name in ("ends", "shot", "stays"))
    (tmp_path / "fails.py").write_text(FAILS)
    submit(client, ends.description, "ends", "r-ends")
    submit(client, shot.description, "shot")
    ends.wait_until_it_runs()
    shot.wait_until_it_runs()
    submit(client, stays.description, "stays")
    submit(client, batch(tmp_path / "fails.py"), "fails")
    assert [get(client, name).state.name for name in ("ends", "shot", "stays", "fails")] == [
        "RUNNING", "RUNNING", "PENDING", "PENDING",
    ]  # fmt: skip
    with pytest.raises(exceptions.FailedPrecondition, match="is RUNNING"):
        client.delete_batch(name=f"{PARENT}/batches/ends")

    uuids = {name: get(client, name).uuid for name in ("ends", "shot")}
    first = submit(client, ends.description, request_id="r-ends").operation.name
    stack.kill("dataproc")
    ends.let_go()
    for process in processes_of(uuids["shot"]):
        process.kill()
    for name, uuid in uuids.items():
        wait_for(f"{name} to be gone", lambda uuid=uuid: not processes_of(uuid), 30)  # type: ignore[misc]
    stack.start("dataproc")
    client = connect(stack)

    assert ended(client, "ends") == ("SUCCEEDED", "")
    assert ended(client, "shot")[0] == "FAILED"
    assert "vanished" in ended(client, "shot")[1]
    again = submit(client, ends.description, "new", "r-ends")
    assert again.operation.name == first

    pid = stays.wait_until_it_runs()
    stack.kill("dataproc")
    stack.start("dataproc")
    client = connect(stack)
    assert get(client, "stays").state.name == "RUNNING"
    assert psutil.pid_exists(pid)
    stays.let_go()
    assert ended(client, "stays") == ("SUCCEEDED", "")
    assert [len(item.runs) for item in (ends, shot, stays)] == [1, 1, 1]

    state, message = ended(client, "fails")
    assert state == "FAILED"
    assert message.startswith("Job failed with message [ValueError: no such day: 2020-02-30]. Driver output: file:///")
    assert "about to fail" in (stack.stack.home / "dataproc" / "fails" / "driveroutput").read_text()


def test_a_killed_driver_a_missing_file_and_an_exceeded_ttl_fail(
    client: dataproc.BatchControllerClient, tmp_path: Path
) -> None:
    killed, slow = (Waiting(tmp_path, name) for name in ("killed", "slow"))
    ttl = {"environment_config": {"execution_config": {"ttl": {"seconds": 12}}}}
    submit(client, {**slow.description, **ttl}, "slow")
    operation = submit(client, killed.description, "killed")
    python = psutil.Process(killed.wait_until_it_runs())
    jvm = python.parent()
    assert jvm is not None
    assert jvm.name() == "java"
    jvm.kill()
    with pytest.raises(exceptions.Aborted, match="killed by signal 9"):
        operation.result(timeout=60)
    assert not processes_of(get(client, "killed").uuid)  # what the JVM had started is gone too
    submit(client, batch("gs://nowhere/main.py"), "absent")
    assert "[gs://nowhere/main.py cannot be read: no such object]" in ended(client, "absent")[1]
    assert ended(client, "slow") == ("FAILED", "the batch ran longer than its ttl of 0:00:12 and was ended")
    assert not processes_of(get(client, "slow").uuid)


def test_cancels_batches_and_ends_them_on_sigterm(
    stack: RunningStack, client: dataproc.BatchControllerClient, tmp_path: Path
) -> None:
    #  run-1  ----x          cancelled
    #  run-2  --------x      SIGTERM
    #  wait-3     x          cancelled before it ran
    #  wait-4     ----x      SIGTERM
    #  wait-5            --- pending over the restart
    run1, run2, wait3, _, wait5 = everyone = [
        Waiting(tmp_path, name) for name in ("run-1", "run-2", "wait-3", "wait-4", "wait-5")
    ]
    operations = {item.name: submit(client, item.description, item.name) for item in everyone}
    run1.wait_until_it_runs()
    run2.wait_until_it_runs()
    listed = client.list_batches(request={"parent": PARENT, "page_size": 2})
    newest = [item.name.split("/")[-1] for item in listed]
    assert newest[:5] == ["wait-5", "wait-4", "wait-3", "run-2", "run-1"]  # over three pages
    waiting = client.list_batches(request={"parent": PARENT, "filter": "state = PENDING"})
    assert [item.name.split("/")[-1] for item in waiting] == ["wait-5", "wait-4", "wait-3"]

    operations["wait-3"].cancel()
    assert ended(client, "wait-3") == ("CANCELLED", "cancelled before it ran")
    operations["run-1"].cancel()
    stub = operations_pb2_grpc.OperationsStub(channel(stack))
    waited = stub.WaitOperation(
        operations_pb2.WaitOperationRequest(name=operations["run-1"].operation.name, timeout={"seconds": 15})
    )
    assert (waited.done, waited.error.message) == (True, "cancelled")
    assert ended(client, "run-1") == ("CANCELLED", "cancelled")
    assert [item.state.name for item in get(client, "run-1").state_history] == ["PENDING", "RUNNING", "CANCELLING"]
    assert not processes_of(get(client, "run-1").uuid)
    with pytest.raises(exceptions.Cancelled):
        operations["run-1"].result(timeout=30)

    wait_for("wait-4 to take the place", lambda: get(client, "wait-4").state == State.RUNNING)
    uuids = [get(client, name).uuid for name in ("run-2", "wait-4")]
    process = stack.processes.pop("dataproc")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert [processes_of(uuid) for uuid in uuids] == [[], []]
    wait5.let_go()
    stack.start("dataproc")
    client = connect(stack)
    stopped = ("FAILED", "the local Dataproc was stopped while the batch ran")
    assert [ended(client, name) for name in ("run-2", "wait-4", "wait-5")] == [stopped, stopped, ("SUCCEEDED", "")]
    assert [len(item.runs) for item in (run1, run2, wait3, wait5)] == [1, 1, 0, 1]
