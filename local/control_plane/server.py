"""Serves the control plane on 127.0.0.1 as an HTTPS proxy, so that clients need no endpoint of ours.

Imported by `local.control_plane.__main__` and by tests. A client is led here by `client_environ`; every host that it
connects to is answered by the stand-in, and none is reached.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO

from local.control_plane.certificates import write_certificate
from local.control_plane.service import ControlPlane, Request
from local.control_plane.world import Answer, Refused

_HOSTS: Final = ["*.googleapis.com"]


class ControlPlaneServer(ThreadingHTTPServer):
    """The proxy; a context manager, which serves in a thread.

    `folder`: for its certificate. `log`: gets a line for each refused request and for each fault of the stand-in.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, plane: ControlPlane, folder: Path, port: int = 0, log: TextIO = sys.stderr) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.plane = plane
        self.log = log
        self.certificate, key = write_certificate(folder, _HOSTS)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.certificate, key)

    def client_environ(self) -> dict[str, str]:
        """The variables that lead Terraform's provider to the stand-in; they hold no credential."""
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.server_port}",
            "NO_PROXY": "127.0.0.1,localhost",
            "SSL_CERT_FILE": str(self.certificate),
            "GOOGLE_OAUTH_ACCESS_TOKEN": "stand-in",
            "GOOGLE_APPLICATION_CREDENTIALS": "",
        }

    def __enter__(self) -> ControlPlaneServer:
        threading.Thread(target=self.serve_forever, name="control plane", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close their connection early."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc(file=self.log)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ControlPlaneServer
    _host = ""

    def do_CONNECT(self) -> None:
        """Become the host that the client connects to."""
        self._host = self.path.partition(":")[0]
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.wfile.flush()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def _serve(self) -> None:
        content = self._content()
        host = self._host or self.headers.get("Host", "").partition(":")[0]
        request = Request.of(host, self.command, self.path, dict(self.headers.items()), content)
        try:
            self._send(200, self.server.plane.answer(request))
        except Refused as error:
            self._log(error.code, error.message)
            self._send(error.code, error.body(), error.retry_after_s)
        except Exception as error:  # noqa: BLE001  # a fault of the stand-in must not look like an answer of Google
            traceback.print_exc(file=self.server.log)
            self._send(501, Refused(501, f"a fault of the stand-in: {error!r}").body())

    def _content(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, code: int, answer: Answer, retry_after_s: int | None = None) -> None:
        is_content = isinstance(answer, bytes)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/octet-stream" if is_content else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if retry_after_s is not None:
            self.send_header("Retry-After", str(retry_after_s))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _log(self, code: int, message: str) -> None:
        line = {"code": code, "verb": self.command, "host": self._host, "path": self.path, "message": message}
        self.server.log.write(json.dumps(line) + "\n")
        self.server.log.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Log nothing of requests that succeed."""

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815  # the base class names them so
