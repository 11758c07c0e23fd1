"""Airflow in a running stack, and failures around it: a function that refuses calls, a Dataproc without quota."""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import grpc
import requests
from google.cloud import dataproc_v1 as dataproc
from google.cloud.dataproc_v1.services.batch_controller.transports import BatchControllerGrpcTransport

from local.backing.pubsub import installed_emulator
from local.backing.warehouse import create_warehouse
from local.command.airflow import ENDED, AirflowApi
from local.dataproc.batches import Batches
from local.dataproc.proxy import Proxy, certificate_in
from local.dataproc.server import serve
from local.dataproc.validation import RefusedError
from local.stack import airflow
from local.stack.config import ARTIFACTS, LAKE, STAGING
from local.stack.deployables import artifact_of
from local.stack.options import SyntheticMarket
from local.waiting import wait_for
from tests.support import daily
from tests.support.command import Pipeline
from tests.support.processes import RunningStack

EMULATOR: Final = installed_emulator()
"""The jar of the Pub/Sub emulator, or None: events are then off."""

LONGEST_S: Final = 420
"""Upper bound on a run of a DAG, for a busy machine."""

_SERVICES: Final = ("metadata", "gcs", "bigquery", "exchange", "dataproc", "fetch_archive")
_AIRFLOW: Final = ("airflow", "airflow_dag_processor", "airflow_triggerer", "airflow_scheduler")


class Front(ThreadingHTTPServer):
    """The platform's server before `fetch_archive`: it refuses a call for each of `statuses`, and may hold others.

    `passes`: cleared to hold calls, of which `arrived` is set by the first.
    """

    def __init__(self, function: str) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.function = function
        self.statuses: deque[int] = deque()
        self.arrived = threading.Event()
        self.passes = threading.Event()
        self.passes.set()


class _Relay(BaseHTTPRequestHandler):
    server: Front

    def do_POST(self) -> None:  # http.server's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            self._reply(self.server.statuses.popleft(), "text/html", b"<title>refused</title>")
        except IndexError:
            self.server.arrived.set()
            self.server.passes.wait()
            headers = {"Content-Type": self.headers["Content-Type"]}
            answer = requests.post(self.server.function, data=body, headers=headers, timeout=300)
            self._reply(answer.status_code, answer.headers["Content-Type"], answer.content)

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the caller was killed

    def log_message(self, *_: object) -> None:
        """Nothing."""


class AirflowStack:
    """A stack with Airflow, the pipeline's DAGs and an archive of files; a context manager."""

    def __init__(self, home: Path, archive: Path) -> None:
        market = SyntheticMarket(symbols=daily.SYMBOLS)
        self.running = RunningStack(home, _SERVICES, archive, market=market, airflow=True)
        self.running.stack = replace(self.running.stack, pubsub=EMULATOR)
        if EMULATOR:
            self.running.names += ("pubsub",)
        self.archive = archive
        for symbol in daily.SYMBOLS:  # an archive without a folder of a symbol does not have the symbol
            daily.publish(archive, symbol, dt.date(2023, 1, 1), b"")

    def __enter__(self) -> AirflowStack:
        self.running.__enter__()
        try:
            self._start()
        except BaseException:
            self.running.stop()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self.front.passes.set()
        for name in self.running.processes.keys() & set(_AIRFLOW):  # to end by themselves they take half a minute
            self.running.kill(name)
        self.running.stop()
        self.front.shutdown()
        self.front.server_close()

    def _start(self) -> None:
        for bucket in (LAKE, STAGING, ARTIFACTS):
            self.running.storage().create_bucket(bucket)
        for path in artifact_of(self.running.stack.home, "candles_batch").iterdir():
            self.running.storage().bucket(ARTIFACTS).blob(f"candles/{path.name}").upload_from_filename(path)
        self.warehouse = self.running.bigquery()
        create_warehouse(self.warehouse)
        self.front = Front(self.running.stack.url("fetch_archive"))
        threading.Thread(target=self.front.serve_forever, daemon=True).start()
        ports = {**self.running.stack.ports, "fetch_archive": self.front.server_port}
        self.running.stack = replace(self.running.stack, ports=ports)  # what starts from here on calls the front
        airflow.make_tables(self.running.stack.place)
        for name in _AIRFLOW:
            self.running.start(name)
        self.command = Pipeline(self.running.stack.home, **self.running.stack.environ())
        self.api = AirflowApi(self.running.stack.url("airflow"))
        wait_for("the DAGs to be there", self._unpaused, 120, 1)

    def _unpaused(self) -> bool:
        try:
            for dag in ("bybit_backfill", "bybit_daily"):
                self.api.unpause(dag)
        except requests.RequestException:
            return False
        return True

    def daily(self, day: dt.date) -> str:
        """Start a run of bybit_daily."""
        return self.api.trigger("bybit_daily", {"day": day.isoformat()})

    def backfill(self, start: dt.date, end: dt.date, *symbols: str) -> str:
        """Start a run of bybit_backfill."""
        params = {"symbols": list(symbols), "start": str(start), "end": str(end), "force": False}
        return self.api.trigger("bybit_backfill", params)

    def fault(self, **fields: Any) -> None:
        """Set a fault of the exchange."""
        answer = requests.post(f"{self.running.stack.url('exchange')}/control/faults", json=fields, timeout=10)
        answer.raise_for_status()

    def ended(self, dag: str, run: str) -> str:
        """The state of a run once it has ended."""

        def state() -> str | None:
            now = self.api.state(dag, run)
            return now if now in ENDED else None

        try:
            return wait_for(f"{dag} {run} to end", state, LONGEST_S, 1)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.states(dag, run)}") from None

    def states(self, dag: str, run: str) -> dict[tuple[str, int], str | None]:
        """The state of each task instance."""
        return {key: task["state"] for key, task in self.api.tasks(dag, run).items()}

    def wait_for_task(self, dag: str, run: str, task: tuple[str, int], state: str) -> None:
        """Wait until a task instance has the state."""
        wait_for(f"{task} to be {state}", lambda: self.states(dag, run).get(task) == state, LONGEST_S, 0.2)

    def batches(self, first: dt.date) -> set[str]:
        """The ids of the batches whose first day is `first`; other runs go on at the same time."""
        address = self.running.stack.environ()["DATAPROC_EMULATOR_HOST"]
        transport = BatchControllerGrpcTransport(channel=grpc.insecure_channel(address))
        listed = dataproc.BatchControllerClient(transport=transport).list_batches(
            parent="projects/local/locations/europe-west1"
        )
        found = {batch.name.rpartition("/")[2] for batch in listed}
        return {name for name in found if name.startswith(f"candles-{first:%Y%m%d}-")}

    @contextmanager
    def without_quota(self) -> Iterator[None]:
        """While the context lasts, Dataproc accepts no batch, for the project has no quota left."""
        self.running.kill("dataproc")
        place = self.running.stack.place
        certificate = certificate_in(place.home / "dataproc")
        server, tls_port = serve(cast(Batches, _NoQuota()), place.ports["dataproc"], certificate)
        proxy = Proxy(place.ports["dataproc_proxy"], tls_port)
        proxy.start()
        try:
            yield
        finally:
            proxy.shutdown()
            proxy.server_close()
            server.stop(grace=0).wait()
            self.running.start("dataproc")


class _NoQuota:
    """The batches of a project without quota."""

    def create(self, *_: object) -> NoReturn:
        raise RefusedError("RESOURCE_EXHAUSTED", "Insufficient 'CPUS' quota. Requested 12.0, available 4.0.")

    def get(self, name: str) -> NoReturn:
        raise RefusedError("NOT_FOUND", f"no such batch: {name}")
