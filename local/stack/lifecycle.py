"""One stack on this machine: brought up, described, taken down.

Used by the `pipeline` command. All state lies in the stack's home; everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from bitcoin_pipeline.settings import read_settings
from local.backing.pubsub import installed_emulator
from local.stack.logs import last_json_reason
from local.stack.ports import NoPortsError, PortBlock, claim_block
from local.stack.progress import Report, Silent
from local.stack.services import PORTS, Bybit, Invented, Service, Stack
from local.stack.startup import Preparation, StartError, Startup
from local.stack.supervision import ProcessState, Supervisor, end_leftovers, new_password
from local.stack.waiting import answers, wait_for

_DATA: Final = ("gcs", "bigquery", "dataproc", "exchange", "kafka", "postgres", "flink", "source")
_SOURCE: Final = "source"
"""File that tells whose trades the data are; it lives as long as they do."""
_RUN: Final = ("stack.json", "env", "supervisord.conf", "supervisord.pid", "logs")
_ROOM: Final = 512 << 20
"""What a stack fills in its first minutes, and some more."""
_WORK_SECONDS: Final = 15
"""How long `up` waits for what may never come, such as an exchange that cannot be reached."""


class StackError(RuntimeError):
    """The stack cannot do what was asked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose for `up`; a running stack keeps its own.

    `invented`: variables of the invented market. `bybit`: those of the real exchange; None: it is simulated.
    """

    archive_dir: str | None = None
    capture: str | None = None
    speed: float | None = None
    invented: dict[str, str] = field(default_factory=dict)
    bybit: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as `status` shows it. `works`: it answers and can do its work; else `reason` is what it said last."""

    name: str
    address: str
    state: str
    answers: bool
    pid: int
    works: bool
    reason: str


class LocalStack:
    """The stack whose state lies in `home`, up or not."""

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    @property
    def env_file(self) -> Path:
        """`NAME=value` lines that lead any program to this stack; there only while it is up."""
        return self.home / "env"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Held by whoever changes the stack. Raises StackError when somebody else does."""
        try:
            with FileLock(self.home / "lock", timeout=0):
                yield
        except Timeout:
            raise StackError(f"another `pipeline up` or `down` is at work in {self.home}; wait for it") from None

    def is_up(self) -> bool:
        """True when the stack was brought up whole and its supervisor still runs."""
        state = self._state()
        return state is not None and self.env_file.exists() and _supervisor(self.home, state).is_up()

    def up(self, options: Options, prepare: Callable[[Stack], Sequence[Preparation]], report: Report) -> bool:
        """Bring the stack up, also one of which parts have given up; False when it was up already.

        `prepare` says what is made in the stores once they answer; all of it may be made again after an
        interruption. A service that answers but cannot work yet, as the exchange is away, is left to `status`.
        Raises StackError when the stack runs with other options, or when a service does not come up.
        """
        wrong = [sign for sign in '%;"\n' if sign in str(self.home)]
        if wrong:  # supervisord's configuration gives them a meaning of its own
            raise StackError(f"PIPELINE_HOME must not hold {' '.join(map(repr, wrong))}, got {self.home}")
        self.home.mkdir(parents=True, exist_ok=True)
        with self._changing():
            state = self._running(options)
            was_up = state is not None and self.env_file.exists()
            if state is not None and was_up and not _supervisor(self.home, state).idle():
                return False
            self._hold_room()
            if state is None:
                state = self._start(options)
            # From here on also for an `up` that was interrupted.
            stack, supervisor = _stack(self.home, state), _supervisor(self.home, state)
            services = stack.services()
            try:
                Startup(supervisor, services, prepare(stack), report).run()
            except BaseException as error:
                if not was_up:
                    report.tell("taking down what was started")
                    supervisor.stop(services, Silent())
                if isinstance(error, StartError):
                    self._hold_room()
                    raise StackError(str(error)) from error
                raise
            _write_atomically(self.env_file, "".join(f"{k}={v}\n" for k, v in stack.environ().items()))
            for service in (service for service in services if service.works):
                report.waiting({f"{service.name} to be at work": 0})
                with suppress(TimeoutError):
                    wait_for(service.name, partial(answers, service.works), _WORK_SECONDS)
            return True

    def status(self) -> list[ServiceStatus]:
        """Every service, with whether it answers now; empty when the stack is not up."""
        state = self._state()
        if state is None:
            return []
        try:
            states = {item.name: item for item in _supervisor(self.home, state).states()}
        except OSError:
            states = {}
        return [
            self._status(service, states.get(service.name, ProcessState(service.name, "STOPPED", 0, "")))
            for service in _stack(self.home, state).services()
        ]

    def _status(self, service: Service, process: ProcessState) -> ServiceStatus:
        does_answer = answers(service.ready) if service.ready else process.state == "RUNNING"
        works = does_answer and answers(service.works)
        reason = "" if works else _last_reason(self.home / "logs" / f"{service.name}.log")
        address = _address(service.ready)
        return ServiceStatus(service.name, address, process.state, does_answer, process.pid, works, reason)

    def down(self, report: Report, *, remove_data: bool) -> bool:
        """Stop everything; False when nothing was up. Removes only what `up` made."""
        if not self.home.exists():
            return False
        with self._changing():
            state = self._state()
            if state is not None:
                _supervisor(self.home, state).stop(_stack(self.home, state).services(), report)
            end_leftovers(self.home)
            for name in (*_RUN, *(_DATA if remove_data else ())):
                _remove(self.home / name)
        if remove_data:
            _remove(self.home / "lock")
            if not any(self.home.iterdir()):
                self.home.rmdir()
        return state is not None

    def _running(self, options: Options) -> dict[str, Any] | None:
        """The state of a supervisor that runs, or None. Raises StackError when it has other options."""
        state = self._state()
        if state is None or not _supervisor(self.home, state).is_up():
            return None
        if Options(**state["options"]) != options:
            raise StackError(
                f"a stack is up in {self.home} with {_spelled(state['options'])}; "
                "run `pipeline down` first, or choose another PIPELINE_HOME"
            )
        return state

    def _start(self, options: Options) -> dict[str, Any]:
        end_leftovers(self.home)
        _remove(self.env_file)
        self._hold_source("bybit" if options.bybit is not None else "simulator")
        emulator = installed_emulator()
        with self._claimed_block() as block:
            state = {
                "options": asdict(options),
                # The supervisor's first: it keeps the block once the claim is given up.
                "ports": dict(zip(("supervisor", *PORTS), block.ports, strict=False)),
                "password": new_password(),
                "pubsub": str(emulator) if emulator else None,
            }
            _write_atomically(self.home / "stack.json", json.dumps(state, indent=2))
            stack = _stack(self.home, state)
            try:
                _supervisor(self.home, state).start(stack.services(), stack.environ())
            except (RuntimeError, TimeoutError) as error:
                raise StackError(str(error)) from error
        return state

    def _claimed_block(self) -> PortBlock:
        # The same home has the same ports each time, as far as they are free: its addresses stay.
        try:
            return claim_block(zlib.crc32(str(self.home).encode()))
        except NoPortsError as error:
            raise StackError(str(error)) from error

    def _hold_room(self) -> None:
        free = shutil.disk_usage(self.home).free
        if free < _ROOM:
            raise StackError(
                f"the disk of {self.home} has {free >> 20} MiB left, and a stack needs {_ROOM >> 20} MiB to start; "
                "make room, or choose another PIPELINE_HOME"
            )

    def _hold_source(self, source: str) -> None:
        """Keep real and invented trades apart: they would share topics, tables and candles."""
        file = self.home / _SOURCE
        earlier = file.read_text() if file.exists() else source
        if earlier != source:
            raise StackError(
                f"the data in {self.home} came from --source {earlier}, and {source}'s would mix with it; "
                "run `pipeline down --remove-data` first, or choose another PIPELINE_HOME"
            )
        _write_atomically(file, source)

    def _state(self) -> dict[str, Any] | None:
        try:
            state = json.loads((self.home / "stack.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return state if isinstance(state, dict) else None


def read_env_file(path: Path) -> dict[str, str]:
    """The variables in a `NAME=value` file; none when it does not exist."""
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def _stack(home: Path, state: Mapping[str, Any]) -> Stack:
    options = Options(**state["options"])
    return Stack(
        home,
        state["ports"],
        Path(options.archive_dir) if options.archive_dir else None,
        Path(options.capture) if options.capture else None,
        1.0 if options.speed is None else options.speed,
        read_settings(Invented, options.invented),
        options.bybit,
        Path(state["pubsub"]) if state.get("pubsub") else None,
    )


def _supervisor(home: Path, state: Mapping[str, Any]) -> Supervisor:
    return Supervisor(home, state["ports"]["supervisor"], state["password"])


def invented_chosen(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that make the invented market another than the default. Raises SettingsError for a wrong one."""
    chosen = _chosen(Invented, environ)
    return {name: text for name, text in chosen.items() if read_settings(Invented, {name: text}) != Invented()}


def bybit_chosen(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the user has set for the real exchange. Raises SettingsError for a wrong one."""
    return _chosen(Bybit, environ)


def _chosen(kind: type[Invented] | type[Bybit], environ: Mapping[str, str]) -> dict[str, str]:
    read_settings(kind, environ)
    variables = [item.metadata["variable"] for item in fields(kind)]
    return {name: environ[name] for name in variables if environ.get(name)}


def _spelled(options: Mapping[str, Any]) -> str:
    words = [f"--{name.replace('_', '-')} {value}" for name, value in options.items() if isinstance(value, str | float)]
    words += ["--source bybit"] if options["bybit"] is not None else []
    words += [f"{name}={text}" for name, text in {**options["invented"], **(options["bybit"] or {})}.items()]
    return " ".join(words) or "no options"


def _last_reason(log: Path) -> str:
    return last_json_reason(log.read_text(errors="replace")) if log.exists() else ""


def _address(ready: str) -> str:
    scheme, _, rest = ready.partition("://")
    return f"{'http://' if scheme == 'http' else ''}{rest.split('/')[0]}"


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
