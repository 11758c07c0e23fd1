"""When a service answers: an accepted connection is not enough, as Docker accepts those of a published port itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.waiting import answers, wait_for

CLOSED, VERSIONS = b"", b"\0\0\0\x0a" + b"\0\0\0\x01" + b"\0\0" + b"\0\0\0\0"
"""An answer of nothing, and Kafka's to ApiVersions: its length, the correlation id, no error, no versions."""


@contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """The address of a server that answers one request so, and ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize(
    ("scheme", "answer", "is_ready"),
    [
        ("kafka", VERSIONS, True),
        ("kafka", CLOSED, False),
        ("postgresql", b"R\0\0\0\x0c", True),  # requests a password
        ("postgresql", b"E\0\0\0\x0c", False),  # starts up
        ("postgresql", CLOSED, False),
    ],
)
def test_a_service_answers_in_its_own_protocol(scheme: str, answer: bytes, is_ready: bool) -> None:
    with listening(answer) as address:
        assert answers(f"{scheme}://{address}") is is_ready


@pytest.mark.parametrize("scheme", ["tcp", "kafka", "postgresql", "http"])
def test_nothing_answers_at_a_port_without_a_server(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
    assert not answers(address)


def test_an_empty_address_answers() -> None:
    assert answers("")


def test_a_wait_that_is_over_names_what_it_was_for() -> None:
    with pytest.raises(TimeoutError, match=r"waited 0 s for the broker"):
        wait_for("the broker", lambda: False, 0, 0)
