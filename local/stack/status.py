"""Every service of a stack as `pipeline status` shows it. Imported by `local.stack.lifecycle` and the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local.backing.interface import ServiceSpec
from local.stack.logs import last_json_reason
from local.stack.state import StackState
from local.stack.supervision import ProcessState
from local.waiting import answers


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service now. `works`: it is ready and can do its work; if not, `reason` is the last one in its log.

    `state`: as supervisord names it, such as RUNNING. `pid`: 0 while it does not run.
    """

    name: str
    address: str
    state: str
    answers: bool
    pid: int
    works: bool
    reason: str


def statuses(home: Path, state: StackState) -> list[ServiceStatus]:
    """Every service of the stack in `home`, each of which is tried now."""
    supervisor = state.supervisor(home)
    try:
        processes = {item.name: item for item in supervisor.states()}
    except OSError:
        processes = {}
    return [
        _status(service, processes.get(service.name, ProcessState(service.name, "STOPPED", 0, "")), supervisor.logs)
        for service in state.config(home).services()
    ]


def _status(service: ServiceSpec, process: ProcessState, logs: Path) -> ServiceStatus:
    does_answer = answers(service.ready) if service.ready else process.state == "RUNNING"
    works = does_answer and answers(service.works)
    reason = "" if works else _last_reason(logs / f"{service.name}.log")
    address = _shown(service.ready)
    return ServiceStatus(service.name, address, process.state, does_answer, process.pid, works, reason)


def _last_reason(log: Path) -> str:
    return last_json_reason(log.read_text(errors="replace")) if log.exists() else ""


def _shown(ready: str) -> str:
    scheme, _, rest = ready.partition("://")
    return f"{'http://' if scheme == 'http' else ''}{rest.split('/')[0]}"
