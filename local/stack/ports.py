"""Allocates ports of this machine that no other stack, test or outgoing connection takes.

A block of ports belongs to the process that listens on its first port. A stack's supervisor, which listens on the
second port, keeps the block after `up` has ended. Imported by `local.stack.lifecycle` and by tests.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

BLOCK: Final = 24
"""Number of ports in a block, the claim's own included."""

_LOWEST: Final = 20_000
_HIGHEST: Final = 65_535
_OUTGOING: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


class NoPortsError(RuntimeError):
    """Every block is taken."""


def outgoing_range(file: Path = _OUTGOING) -> tuple[int, int]:
    """The first and the last port of outgoing connections; Linux's default where the system does not reveal them."""
    with suppress(OSError, ValueError):
        low, high = map(int, file.read_text().split())
        return low, high
    return 32_768, 60_999


def blocks(outgoing: tuple[int, int]) -> list[int]:
    """The first port of every block outside of `outgoing`, or of every block when none lies outside."""
    low, high = outgoing
    every = range(_LOWEST, _HIGHEST - BLOCK + 2, BLOCK)
    outside = [first for first in every if first + BLOCK <= low or first > high]
    return outside or list(every)


class PortBlock:
    """A claimed block: `ports` are free, and no other process claims them until it is closed. A context manager."""

    def __init__(self, claim: socket.socket, ports: tuple[int, ...]) -> None:
        self._claim = claim
        self.ports = ports

    def __enter__(self) -> PortBlock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give up the claim; from then on a port is protected only while a program listens on it."""
        self._claim.close()


def claim_block(first_choice: int) -> PortBlock:
    """A free block: the one at `first_choice`, a number of any size, or the next after it. Raises NoPortsError."""
    candidates = blocks(outgoing_range())
    start = first_choice % len(candidates)
    for first in candidates[start:] + candidates[:start]:
        if block := _claimed(first):
            return block
    raise NoPortsError(f"no {BLOCK} ports in a row are free from {candidates[0]} to {candidates[-1] + BLOCK - 1}")


def _claimed(first: int) -> PortBlock | None:
    try:
        claim = socket.create_server(("127.0.0.1", first))
    except OSError:
        return None
    ports = tuple(range(first + 1, first + BLOCK))
    try:
        with ExitStack() as listeners:
            for port in ports:
                listeners.enter_context(socket.create_server(("127.0.0.1", port)))
    except OSError:
        claim.close()
        return None
    return PortBlock(claim, ports)


class _Reserve:
    """Single ports from blocks that this process claims and keeps until it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: list[PortBlock] = []
        self._left: list[int] = []

    def take(self) -> int:
        """A port that is free now and that this process has not allocated before."""
        with self._lock:
            while True:
                if not self._left:
                    self._blocks.append(claim_block(os.getpid()))
                    self._left = list(self._blocks[-1].ports)
                port = self._left.pop(0)
                with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                    return port


_RESERVE: Final = _Reserve()


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A port for each name, all different; they are free now and reserved for this process until it ends."""
    return {name: _RESERVE.take() for name in names}
