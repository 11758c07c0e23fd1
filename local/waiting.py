"""Waits for a condition until a deadline, and finds out whether a service answers.

Imported by the rest of `local` and by tests. Standard library only.
"""

from __future__ import annotations

import socket
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

_T = TypeVar("_T")


def wait_for(what: str, condition: Callable[[], _T | None], seconds: float = 30, pause: float = 0.05) -> _T:
    """The first true value of `condition`. Raises TimeoutError with the text `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(pause)
    return value


def answers(address: str) -> bool:
    """True when `address` answers now, and for an empty address.

    An http:// address answers with status 2xx, a tcp:// address accepts a connection, a postgresql:// address requests
    authentication, and a kafka:// address lists the versions of its API.
    """
    if not address:
        return True
    parts = urlsplit(address)
    try:
        if parts.scheme in ("tcp", "postgresql", "kafka"):
            with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2) as connection:
                if parts.scheme == "tcp":
                    return True
                takes = _postgres_takes_sessions if parts.scheme == "postgresql" else _kafka_takes_requests
                return takes(connection)
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310  # our own address
            return True
    except (OSError, urllib.error.URLError):
        return False


def _postgres_takes_sessions(connection: socket.socket) -> bool:
    # Postgres accepts connections before it can serve them. It answers the start of a session, version 3.0, with a
    # request to authenticate (R), or with an error (E) while it starts or recovers.
    words = struct.pack("!I", 3 << 16) + b"user\0ready\0\0"
    connection.sendall(struct.pack("!I", len(words) + 4) + words)
    return connection.recv(1024)[:1] == b"R"


def _kafka_takes_requests(connection: socket.socket) -> bool:
    # Docker accepts connections on a published port before the program in the container listens. ApiVersions (18),
    # version 0, correlation id 1, no client id; the answer repeats the correlation id after its length.
    request = struct.pack("!hhih", 18, 0, 1, -1)
    connection.sendall(struct.pack("!i", len(request)) + request)
    return connection.recv(1024)[4:8] == struct.pack("!i", 1)
