"""One stack's processes under supervisord, which restarts what dies.

Imported by the other modules of `local.stack` and by tests. Writes into the stack's home only.
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.backing.interface import ServiceSpec
from local.checkout import ROOT
from local.environment import beside_a_stack
from local.stack.progress import Report
from local.waiting import wait_for

HOME_VARIABLE = "PIPELINE_STACK_HOME"
"""Variable of every process of a stack, with the stack's home, by which the processes of several stacks differ."""

_STOP_SECONDS = 15
"""Time that a service gets to end before it is killed."""

_ENDED = ("STOPPED", "EXITED", "FATAL")
"""The states of a service that neither runs nor is being started."""

_ALREADY_STARTED = 60
_NOT_RUNNING = 70
"""Codes of supervisord's faults for a service that runs, and for one that does not."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One service as supervisord reports it. `state`: RUNNING, STARTING, BACKOFF, FATAL, STOPPED and others."""

    name: str
    state: str
    pid: int
    description: str


class Supervisor:
    """The supervisord of the stack in `home`, running or not."""

    def __init__(self, home: Path, port: int, password: str) -> None:
        self.home = home
        self.port = port
        self.password = password

    @property
    def logs(self) -> Path:
        """The folder of each service's output, `<name>.log`."""
        return self.home / "logs"

    def start(self, services: Sequence[ServiceSpec], environ: Mapping[str, str]) -> None:
        """Start supervisord with every service configured and none started. Raises RuntimeError when it ends."""
        self.logs.mkdir(parents=True, exist_ok=True)
        configuration = self.home / "supervisord.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration(services))
        outcome = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            cwd=ROOT,
            env={**beside_a_stack(os.environ), **environ, HOME_VARIABLE: str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if outcome.returncode:
            raise RuntimeError(f"supervisord did not start: {outcome.stderr.strip() or outcome.stdout.strip()}")
        wait_for("supervisord to answer", self.is_up, 60)

    def idle(self) -> set[str]:
        """Names of the services that neither run nor are being started. Raises OSError as `states` does."""
        return {item.name for item in self.states() if item.state in _ENDED}

    def start_process(self, name: str) -> None:
        """Start a service unless it runs. Raises OSError when it cannot be started at all."""
        try:
            self._server().supervisor.startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _ALREADY_STARTED:
                raise OSError(f"{name} cannot be started: {fault.faultString}") from fault

    def stop_process(self, name: str) -> None:
        """Stop a service, which stays stopped, and wait for its end. Raises OSError when it cannot be stopped."""
        try:
            self._server().supervisor.stopProcess(name, True)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _NOT_RUNNING:
                raise OSError(f"{name} cannot be stopped: {fault.faultString}") from fault

    def is_up(self) -> bool:
        """True when this stack's supervisord answers."""
        try:
            return bool(self._server().supervisor.getIdentification() == self._identifier())
        except (OSError, xmlrpc.client.Error):
            return False

    def states(self) -> list[ProcessState]:
        """Every service's state. Raises OSError when supervisord does not answer."""
        answer = self._server().supervisor.getAllProcessInfo()
        assert isinstance(answer, list)
        return [
            ProcessState(item["name"], item["statename"], item["pid"], item["description"])
            for item in answer
            if isinstance(item, dict)
        ]

    def stop(self, services: Sequence[ServiceSpec], report: Report) -> None:
        """End supervisord and all that it started, and the processes that a killed supervisord has left.

        Stores end last, so that the services that write into them can finish.
        """
        if self.is_up():
            # What it did not start, such as a backfill in the background, is ended first.
            with suppress(OSError, xmlrpc.client.Error, psutil.NoSuchProcess):
                own = psutil.Process(int(str(self._server().supervisor.getPID())))
                end_leftovers(self.home, but=[own, *own.children(recursive=True)])
            # A supervisord that ends meanwhile ends its services itself; `shutdown` ends services that take too long.
            with suppress(OSError, xmlrpc.client.Error):
                for of_stores in (False, True):
                    self._stop_all([item.name for item in services if item.is_store == of_stores], report)
            with suppress(OSError, xmlrpc.client.Error):
                self._server().supervisor.shutdown()
            wait_for("supervisord to end", lambda: not self.is_up() and not stack_processes(self.home), 60, 0.1)
        end_leftovers(self.home)

    def _stop_all(self, names: Sequence[str], report: Report) -> None:
        began = time.monotonic()
        server = self._server().supervisor
        for name in names:
            with suppress(xmlrpc.client.Fault):  # the service does not run
                server.stopProcess(name, False)

        def have_ended() -> bool:
            running = {item.name for item in self.states() if item.state not in _ENDED}
            seconds = time.monotonic() - began
            for name in [name for name in waited if name not in running]:
                waited.remove(name)
                report.done(name, seconds)
            report.waiting(dict.fromkeys(waited, seconds))
            return not waited

        waited = list(names)
        wait_for("the services to end", have_ended, _STOP_SECONDS + 15, 0.1)

    def _server(self) -> xmlrpc.client.ServerProxy:
        return xmlrpc.client.ServerProxy(f"http://pipeline:{self.password}@127.0.0.1:{self.port}/RPC2")

    def _identifier(self) -> str:
        return f"pipeline-{self.password[:8]}"

    def _configuration(self, services: Sequence[ServiceSpec]) -> str:
        lines = [
            "[supervisord]",
            f"identifier={self._identifier()}",
            f"directory={_escaped(str(ROOT))}",
            f"logfile={_escaped(str(self.logs / 'supervisord.log'))}",
            "logfile_maxbytes=1MB",
            "logfile_backups=1",
            f"pidfile={_escaped(str(self.home / 'supervisord.pid'))}",
            f"childlogdir={_escaped(str(self.logs))}",
            "[inet_http_server]",
            f"port=127.0.0.1:{self.port}",
            "username=pipeline",
            f"password={self.password}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]
        for service in services:
            environ = ",".join(f'{name}="{_escaped(value)}"' for name, value in service.environ.items())
            lines += [
                f"[program:{service.name}]",
                f"command={_escaped(shlex.join(service.command))}",
                *([f"environment={environ}"] if environ else []),
                "autostart=false",  # `local.stack.startup` starts each when what it needs is there
                "autorestart=true",
                "startsecs=1",
                "startretries=30",
                f"stopwaitsecs={_STOP_SECONDS}",
                f"stopsignal={service.stop_signal}",
                "stopasgroup=true",
                "killasgroup=true",
                "redirect_stderr=true",
                f"stdout_logfile={_escaped(str(self.logs / f'{service.name}.log'))}",
                "stdout_logfile_maxbytes=10MB",
                "stdout_logfile_backups=1",
            ]
        return "\n".join(lines) + "\n"


def new_password() -> str:
    """A random password for supervisord's local port."""
    return secrets.token_hex(16)


def stack_processes(home: Path) -> list[psutil.Process]:
    """Every living process of the stack in `home`, by the variable that they inherit."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(HOME_VARIABLE) == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # a process of another user, or one that has ended: not of this stack
    return [process for process in found if process.pid != os.getpid()]


def end_leftovers(home: Path, but: Collection[psutil.Process] = ()) -> None:
    """End the processes of the stack in `home`, of which no supervisor takes care (any more), other than `but`."""
    leftovers = [process for process in stack_processes(home) if process not in but]
    for process in leftovers:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(leftovers, timeout=10)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=10)


def _escaped(text: str) -> str:
    # supervisord expands %(...)s in every value.
    return text.replace("%", "%%")
