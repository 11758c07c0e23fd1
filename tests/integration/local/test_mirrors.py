"""What the control plane's stand-in accepts for a bucket is done at an emulator, too; what that refuses is undone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from local.control_plane import catalogues
from local.control_plane.mirrors import Mirrors
from local.control_plane.service import ControlPlane
from local.control_plane.world import PROJECT, Refused, World
from tests.support.plane_requests import catalogue, post, send

STORAGE = "storage.googleapis.com"
BUCKETS = f"/storage/v1/b?project={PROJECT}"


class Emulator(ThreadingHTTPServer):
    """Answers every request with what it got. `requests`: (verb, path, body). `refuses`: it answers 409."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, Any]] = []
        self.refuses = False


class _Handler(BaseHTTPRequestHandler):
    server: Emulator

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
        self.server.requests.append((self.command, self.path, body))
        content = json.dumps({"name": "f.zip", **body}).encode()
        self.send_response(409 if self.server.refuses else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_DELETE = do_POST  # noqa: N815  # the base class names it so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Log nothing."""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def plane(emulator: Emulator) -> ControlPlane:
    mirrors = Mirrors({STORAGE: f"http://127.0.0.1:{emulator.server_port}"})
    made = ControlPlane(World(), catalogue(), mirrors)
    services = {"serviceIds": sorted(catalogues.SERVICES)}
    post(made, "serviceusage.googleapis.com", f"/v1/projects/{PROJECT}/services:batchEnable", services)
    return made


def test_a_bucket_is_made_at_both(plane: ControlPlane, emulator: Emulator) -> None:
    bucket = {"name": "a-lake", "location": "europe-west1", "storageClass": "NEARLINE"}
    assert post(plane, STORAGE, BUCKETS, bucket)["storageClass"] == "NEARLINE"
    assert emulator.requests == [("POST", BUCKETS, {"name": "a-lake"})]
    send(plane, "DELETE", STORAGE, "/storage/v1/b/a-lake")
    assert emulator.requests[1:] == [("DELETE", "/storage/v1/b/a-lake", {})]


def test_a_bucket_that_the_emulator_refuses_does_not_exist(plane: ControlPlane, emulator: Emulator) -> None:
    emulator.refuses = True
    with pytest.raises(Refused, match="the emulator of storage") as refused:
        post(plane, STORAGE, BUCKETS, {"name": "a-lake"})
    assert refused.value.code == 409
    with pytest.raises(Refused, match="was not found"):
        send(plane, "GET", STORAGE, "/storage/v1/b/a-lake")


def test_objects_are_the_emulators(plane: ControlPlane, emulator: Emulator) -> None:
    post(plane, STORAGE, BUCKETS, {"name": "a-lake"})
    upload = "/upload/storage/v1/b/a-lake/o?uploadType=media&name=f.zip"
    assert post(plane, STORAGE, upload, {"a": 1}) == {"name": "f.zip", "a": 1}
    assert emulator.requests[1:] == [("POST", upload, {"a": 1})]
    with pytest.raises(Refused, match="is not empty"):
        send(plane, "DELETE", STORAGE, "/storage/v1/b/a-lake")
