"""What a backing service of a stack is: how it is started, when it is ready, and what its clients need.

Imported by the files of the backing services, and by `local.stack`, which starts these and its other services alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PROJECT: Final = "local"
"""The Google Cloud project of every stack."""

LONGEST_CHAIN: Final = ("kafka", "jobmanager")
"""Services that the candles job, the last to be ready, waits for. A service outside of this chain needs them, too, so
that it starts later and leaves the processors to the chain."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one stack runs. `home`: the folder of its state. `ports`: the port of each name on 127.0.0.1."""

    home: Path
    ports: Mapping[str, int]

    def address(self, name: str) -> str:
        """`host:port` of what listens on the port of that name."""
        return f"127.0.0.1:{self.ports[name]}"

    def url(self, name: str) -> str:
        """The HTTP address of what listens on the port of that name."""
        return f"http://{self.address(name)}"


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How a service of the stack is started and watched.

    `ready`: an address for `answers`, which is true once the service is ready; empty for a service that is ready when
    it runs. `stop_signal`: the signal that ends it in good order. `needs`: services that must be ready, and
    preparations that must be done, before it is started. `works`: an address that answers once the service can do its
    work, where that takes more than being ready. `is_store`: it keeps what other services send, so it is stopped after
    them.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    environ: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    needs: tuple[str, ...] = ()
    works: str = ""
    is_store: bool = False


@dataclass(frozen=True, slots=True)
class BackingService:
    """A backing service, for all stacks.

    `ports`: names of the ports on which it listens. `processes`: the specs of the processes that make it up, at a
    place. `client_environ`: the variables by which clients reach it there, which do not depend on how it is run.
    """

    ports: tuple[str, ...]
    processes: Callable[[Place], list[ServiceSpec]]
    client_environ: Callable[[Place], dict[str, str]]


def module_command(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module of this checkout in the main environment."""
    return (sys.executable, "-m", module, *arguments)
