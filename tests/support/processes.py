"""Starts real services of a stack one by one for a test, and ends them after it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import psutil
import pytest
from google.auth.compute_engine import _metadata
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage  # type: ignore[attr-defined]  # ships no types

from local.backing.images import chosen
from local.backing.interface import PROJECT, ServiceSpec
from local.build import build
from local.checkout import ROOT
from local.stack import containers
from local.stack.config import PORTS, StackConfig
from local.stack.deployables import artifacts_in
from local.stack.options import Options, SyntheticMarket
from local.stack.ports import free_ports
from local.stack.progress import Silent
from local.stack.state import StackState, write_state
from local.stack.stores import set_up
from local.stack.supervision import HOME_VARIABLE
from local.waiting import answers, wait_for
from tests.support.containers import kill_container
from tests.support.runs import in_containers


class RunningStack:
    """The named services of a stack in `home`, as child processes, each with its container if any; a context manager.

    `stack.environ()` has the variables that clients need. A service can be killed and started again. `variables`:
    further variables of the services.
    """

    def __init__(
        self,
        home: Path,
        names: tuple[str, ...],
        archive_dir: Path | None = None,
        capture: Path | None = None,
        speed: float = 1.0,
        *,
        market: SyntheticMarket = SyntheticMarket(),  # noqa: B008  # frozen
        variables: Mapping[str, str] | None = None,
        airflow: bool = False,
    ) -> None:
        images = chosen(os.environ) if in_containers() else None
        self.stack = StackConfig(
            home, free_ports(PORTS), archive_dir, capture, speed, market, airflow=airflow, images=images
        )
        self.names = names
        self.variables = dict(variables or {})
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> RunningStack:
        build(artifacts_in(self.stack.home))
        try:
            self._prepare_containers()
            for name in self.names:
                self.start(name)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def environ(self) -> dict[str, str]:
        """The whole environment of a program that uses this stack."""
        return {**os.environ, **self.variables, **self.stack.environ()}

    def set_environment(self, patch: pytest.MonkeyPatch) -> None:
        """Let this process use the stack as a deployable does, although other tests in it have stacks, too."""
        for name, value in self.stack.environ().items():
            patch.setenv(name, value)
        # google-auth reads the metadata server's address once a process.
        patch.setattr(_metadata, "_GCE_METADATA_HOST", self.stack.environ()["GCE_METADATA_HOST"])

    def bigquery(self) -> bigquery.Client:
        """A client of this stack's BigQuery, independent of the environment, which google-auth reads once a process."""
        options = {"api_endpoint": self.stack.url("bigquery")}
        return bigquery.Client(PROJECT, credentials=AnonymousCredentials(), client_options=options)

    def storage(self) -> storage.Client:
        """A client of this stack's GCS."""
        options = {"api_endpoint": self.stack.url("gcs")}
        return storage.Client(PROJECT, credentials=AnonymousCredentials(), client_options=options)

    def log(self, name: str) -> str:
        """The output of the service so far."""
        return (self.stack.home / f"{name}.log").read_text(errors="replace")

    def start(self, name: str) -> None:
        """Start a service and wait until it is ready."""
        service = self._service(name)
        self.stack.home.mkdir(parents=True, exist_ok=True)
        with (self.stack.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                service.command,
                cwd=ROOT,
                env={**self.environ, **service.environ, HOME_VARIABLE: str(self.stack.home)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = process
        wait_for(f"{name} to answer at {service.ready}", lambda: self._is_ready(service, process), 240)

    def set_up(self, *stores: str) -> None:
        """Run the job that makes `topics` and `tables`, as `pipeline up` does."""
        for store in stores:
            set_up(self.stack, store, self.environ)

    def kill(self, name: str) -> None:
        """End a service and all of its processes with SIGKILL, and wait until they have ended."""
        process = self.processes.pop(name)
        if kill_container(self.stack.home, name):
            process.wait(30)
            return
        # A child that dies after its parent holds the port a moment longer.
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        psutil.wait_procs(children, 10)

    def stop(self) -> None:
        """End every service, in the reverse order of their start."""
        for name in reversed(list(self.processes)):
            process = self.processes.pop(name)
            process.send_signal(signal.Signals[f"SIG{self._service(name).stop_signal}"])
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        if self.stack.images is not None:
            with containers.engine() as client:
                containers.remove_left(client, self.stack.home, data=True)

    def _prepare_containers(self) -> None:
        """Make what containers need, of which each one's process reads its part from the stack's state."""
        if self.stack.images is None:
            return
        market = {"PIPELINE_SYMBOLS": ",".join(self.stack.market.symbols)}
        capture = str(self.stack.capture) if self.stack.capture else None
        options = Options(capture=capture, synthetic=market, images=dict(self.stack.images))
        events = "container" if self.stack.pubsub else None
        write_state(self.stack.home, StackState(options, self.stack.ports, "", events))
        containers.prepare(self.stack, Silent())

    def _service(self, name: str) -> ServiceSpec:
        return next(service for service in self.stack.services() if service.name == name)

    def _is_ready(self, service: ServiceSpec, process: subprocess.Popen[bytes]) -> bool:
        # Another process may listen on the port, so the service must still run.
        if process.poll() is not None:
            raise RuntimeError(f"{service.name} ended with {process.returncode}: {self.log(service.name)[-2000:]}")
        return answers(service.ready)
