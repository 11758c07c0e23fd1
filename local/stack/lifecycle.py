"""One stack on this machine: brought up, described, taken down.

Imported by the `pipeline` command and by tests. All state lies in the stack's home; everything listens on 127.0.0.1.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from local.backing.containers import has_events
from local.backing.pubsub import installed_emulator
from local.build import build
from local.environment import env_file
from local.stack import containers
from local.stack.compose import described
from local.stack.config import PORTS, StackConfig
from local.stack.deployables import artifacts_in
from local.stack.options import Options
from local.stack.ports import NoPortsError, PortBlock, claim_block
from local.stack.progress import Report, Silent
from local.stack.startup import Preparation, StartError, Startup
from local.stack.state import (
    BACKING_FILE,
    SOURCE_FILE,
    STATE_FILE,
    StackError,
    StackState,
    claim_backing,
    claim_source,
    read_state,
    remove,
    write_atomically,
    write_state,
)
from local.stack.status import ServiceStatus, statuses
from local.stack.supervision import end_leftovers, new_password
from local.waiting import answers, wait_for

_DATA: Final = (
    "gcs",
    "bigquery",
    "dataproc",
    "exchange",
    "kafka",
    "postgres",
    "flink",
    "airflow",
    "artifacts",
    SOURCE_FILE,
    BACKING_FILE,
)
_RUN: Final = (STATE_FILE, "env", "supervisord.conf", "supervisord.pid", "logs")
_ROOM: Final = 512 << 20
"""Bytes that must be free before a start: more than a stack fills in its first minutes."""
_WORK_SECONDS: Final = 15
"""Upper bound on the wait of `up` for services to work, since an exchange may be out of reach for long."""


class LocalStack:
    """The stack whose state lies in `home`, up or not."""

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    @property
    def env_file(self) -> Path:
        """File of `NAME=value` lines that lead any program to this stack; it exists only while the stack is up."""
        return env_file(self.home)

    def is_up(self) -> bool:
        """True when the stack was brought up whole and its supervisor still runs."""
        state = read_state(self.home)
        return state is not None and self.env_file.exists() and state.supervisor(self.home).is_up()

    def status(self) -> list[ServiceStatus]:
        """Every service, each of which is tried now; empty when the stack is not up."""
        state = read_state(self.home)
        return [] if state is None else statuses(self.home, state)

    def up(self, options: Options, prepare: Callable[[StackConfig], Sequence[Preparation]], report: Report) -> bool:
        """Bring the stack up, also one of which services have been given up; False when it was up already.

        `prepare` returns what is made in the stores once they are ready; each preparation may run again after an
        interruption. A service that is ready but cannot work yet, since the exchange is away, does not fail the start.
        Raises StackError when the stack runs with other options, or when a service does not become ready.
        """
        wrong = [sign for sign in '%;"\n' if sign in str(self.home)]
        if wrong:  # they have a meaning in supervisord's configuration
            raise StackError(f"PIPELINE_HOME must not hold {' '.join(map(repr, wrong))}, got {self.home}")
        self.home.mkdir(parents=True, exist_ok=True)
        with self._changing():
            state = self._running(options)
            was_up = state is not None and self.env_file.exists()
            if state is not None and was_up and not state.supervisor(self.home).idle():
                return False
            _check_room(self.home)
            if state is None:
                state = self._start(options, report)
            # The rest also completes an `up` that was interrupted.
            self._complete(state, prepare, report, was_up=was_up)
            return True

    def down(self, report: Report, *, remove_data: bool) -> bool:
        """Stop every service; False when nothing was up. Removes only what `up` made."""
        if not self.home.exists():
            return False
        with self._changing():
            state = read_state(self.home)
            if state is not None:
                state.supervisor(self.home).stop(state.config(self.home).services(), report)
            end_leftovers(self.home)
            if (self.home / BACKING_FILE).exists() and (self.home / BACKING_FILE).read_text() == "container":
                self._remove_containers(remove_data=remove_data)
            for name in (*_RUN, *(_DATA if remove_data else ())):
                remove(self.home / name)
        if remove_data:
            remove(self.home / "lock")
            if not any(self.home.iterdir()):
                self.home.rmdir()
        return state is not None

    def compose(self, options: Options) -> str:
        """The stack's containers as a file for `docker compose`, with the artifacts that its images are built from.

        JSON, which is also YAML. It has the ports, the passwords and the data of the stack in this home.
        """
        build(artifacts_in(self.home))
        with _claimed_block(self.home) as block:
            ports = dict(zip(("supervisor", *PORTS), block.ports, strict=False))
        state = StackState(options, ports, "", "container" if has_events(options.images or {}) else None)
        return json.dumps(described(state.config(self.home)), indent=2)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock of the stack's changes. Raises StackError when another process holds it."""
        try:
            with FileLock(self.home / "lock", timeout=0):
                yield
        except Timeout:
            raise StackError(f"another `pipeline up` or `down` is at work in {self.home}; wait for it") from None

    def _running(self, options: Options) -> StackState | None:
        """The state of a stack whose supervisor runs, or None. Raises StackError when it has other options."""
        state = read_state(self.home)
        if state is None or not state.supervisor(self.home).is_up():
            return None
        if state.options != options:
            raise StackError(
                f"a stack is up in {self.home} with {state.options.spelled()}; "
                "run `pipeline down` first, or choose another PIPELINE_HOME"
            )
        return state

    def _remove_containers(self, *, remove_data: bool) -> None:
        """Remove what Docker keeps for the stack. Raises StackError when no engine answers."""
        try:
            with containers.engine() as client:
                containers.remove_left(client, self.home, data=remove_data)
        except containers.ContainerError as error:
            raise StackError(str(error)) from error

    def _start(self, options: Options, report: Report) -> StackState:
        """Start the supervisor, with no service at work."""
        end_leftovers(self.home)
        if options.images is not None:
            self._remove_containers(remove_data=False)
        remove(self.env_file)
        claim_source(self.home, options.source)
        claim_backing(self.home, options.backing)
        build(artifacts_in(self.home))
        emulator = installed_emulator()
        if options.images is not None:
            emulator = Path("container") if has_events(options.images) else None
        with _claimed_block(self.home) as block:
            # The supervisor's port is the block's first: it keeps the block once the claim is given up.
            ports = dict(zip(("supervisor", *PORTS), block.ports, strict=False))
            state = StackState(options, ports, new_password(), str(emulator) if emulator else None)
            write_state(self.home, state)
            config = state.config(self.home)
            try:
                if options.images is not None:
                    containers.prepare(config, report)
                state.supervisor(self.home).start(config.services(), config.environ())
            except (RuntimeError, TimeoutError) as error:
                remove(self.home / STATE_FILE)
                raise StackError(str(error)) from error
        return state

    def _complete(
        self,
        state: StackState,
        prepare: Callable[[StackConfig], Sequence[Preparation]],
        report: Report,
        *,
        was_up: bool,
    ) -> None:
        """Start every service that is idle, and write the file of variables once all are ready.

        Takes down what was started when that fails, unless the stack `was_up` before.
        """
        config, supervisor = state.config(self.home), state.supervisor(self.home)
        services = config.services()
        try:
            Startup(supervisor, services, prepare(config), report).run()
        except BaseException as error:
            if not was_up:
                report.step("taking down what was started")
                supervisor.stop(services, Silent())
            if isinstance(error, StartError):
                _check_room(self.home)
                raise StackError(str(error)) from error
            raise
        write_atomically(self.env_file, "".join(f"{name}={value}\n" for name, value in config.environ().items()))
        for service in (service for service in services if service.works):
            report.waiting({f"{service.name} to work": 0})
            with suppress(TimeoutError):
                wait_for(service.name, partial(answers, service.works), _WORK_SECONDS)


def _claimed_block(home: Path) -> PortBlock:
    # The same home has the same ports at each start, as long as they are free, so its addresses stay.
    try:
        return claim_block(zlib.crc32(str(home).encode()))
    except NoPortsError as error:
        raise StackError(str(error)) from error


def _check_room(home: Path) -> None:
    free = shutil.disk_usage(home).free
    if free < _ROOM:
        raise StackError(
            f"the disk of {home} has {free >> 20} MiB left, and a stack needs {_ROOM >> 20} MiB to start; "
            "make room, or choose another PIPELINE_HOME"
        )
