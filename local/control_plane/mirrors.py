"""The emulators that hold data: what the control plane accepts for a bucket, table or topic is done there, too.

Imported by `local.control_plane.service`. The control plane keeps every resource as it was described; an emulator gets
what it has a use for, so that the pipeline's own clients find there what Terraform made.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from local.control_plane.call import Call
from local.control_plane.world import Answer, Refused, Resource

_KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    "storage.buckets.insert": ("name",),
    "storage.buckets.delete": (),
    "bigquery.datasets.insert": ("datasetReference", "location"),
    "bigquery.datasets.delete": (),
    "bigquery.tables.insert": ("tableReference", "schema", "timePartitioning", "clustering", "view"),
    "bigquery.tables.update": ("tableReference", "schema", "timePartitioning", "clustering", "view"),
    "bigquery.tables.delete": (),
    "pubsub.projects.topics.create": ("name",),
    "pubsub.projects.topics.delete": (),
    "pubsub.projects.subscriptions.create": (
        *("name", "topic", "ackDeadlineSeconds", "filter", "deadLetterPolicy", "retryPolicy"),
        "messageRetentionDuration",
    ),
    "pubsub.projects.subscriptions.delete": (),
}
"""The methods that are repeated at an emulator, and the fields of their body that it gets."""

_FORWARDED: Final = ("storage.objects.",)
"""Methods that an emulator alone carries out."""

_TIMEOUT_S: Final = 60


class Mirrors:
    """The emulators by the host of their API, such as `storage.googleapis.com`, with their addresses."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = dict(addresses)

    def forwards(self, call: Call) -> bool:
        """Whether an emulator alone answers the call."""
        return call.method.host in self._addresses and call.method.id.startswith(_FORWARDED)

    def forward(self, call: Call, headers: Mapping[str, str]) -> Answer:
        """The emulator's own answer to a call. Raises Refused as the emulator does."""
        is_upload = call.method.verb == "POST" and "uploadType" in call.query
        path = f"/{'upload/' if is_upload else ''}{call.path}"
        return self._send(call, path, call.content, headers.get("Content-Type", "application/json"))

    def repeat(self, call: Call) -> None:
        """Do at the emulator what the control plane has accepted. Raises Refused as the emulator does."""
        fields = _KEPT.get(call.method.id)
        if fields is None or call.method.host not in self._addresses:
            return
        body = {name: value for name, value in (call.body or {}).items() if name in fields and value}
        verb_body = json.dumps(body).encode() if call.method.verb in ("POST", "PUT", "PATCH") else b""
        path = f"/{call.path}"
        if call.method.id == "bigquery.datasets.delete":
            call.query = {"deleteContents": "true"}
        self._send(call, path, verb_body, "application/json")

    def _send(self, call: Call, path: str, content: bytes, content_type: str) -> Answer:
        address = urlsplit(self._addresses[call.method.host])
        query = f"?{urlencode(call.query)}" if call.query else ""
        connection = http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT_S)
        try:
            connection.request(call.method.verb, path + query, content, {"Content-Type": content_type})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            message = text.decode(errors="replace")[:500]
            raise Refused(response.status, f"the emulator of {call.method.host}: {message}")
        if call.query.get("alt") == "media":
            return text
        answer: Resource = json.loads(text or b"{}")
        return answer
