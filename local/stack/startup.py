"""The start of a stack's services, in parallel: each as soon as what it needs is there, watched until it is ready.

Imported by the other modules of `local.stack`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from local.backing.interface import ServiceSpec
from local.stack.logs import port_is_taken, reason
from local.stack.progress import Report
from local.stack.supervision import ProcessState
from local.waiting import answers

LONGEST_SECONDS: Final = 480
"""Upper bound on the time until a service is ready, on a busy machine; a service that ends is reported sooner."""

MOST_EXITS: Final = 3
"""Upper bound on the ends of one service in one start, after which no further try is expected to succeed."""

_PAUSE_SECONDS: Final = 0.1

_T = TypeVar("_T")


class StartError(RuntimeError):
    """A service does not become ready; the message contains its name and the reason."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Something made in the stores, such as topics. `needs`: services that must be ready before."""

    name: str
    needs: tuple[str, ...]
    run: Callable[[], None]


class Processes(Protocol):
    """Starts services and restarts those that end, as `local.stack.supervision.Supervisor` does."""

    @property
    def logs(self) -> Path:
        """The folder of each service's output, `<name>.log`."""

    def start_process(self, name: str) -> None:
        """Start a service unless it runs."""

    def states(self) -> list[ProcessState]:
        """Every service's state."""


@dataclass(slots=True)
class _Watched:
    """A service that this start has started, ready or not. `log_begins`: the offset in its log where it began."""

    service: ServiceSpec
    began: float
    log_begins: int
    pids: set[int] = field(default_factory=set)
    probe: Future[bool] | None = None

    def exits(self, state: ProcessState) -> int:
        """Number of times that the service has ended since this start began."""
        if state.pid:
            self.pids.add(state.pid)
        return len(self.pids) - (1 if state.pid else 0)


class Startup:
    """One start of `services` by `processes`, with the preparations between them."""

    def __init__(
        self,
        processes: Processes,
        services: Sequence[ServiceSpec],
        preparations: Sequence[Preparation],
        report: Report,
    ) -> None:
        self._processes = processes
        self._services = {service.name: service for service in services}
        self._preparations = {preparation.name: preparation for preparation in preparations}
        self._report = report
        self._done: set[str] = set()
        self._watched: dict[str, _Watched] = {}
        self._running: dict[str, tuple[float, Future[None]]] = {}

    def run(self) -> None:
        """Return when every service is ready and every preparation done.

        Raises StartError when a service does not become ready, ValueError when a need is neither a service nor a
        preparation, and any error of a preparation as it is.
        """
        known = self._missing()
        needs = {item.name: item.needs for item in self._services.values()}
        needs |= {item.name: item.needs for item in self._preparations.values()}
        for name, need in ((name, need) for name, every in needs.items() for need in every):
            if need not in known:
                raise ValueError(f"{name} needs {need}, which is neither a service nor prepared")
        while self._missing():
            self._start_what_can()
            states = {state.name: state for state in self._processes.states()}
            for watched in list(self._watched.values()):
                self._check(watched, states[watched.service.name])
            for name, (began, outcome) in list(self._running.items()):
                if outcome.done():
                    outcome.result()
                    del self._running[name]
                    self._finish(name, began)
            now = time.monotonic()
            begins = {name: watched.began for name, watched in self._watched.items() if name not in self._done}
            begins |= {name: began for name, (began, _) in self._running.items()}
            self._report.waiting({name: now - began for name, began in begins.items()})
            time.sleep(_PAUSE_SECONDS)

    def _missing(self) -> set[str]:
        return (self._services.keys() | self._preparations.keys()) - self._done

    def _start_what_can(self) -> None:
        now = time.monotonic()
        for name in self._missing() - self._watched.keys() - self._running.keys():
            if name in self._preparations:
                preparation = self._preparations[name]
                if self._done.issuperset(preparation.needs):
                    self._running[name] = (now, _in_background(preparation.run))
            elif self._done.issuperset(self._services[name].needs):
                self._watched[name] = _Watched(self._services[name], now, _size(self._log(name)))
                self._processes.start_process(name)

    def _check(self, watched: _Watched, state: ProcessState) -> None:
        name = watched.service.name
        exits = watched.exits(state)
        if exits or state.state == "FATAL":
            text = self._output(watched)
            if state.state == "FATAL" or exits >= MOST_EXITS or port_is_taken(text):
                raise self._error(watched, state, "ends at once" if exits < 2 else f"has ended {exits} times")
        if name in self._done:
            return
        if time.monotonic() - watched.began > LONGEST_SECONDS:
            raise self._error(watched, state, f"does not answer after {LONGEST_SECONDS} s")
        # Another process may listen at the address, so the service must run, too.
        if state.state != "RUNNING":
            watched.probe = None
        elif watched.probe is None or (watched.probe.done() and not watched.probe.result()):
            watched.probe = _in_background(partial(answers, watched.service.ready))
        elif watched.probe.done():
            self._finish(name, watched.began)

    def _finish(self, name: str, began: float) -> None:
        self._done.add(name)
        self._report.done(name, time.monotonic() - began)

    def _error(self, watched: _Watched, state: ProcessState, what: str) -> StartError:
        name = watched.service.name
        why = reason(self._output(watched)) or state.description or "it printed nothing"
        return StartError(f"{name} {what} ({why}); its log: {self._log(name)}")

    def _output(self, watched: _Watched) -> str:
        log = self._log(watched.service.name)
        if not log.exists():
            return ""
        with log.open("rb") as file:
            file.seek(min(watched.log_begins, _size(log)))
            return file.read().decode(errors="replace")

    def _log(self, name: str) -> Path:
        return self._processes.logs / f"{name}.log"


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _in_background(function: Callable[[], _T]) -> Future[_T]:
    """The outcome of a call in a daemon thread, which does not keep the program from ending."""
    outcome: Future[_T] = Future()

    def call() -> None:
        try:
            outcome.set_result(function())
        except Exception as error:  # noqa: BLE001  # raised again by `Future.result`
            outcome.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return outcome
