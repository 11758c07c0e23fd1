"""Leads Google's own clients to the batch API here: a proxy for `CONNECT`, and a certificate for Dataproc's names.

Airflow's hook dials REGION-dataproc.googleapis.com, without a setting for another address. gRPC takes the proxy from
`grpc_proxy` and the authority from `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`, so nothing of Airflow is changed. Imported by
__main__.py.
"""

from __future__ import annotations

import datetime as dt
import re
import socket
import socketserver
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AUTHORITY_FILE: Final = "authority.pem"
"""File of the authority's certificate, in the folder of the stand-in."""

_SERVER_FILES: Final = ("server.key.pem", "server.pem")
"""The server's key and certificate. They are kept, since a client that runs on has read the authority's once."""

NAMES: Final = "*.googleapis.com"

_VALID: Final = dt.timedelta(days=365)
_RENEWED: Final = dt.timedelta(days=30)
"""Time before its end at which a certificate is made anew."""
_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Certificate:
    """The key and the certificate of a server, as PEM."""

    key: bytes
    chain: bytes


def certificate_in(folder: Path) -> Certificate:
    """The certificate for NAMES in `folder`, where also that of its authority is; made if there is none."""
    now = dt.datetime.now(dt.UTC)
    if (folder / AUTHORITY_FILE).exists():
        authority = x509.load_pem_x509_certificate((folder / AUTHORITY_FILE).read_bytes())
        if now + _RENEWED < authority.not_valid_after_utc:
            return Certificate(*((folder / name).read_bytes() for name in _SERVER_FILES))
    return _made(folder, now)


def _made(folder: Path, now: dt.datetime) -> Certificate:
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name, name = _named("authority of the local Dataproc"), _named("local Dataproc")

    def signed(subject: x509.Name, public_key: Any, extension: x509.ExtensionType, critical: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + _VALID)
            .add_extension(extension, critical=critical)
        )
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    constraints = x509.BasicConstraints(ca=True, path_length=0)
    authority = signed(authority_name, authority_key.public_key(), constraints, True)
    names = x509.SubjectAlternativeName([x509.DNSName(NAMES)])
    chain = signed(name, key.public_key(), names, False) + authority
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / _SERVER_FILES[0]).touch(mode=0o600)
    for file, content in zip((*_SERVER_FILES, AUTHORITY_FILE), (private, chain, authority), strict=True):
        (folder / file).write_bytes(content)
    return Certificate(private, chain)


class Proxy(socketserver.ThreadingTCPServer):
    """Answers `CONNECT` on 127.0.0.1 at `port`: Dataproc's names lead to `target`, others nowhere."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, target: int) -> None:
        super().__init__(("127.0.0.1", port), _Connect)
        self.target = target

    def start(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Connect(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        request = self.rfile.readline(1024)
        while self.rfile.readline(1024).strip():
            pass
        if not re.fullmatch(rb"CONNECT [a-z0-9-]+-dataproc\.googleapis\.com:443 HTTP/1\.[01]\r?\n", request):
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self.server.target)) as target:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_copy, args=(target, self.connection), daemon=True)
            back.start()
            _copy(self.connection, target)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
