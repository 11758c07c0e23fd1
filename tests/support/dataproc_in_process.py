"""A Dataproc that runs the candles job in threads of this process, with delays and kills of a test's random numbers.

A batch's id is taken once, as in the service. The job's days, its publication and their SQL are the real ones; Spark is
not there.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from google.api_core import exceptions
from google.cloud.dataproc_v1 import Batch
from pyarrow import fs

from bitcoin_pipeline.batches import parse_manifest
from bitcoin_pipeline.bybit.rejected_rows import RejectionLimit
from bitcoin_pipeline.ingests import SymbolDay
from candles_batch.finishing import delete_folder, finish
from candles_batch.publication import publish
from candles_batch.task import empty_day, load_day


class KilledError(Exception):
    """A program of a test was killed at this call."""


class Mortal:
    """`target`, whose methods raise KilledError after `calls` calls; None: never, until `kill`."""

    def __init__(self, target: Any, calls: int | None = None) -> None:
        self._target = target
        self._left = calls

    def kill(self) -> None:
        """Let every further call raise."""
        self._left = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._left is not None:
                if self._left <= 0:
                    raise KilledError(name)
                self._left -= 1
            return found(*args, **kwargs)

        return call


class InProcessDataproc:
    """The batch controller of a region.

    `client`, `storage`: make the clients of a job, of BigQuery and of Cloud Storage. `kills`: jobs killed at most.
    """

    def __init__(
        self, client: Callable[[], Any], storage: Callable[[], Any], chance: random.Random, kills: int
    ) -> None:
        self._client = client
        self._storage = storage
        self._random = chance
        self._kills = kills
        self._lock = threading.Lock()
        self._batches: dict[str, Batch] = {}
        self._threads = ThreadPoolExecutor(8)
        self.computed: list[SymbolDay] = []
        """Every day that a job has begun to compute, once for each time."""

    def create_batch(self, request: dict[str, Any], timeout: float) -> None:
        """See BatchControllerClient."""
        name = f"{request['parent']}/batches/{request['batch_id']}"
        with self._lock:
            if name in self._batches:
                raise exceptions.AlreadyExists(name)
            self._batches[name] = Batch(name=name, state=Batch.State.RUNNING)
            is_killed = self._kills > 0 and self._random.random() < 0.5
            self._kills -= is_killed
            seconds = self._random.uniform(0, 0.3)
            calls = self._random.randrange(12) if is_killed else None
        arguments = dict(each[2:].split("=", 1) for each in request["batch"]["pyspark_batch"]["args"])
        self._threads.submit(self._run, name, SimpleNamespace(**arguments), seconds, calls)

    def get_batch(self, name: str, timeout: float) -> Batch:
        """See BatchControllerClient."""
        with self._lock:
            return self._batches[name]

    @property
    def states(self) -> list[str]:
        """The states of all batches."""
        with self._lock:
            return [batch.state.name for batch in self._batches.values()]

    def _run(self, name: str, options: Any, seconds: float, calls: int | None) -> None:
        try:
            time.sleep(seconds)
            self._job(options, getattr(options, "batch-id"), Mortal(self._client(), calls))
            state, message = Batch.State.SUCCEEDED, ""
        except Exception as error:  # noqa: BLE001  # the outcome of a batch, as the service reports it
            state, message = Batch.State.FAILED, repr(error)
        with self._lock:
            self._batches[name] = Batch(name=name, state=state, state_message=message)

    def _job(self, options: Any, batch_id: str, warehouse: Any) -> None:
        path = options.manifest.removeprefix("gs://")
        with fs.GcsFileSystem().open_input_stream(path, compression=None) as stream:
            manifest = parse_manifest(stream.read())
        self.computed += manifest.load
        folder = path.rpartition("/")[0]
        outcomes = [load_day(item, options.lake, folder, RejectionLimit()) for item in sorted(manifest.load)]
        outcomes += [empty_day(item) for item in manifest.no_trades]
        publish(warehouse, batch_id, outcomes)
        files = self._storage()
        finish(warehouse, files.bucket(options.lake), batch_id, outcomes)
        delete_folder(files, folder)

    def end(self) -> None:
        """Wait for every job."""
        self._threads.shutdown()
