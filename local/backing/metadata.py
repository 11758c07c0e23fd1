"""Google's metadata server of a stack: default credentials and ID tokens without a cloud account.

`python -m local.backing.metadata --port=PORT --project=NAME` serves it. A stack's variables lead every Google client
here, so that each takes the path that it takes on Cloud Run, Composer and Dataproc. Imported by `local.stack`, which
starts it so, and by tests.
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

from local.backing.interface import PROJECT, BackingService, Place, ServiceSpec, module_command

ROOT: Final = "/computeMetadata/v1"
ACCOUNT: Final = "local"
"""Name of the service account. It is no e-mail address, since google-auth looks up the regions of an address at
iamcredentials.googleapis.com."""

TOKEN_SECONDS: Final = 3599
ISSUER: Final = "https://accounts.google.com"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


def _processes(place: Place) -> list[ServiceSpec]:
    command = module_command("local.backing.metadata", f"--port={place.ports['metadata']}", f"--project={PROJECT}")
    return [ServiceSpec("metadata", command, f"{place.url('metadata')}{ROOT}/project/project-id", is_store=True)]


def _client_environ(place: Place) -> dict[str, str]:
    no_configuration = place.home / "no-gcloud-configuration"
    return {
        # google-auth probes ..._IP and sends requests to ..._HOST; google-cloud-cpp (pyarrow's GcsFileSystem) uses
        # ..._ROOT.
        "GCE_METADATA_HOST": place.address("metadata"),
        "GCE_METADATA_IP": place.address("metadata"),
        "GCE_METADATA_ROOT": place.address("metadata"),
        # Both libraries prefer the user's own credentials; the last is google-cloud-cpp's variable for them.
        "GOOGLE_APPLICATION_CREDENTIALS": "",
        "CLOUDSDK_CONFIG": str(no_configuration),
        "GOOGLE_GCLOUD_ADC_PATH_OVERRIDE": str(no_configuration / "credentials.json"),
    }


METADATA: Final = BackingService(("metadata",), _processes, _client_environ)


def answer(path: str, query: Mapping[str, list[str]], project: str, now: int) -> str | dict[str, Any] | None:
    """The server's answer at `path` at `now` (Unix seconds): text, a JSON object, or None where there is no page.

    Every name of a service account stands for the only one there is.
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

    request_queue_size = 128  # all workers of a batch connect at the same moment
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
        """Log nothing, since an access log would hide the lines that matter."""


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
