"""From a request to its answer: route, check, carry out, repeat at an emulator; and what was requested, for tests.

Imported by `local.control_plane.server` and by tests.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from local.control_plane.call import Call
from local.control_plane.checking import request_faults
from local.control_plane.discovery import Catalogue
from local.control_plane.lifecycle import carry_out
from local.control_plane.mirrors import Mirrors
from local.control_plane.rules.project import require_enabled
from local.control_plane.world import Answer, Refused, World

STORAGE: Final = "storage.googleapis.com"
_SECRET_METHODS: Final = ("secretmanager.projects.secrets.addVersion", "sql.users.insert", "sql.users.update")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request of a client. `path` without its leading slash. `headers` by names such as Content-Type."""

    host: str
    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes

    @classmethod
    def of(cls, host: str, verb: str, target: str, headers: Mapping[str, str], content: bytes) -> Request:
        """The request for `target`, a path with a query, at `host`."""
        parts = urlsplit(target)
        path = parts.path.removeprefix("/").removeprefix("upload/").removeprefix("download/")
        pairs = parse_qs(parts.query, keep_blank_values=True)
        query = {re.sub(r"_(\w)", lambda match: match[1].upper(), name): values[-1] for name, values in pairs.items()}
        host = _API_HOSTS.get(host, host)
        if host == STORAGE and not path.startswith("storage/"):  # an object's content by the XML API: BUCKET/OBJECT
            bucket, _, name = path.partition("/")
            path, query = f"storage/v1/b/{bucket}/o/{quote(unquote(name), safe='')}", {**query, "alt": "media"}
        return cls(host, verb, path, query, {name.title(): value for name, value in headers.items()}, content)


_API_HOSTS: Final = {"www.googleapis.com": STORAGE}
"""Other names of the hosts in the discovery documents."""


class ControlPlane:
    """Answers the requests of one client after the other, so that each sees a whole world.

    `requests`: the methods that changed something, in order, with their body; secrets left out. `refusals`: answers in
    the place of the next calls, whatever they demand, the first one first.
    """

    def __init__(self, world: World, catalogue: Catalogue, mirrors: Mirrors) -> None:
        self.world = world
        self.requests: list[tuple[str, Any]] = []
        self.refusals: list[Refused] = []
        self._catalogue = catalogue
        self._mirrors = mirrors
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """The answer to a request. Raises Refused."""
        host = _regional(request.host)
        method = self._catalogue.route(host, request.verb, request.path)
        if method is None:
            raise Refused(404, f"no method of {host} answers {request.verb} {request.path}", "notFound")
        body = _json_body(request)
        if faults := request_faults(method, request.path, request.query, body):
            raise Refused(400, "; ".join(faults))
        call = Call(self.world, self._catalogue, method, request.path, dict(request.query), body, request.content)
        with self._lock:
            if self.refusals:
                raise self.refusals.pop(0)
            require_enabled(call)
            if self._mirrors.forwards(call):
                answer = self._mirrors.forward(call, request.headers)
                self._record(call, answer)
            else:
                earlier = set(self.world.resources)
                answer = copy.deepcopy(carry_out(call))
                try:
                    self._mirrors.repeat(call)
                except Refused:
                    for name in [name for name in self.world.resources if name not in earlier]:
                        self.world.remove(name)
                    raise
            if request.verb != "GET":
                self.requests.append((method.id, None if method.id in _SECRET_METHODS else body))
        return answer

    def _record(self, call: Call, answer: Answer) -> None:
        """Keep what an emulator has stored or deleted, as other resources refer to it."""
        if call.method.call == "insert" and isinstance(answer, dict):
            call.store(f"{call.key}/{answer['name']}", answer)
        elif call.method.call == "delete":
            self.world.remove(call.key)


def _json_body(request: Request) -> Any:
    kind = request.headers.get("Content-Type", "")
    if not request.content or "json" not in kind or request.query.get("uploadType") == "media":
        return None
    try:
        return json.loads(request.content)
    except ValueError as error:
        raise Refused(400, "Invalid JSON payload received.") from error


def _regional(host: str) -> str:
    """The host of an API, whose regional endpoints answer the same methods."""
    return re.sub(r"^[a-z]+-[a-z]+\d+-(?=[a-z]+\.googleapis)", "", host)
