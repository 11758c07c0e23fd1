"""Google's metadata server on one machine: default credentials and ID tokens without a cloud account.

    python -m local.backing.metadata --port=PORT --project=NAME

The environment of `Stack.environ` leads every Google client here, so that each takes the path that it takes on
Cloud Run, Composer and Dataproc. Started by a stack; imported by tests only.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import signal
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

ROOT: Final = "/computeMetadata/v1"
ACCOUNT: Final = "local"
"""The service account. Not an address: for one, google-auth asks iamcredentials.googleapis.com for its regions."""

TOKEN_SECONDS: Final = 3599
ISSUER: Final = "https://accounts.google.com"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


def answer(path: str, query: Mapping[str, list[str]], project: str, now: int) -> str | dict[str, Any] | None:
    """What the server says at `path` at `now` (Unix seconds): text, a JSON object, or None when there is no such page.

    Any name of a service account means the only one there is.
    """
    page = path.removeprefix(ROOT).strip("/")
    if account := re.fullmatch(r"instance/service-accounts/[^/]+(?:/(.+))?", page):
        return _account(account[1] or "", query, now)
    return {
        "": "instance/\nproject/\n",
        "project/project-id": project,
        "project/numeric-project-id": "1",
        "universe/universe-domain": "googleapis.com",
    }.get(page)


def _account(page: str, query: Mapping[str, list[str]], now: int) -> str | dict[str, Any] | None:
    if page == "identity" and (audience := query.get("audience")):
        lifetime = {"iat": now, "exp": now + TOKEN_SECONDS}
        return _unsigned_jwt({"iss": ISSUER, "aud": audience[0], "sub": "1", "email": ACCOUNT, **lifetime})
    pages: dict[str, str | dict[str, Any]] = {
        "": {"aliases": ["default"], "email": ACCOUNT, "scopes": [SCOPE]},
        "email": ACCOUNT,
        "token": {"access_token": "local", "expires_in": TOKEN_SECONDS, "token_type": "Bearer"},
    }
    return pages.get(page)


def _unsigned_jwt(claims: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signature = base64.urlsafe_b64encode(b"not signed").rstrip(b"=").decode()
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}.{signature}"


class MetadataServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1 at `port` and answers for `project`."""

    request_queue_size = 128  # a batch's workers all ask at the same moment
    daemon_threads = True

    def __init__(self, port: int, project: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.project = project


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MetadataServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        found = answer(url.path, parse_qs(url.query), self.server.project, int(time.time()))
        if found is None:
            self._send(404, "text/plain", f"no such metadata: {self.path}\n")
        elif isinstance(found, str):
            self._send(200, "text/plain", found)
        else:
            self._send(200, "application/json", json.dumps(found))

    def _send(self, status: int, content_type: str, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Nothing: an access log would drown what matters."""


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Google's metadata server on one machine.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--project", required=True)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    MetadataServer(options.port, options.project).serve_forever()


if __name__ == "__main__":
    main()
