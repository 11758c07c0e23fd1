"""The start of services that need each other, and the error about one that does not become ready."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from local.backing.interface import ServiceSpec
from local.stack.ports import free_ports
from local.stack.startup import Preparation, StartError, Startup
from local.stack.supervision import ProcessState


class Report:
    """Keeps what is reported to it."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.waited: set[str] = set()

    def step(self, text: str) -> None:
        raise AssertionError(text)

    def waiting(self, seconds: Mapping[str, float]) -> None:
        self.waited |= seconds.keys()

    def done(self, name: str, seconds: float) -> None:
        assert seconds >= 0
        self.order.append(name)


class Processes:
    """Simulates services: each has a script of its states, one for each query, and listens once it is RUNNING."""

    def __init__(self, logs: Path, listening: ExitStack) -> None:
        self.logs = logs
        self.services: dict[str, ServiceSpec] = {}
        self.started: list[str] = []
        self._listening = listening
        self._scripts: dict[str, Iterator[tuple[str, int, str]]] = {}

    def add(self, name: str, script: Iterator[tuple[str, int, str]], needs: tuple[str, ...] = ()) -> None:
        """`script`: state, process id and output for each query of the states; the last one is repeated."""
        port = free_ports([name])[name]
        self.services[name] = ServiceSpec(name, (), f"tcp://127.0.0.1:{port}", needs=needs)
        self._scripts[name] = script

    def start_process(self, name: str) -> None:
        self.started.append(name)

    def states(self) -> list[ProcessState]:
        return [self._next_state(name) for name in self.services]

    def _next_state(self, name: str) -> ProcessState:
        if name not in self.started:
            return ProcessState(name, "STOPPED", 0, "Not started")
        state, pid, printed = next(self._scripts[name])
        with (self.logs / f"{name}.log").open("a") as log:
            log.write(printed)
        if state == "RUNNING":
            self._listen(name)
        return ProcessState(name, state, pid, "")

    def _listen(self, name: str) -> None:
        port = int(self.services[name].ready.rpartition(":")[2])
        with suppress(OSError):  # it listens already
            self._listening.enter_context(closing(socket.create_server(("127.0.0.1", port))))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with ExitStack() as listening:
        yield Processes(tmp_path, listening)


def working(*before: tuple[str, int, str]) -> Iterator[tuple[str, int, str]]:
    return itertools.chain([*before, ("STARTING", 99, "")], itertools.repeat(("RUNNING", 99, "")))


def crashing(printed: str) -> Iterator[tuple[str, int, str]]:
    """A process that ends after every start."""
    for pid in itertools.count(1):
        yield "STARTING", pid, printed
        yield "BACKOFF", 0, ""


def run(processes: Processes, *preparations: Preparation) -> Report:
    report = Report()
    Startup(processes, list(processes.services.values()), preparations, report).run()
    return report


def test_each_is_started_once_what_it_needs_is_there(processes: Processes) -> None:
    """Postgres -> tables -> dashboard; the order in the list is another."""
    made: list[str] = []
    processes.add("dashboard", working(), needs=("tables",))
    processes.add("postgres", working())

    def make_tables() -> None:
        assert processes.started == ["postgres"]
        made.append("tables")

    report = run(processes, Preparation("tables", ("postgres",), make_tables))
    assert report.order == ["postgres", "tables", "dashboard"]
    assert processes.started == ["postgres", "dashboard"]
    assert made == ["tables"]
    assert {"postgres", "dashboard"} <= report.waited


def test_what_fails_twice_and_then_works_is_no_failure(processes: Processes) -> None:
    processes.add(
        "kafka", working(("STARTING", 1, "no\n"), ("BACKOFF", 0, ""), ("STARTING", 2, "no\n"), ("BACKOFF", 0, ""))
    )
    assert run(processes).order == ["kafka"]


def test_the_third_exit_is_told_with_its_reason(processes: Processes) -> None:
    processes.add("bigquery", working())
    processes.add("kafka", crashing("ERROR the disk is full\n\tat a.B.c(Unknown Source)\n"))
    with pytest.raises(StartError) as failed:
        run(processes)
    log = processes.logs / "kafka.log"
    assert str(failed.value) == f"kafka has ended 3 times (ERROR the disk is full); its log: {log}"


def test_a_taken_port_is_told_after_the_first_exit(processes: Processes) -> None:
    processes.add("gcs", crashing("listen tcp 127.0.0.1:1: bind: address already in use\n"))
    with pytest.raises(StartError, match=r"gcs ends at once \(listen tcp .* address already in use\); its log"):
        run(processes)


def test_what_was_printed_before_this_start_is_no_reason(processes: Processes) -> None:
    (processes.logs / "gcs.log").write_text("bind: address already in use\n")
    processes.add("gcs", crashing("no such bucket\n"))
    with pytest.raises(StartError, match=r"gcs has ended 3 times \(no such bucket\)"):
        run(processes)


def test_what_the_supervisor_has_given_up_is_told_at_once(processes: Processes) -> None:
    processes.add("gcs", itertools.repeat(("FATAL", 0, "")))
    with pytest.raises(StartError, match=r"gcs ends at once \(it printed nothing\)"):
        run(processes)


def test_what_ends_again_and_again_after_it_has_answered_is_told_too(processes: Processes) -> None:
    """Otherwise services that need it would wait until the end of their time."""
    answered_once = itertools.chain([("STARTING", 1, ""), *[("RUNNING", 1, "")] * 3], crashing("ERROR no space left\n"))
    processes.add("kafka", answered_once)
    processes.add("producer", itertools.repeat(("STARTING", 9, "")), needs=("kafka",))
    with pytest.raises(StartError, match=r"kafka has ended 3 times \(ERROR no space left\)"):
        run(processes)


def test_an_error_of_a_preparation_ends_the_start(processes: Processes) -> None:
    def refuse() -> None:
        raise PermissionError("buckets")

    processes.add("gcs", working())
    processes.add("never", itertools.repeat(("STARTING", 1, "")))
    with pytest.raises(PermissionError, match="buckets"):
        run(processes, Preparation("buckets", ("gcs",), refuse))


def test_a_need_that_nobody_fulfils_is_a_fault_of_the_list(processes: Processes) -> None:
    processes.add("schedule", working(), needs=("nobody",))
    with pytest.raises(ValueError, match="schedule needs nobody, which is neither a service nor prepared"):
        run(processes)
