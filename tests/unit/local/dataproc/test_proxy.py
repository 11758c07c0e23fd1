"""The way from Google's own client of Dataproc to the stand-in: names, certificate, and what the proxy refuses."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.dataproc.proxy import AUTHORITY_FILE, Proxy, certificate_in

NAME = "europe-west1-dataproc.googleapis.com"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a proxy in front of a TLS server that sends back what it receives, once."""
    certificate = certificate_in(tmp_path)
    (tmp_path / "server.pem").write_bytes(certificate.key + certificate.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            with context.wrap_socket(server.accept()[0], server_side=True) as connection:
                connection.sendall(connection.recv(100))

        threading.Thread(target=echo, daemon=True).start()
        with Proxy(0, server.getsockname()[1]) as proxy:
            proxy.start()
            yield proxy.server_address[1]
            proxy.shutdown()


def connect(port: int, target: str) -> tuple[socket.socket, bytes]:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    return connection, connection.recv(100)


def test_a_client_that_trusts_the_authority_reaches_the_server_under_dataprocs_name(port: int, tmp_path: Path) -> None:
    connection, answer = connect(port, f"{NAME}:443")
    assert answer == b"HTTP/1.1 200 OK\r\n\r\n"
    context = ssl.create_default_context(cafile=str(tmp_path / AUTHORITY_FILE))
    with context.wrap_socket(connection, server_hostname=NAME) as secure:
        secure.sendall(b"hello")
        assert secure.recv(100) == b"hello"


@pytest.mark.parametrize("target", ["example.com:443", "storage.googleapis.com:443", f"{NAME}:80"])
def test_no_other_address_is_reached(port: int, target: str) -> None:
    connection, answer = connect(port, target)
    with connection:
        assert answer == b"HTTP/1.1 403 Forbidden\r\n\r\n"


def test_a_client_that_has_read_the_authority_trusts_the_server_after_its_restart(tmp_path: Path) -> None:
    assert certificate_in(tmp_path) == certificate_in(tmp_path)
