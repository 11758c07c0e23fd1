"""The semantics of the batch API: which requests are accepted, what runs, and how it ended. No gRPC.

Imported by server.py and __main__.py. All state is written to disk before a request is answered, so the next process
that opens the folder goes on where the last one stopped, also after kill -9.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import shutil
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.cloud import dataproc_v1 as dataproc
from google.longrunning import operations_pb2
from google.rpc import code_pb2

from local.dataproc.driver import Drivers, DriverState
from local.dataproc.store import BatchStore
from local.dataproc.validation import (
    SHORTEST_TTL,
    RefusedError,
    canonical,
    parse_batch_id,
    parse_filter,
    parse_job,
    parse_parent,
    parse_request_id,
    parse_ttl,
)

State = dataproc.Batch.State

TERMINAL: Final = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

_ALIVE: Final = (State.RUNNING, State.CANCELLING)
_DEFAULT_PAGE: Final = 20
_LARGEST_PAGE: Final = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of this machine. `spark`: the installed version. `at_once`: batches that run at the same time."""

    spark: str
    at_once: int = 1
    shortest_ttl: dt.timedelta = SHORTEST_TTL


class Batches:
    """The batches of `folder`; any thread may call the methods.

    Names may contain `regions/` or `locations/`. All methods but `step` and `stop` raise RefusedError.
    """

    def __init__(
        self,
        folder: Path,
        drivers: Drivers,
        limits: Limits,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.drivers = drivers
        self.limits = limits
        self.now = now
        self._lock = threading.RLock()
        self._store = BatchStore(folder / "batches.sqlite")

    def create(self, parent: str, batch: dataproc.Batch, batch_id: str = "", request_id: str = "") -> str:
        """The name of the operation that runs `batch`; for a `request_id` that was used before, its first one."""
        parent = parse_parent(parent)
        request = parse_request_id(request_id)
        with self._lock:
            if request and (known := self._store.of_request(request)):
                return str(known.operation)
            batch_id = parse_batch_id(batch_id) if batch_id else uuid.uuid4().hex
            parse_job(batch, self.limits.spark)
            ttl = parse_ttl(batch, self.limits.shortest_ttl)
            if taken := self._store.with_id(batch_id):
                raise RefusedError("ALREADY_EXISTS", f"batch {taken.name} exists already")
            name = f"{parent}/batches/{batch_id}"
            operation = f"{parent}/operations/{uuid.uuid4()}"
            folder = self._folder(name)
            shutil.rmtree(folder, ignore_errors=True)  # that of a deleted batch, if its removal was interrupted
            now = self.now()
            accepted = dataproc.Batch(
                name=name,
                uuid=str(uuid.uuid4()),
                create_time=now,
                pyspark_batch=batch.pyspark_batch,
                runtime_info={"output_uri": (folder / "driveroutput").absolute().as_uri()},
                state=State.PENDING,
                state_time=now,
                creator="local",
                labels=batch.labels,
                runtime_config=batch.runtime_config,
                environment_config=batch.environment_config,
                operation=operation,
            )
            accepted.environment_config.execution_config.ttl = ttl
            self._store.add(accepted, batch_id, request)
        _log_state(accepted)
        return operation

    def get(self, name: str) -> dataproc.Batch:
        """The batch as it is now."""
        with self._lock:
            batch = self._store.named(canonical(name))
        if batch is None:
            raise RefusedError("NOT_FOUND", f"no such batch: {name}")
        return batch

    def page(
        self, parent: str, size: int = 0, token: str = "", filter_: str = "", order: str = ""
    ) -> tuple[list[dataproc.Batch], str]:
        """Batches, the newest first, and the token of the next page, empty on the last."""
        if size < 0:
            raise RefusedError("INVALID_ARGUMENT", f"page_size must not be negative, got {size}")
        if token and not token.isdecimal():
            raise RefusedError("INVALID_ARGUMENT", f"page_token must come from an earlier answer, got {token!r}")
        if order not in ("", "create_time desc"):
            raise RefusedError("UNIMPLEMENTED", f"this stand-in orders by `create_time desc` only, got {order!r}")
        state = parse_filter(filter_)
        limit = min(size or _DEFAULT_PAGE, _LARGEST_PAGE)
        with self._lock:
            prefix = f"{parse_parent(parent)}/batches/"
            rows = self._store.newest(prefix, int(token) if token else None, state, limit + 1)
        more = str(rows[limit - 1][0]) if len(rows) > limit else ""
        return [batch for _, batch in rows[:limit]], more

    def delete(self, name: str) -> None:
        """Delete a batch that has ended, with its driver's output."""
        with self._lock:
            batch = self.get(name)
            if batch.state not in TERMINAL:
                raise RefusedError(
                    "FAILED_PRECONDITION", f"batch {name} is {batch.state.name}; cancel its operation first"
                )
            self._store.delete(batch)
            shutil.rmtree(self._folder(batch.name), ignore_errors=True)

    def operation(self, name: str) -> operations_pb2.Operation:
        """The operation, done once its batch has ended: with the batch, or with the reason as an error."""
        batch = self._of_operation(name)
        ended = batch.state in TERMINAL
        metadata = dataproc.BatchOperationMetadata(
            batch=batch.name,
            batch_uuid=batch.uuid,
            create_time=batch.create_time,
            done_time=batch.state_time if ended else None,
            operation_type=dataproc.BatchOperationMetadata.BatchOperationType.BATCH,
            description="Batch",
            labels=batch.labels,
        )
        operation = operations_pb2.Operation(name=batch.operation, done=ended)
        operation.metadata.Pack(dataproc.BatchOperationMetadata.pb(metadata))
        if batch.state == State.SUCCEEDED:
            operation.response.Pack(dataproc.Batch.pb(batch))
        elif ended:
            operation.error.code = code_pb2.CANCELLED if batch.state == State.CANCELLED else code_pb2.ABORTED
            operation.error.message = batch.state_message
        return operation

    def cancel(self, operation: str) -> None:
        """Request the end of the operation's batch; nothing happens when it has ended."""
        with self._lock:
            batch = self._of_operation(operation)
            if batch.state == State.PENDING:
                self._move(batch, State.CANCELLED, "cancelled before it ran")
            elif batch.state == State.RUNNING:
                self._move(batch, State.CANCELLING, "cancelling, as requested")

    def step(self) -> None:
        """Check every batch once: record those that have ended, start those that may run. Called periodically."""
        with self._lock:
            for batch in self._store.in_state(*_ALIVE):
                self._check(batch)
            free = self.limits.at_once - len(self._store.in_state(*_ALIVE))
            for batch in self._store.in_state(State.PENDING)[: max(0, free)]:
                self._move(batch, State.RUNNING)
                self._check(batch)

    def stop(self) -> None:
        """End every driver; pending batches remain for the next process that opens the folder."""
        with self._lock:
            for batch in self._store.in_state(*_ALIVE):
                self._end(batch, State.FAILED, "the local Dataproc was stopped while the batch ran")
            self._store.close()

    def _check(self, batch: dataproc.Batch) -> None:
        folder = self._folder(batch.name)
        # The state is read before the result: a driver that is gone by then has left its result.
        driver = self.drivers.state(folder, batch.uuid)
        result = self.drivers.result(folder)
        if result or batch.state == State.CANCELLING:
            self._end(batch, State.CANCELLED, "cancelled")
        elif driver is DriverState.NEW:
            # This includes a batch that the API was about to start when it was killed.
            self._start(batch)
        elif self.now() - batch.state_time > (ttl := batch.environment_config.execution_config.ttl):
            self._end(batch, State.FAILED, f"the batch ran longer than its ttl of {ttl} and was ended")
        elif driver is DriverState.GONE:
            self._end(
                batch, State.FAILED, "the driver vanished without a result (killed, or the machine was restarted)"
            )

    def _start(self, batch: dataproc.Batch) -> None:
        try:
            job = parse_job(batch, self.limits.spark)
        except RefusedError as refused:  # the batch was accepted when another Spark was installed
            self._move(batch, State.FAILED, str(refused))
        else:
            self.drivers.start(self._folder(batch.name), batch.uuid, job)

    def _end(self, batch: dataproc.Batch, otherwise: int, message: str) -> None:
        """End the driver, and move the batch to the state of the driver's result, or to `otherwise` without one."""
        folder = self._folder(batch.name)
        self.drivers.end(folder, batch.uuid)
        result = self.drivers.result(folder)
        if result and result.exit_code == 0:
            self._move(batch, State.SUCCEEDED)
        elif batch.state == State.CANCELLING:
            self._move(batch, State.CANCELLED, "cancelled")
        elif result:
            output = batch.runtime_info.output_uri
            self._move(batch, State.FAILED, f"Job failed with message [{result.message}]. Driver output: {output}")
        else:
            self._move(batch, otherwise, message)

    def _move(self, batch: dataproc.Batch, state: int, message: str = "") -> None:
        earlier = {"state": batch.state, "state_message": batch.state_message, "state_start_time": batch.state_time}
        batch.state_history.append(dataproc.Batch.StateHistory(earlier))
        batch.state, batch.state_message, batch.state_time = State(state), message, self.now()
        self._store.replace(batch)
        _log_state(batch)

    def _of_operation(self, name: str) -> dataproc.Batch:
        with self._lock:
            batch = self._store.of_operation(canonical(name))
        if batch is None:
            raise RefusedError("NOT_FOUND", f"no such operation: {name}")
        return batch

    def _folder(self, name: str) -> Path:
        return self.folder / name.rsplit("/", 1)[-1]


def _log_state(batch: dataproc.Batch) -> None:
    event = {
        "event": "batch state",
        "batch": batch.name,
        "state": batch.state.name,
        "message": batch.state_message,
    }
    log.info(json.dumps(event))
