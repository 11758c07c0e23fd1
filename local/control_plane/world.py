"""What the stand-in keeps: resources, IAM policies and secret payloads of one project; and the error of a request.

Imported by the other modules of `local.control_plane`.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

Resource = dict[str, Any]
"""A resource, or a part of one, as the API's JSON has it."""

Answer = Resource | bytes
"""The answer to a request: JSON, or the content of an object."""

PROJECT: Final = "demo-project"
PROJECT_NUMBER: Final = "123456789012"

_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


class Refused(Exception):  # noqa: N818  # it is an answer, not a fault of the stand-in
    """A request is answered with an error of the API.

    `code`: the HTTP status. `reason`: as Google's JSON has it. `retry_after_s`: the header Retry-After, None for none.
    """

    def __init__(self, code: int, message: str, reason: str = "invalid", *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.retry_after_s = retry_after_s

    def body(self) -> Resource:
        """The error in the shape that every Google API shares."""
        detail = {"message": self.message, "reason": self.reason, "domain": "global"}
        status = _STATUS.get(self.code, "UNKNOWN")
        return {"error": {"code": self.code, "message": self.message, "status": status, "errors": [detail]}}


@dataclass(slots=True)
class World:
    """All that the stand-in keeps.

    `resources`: by key, which is `<host>/<version>/<name>`, such as `pubsub.googleapis.com/v1/projects/p/topics/t`.
    `policies`: IAM policies by the key of their resource. `payloads`: the payloads of secret versions by key; they are
    in no resource and in no log. `contents`: the bytes of stored objects by key. `polls`: how often a client finds an
    operation unfinished before it is done. `failing`: the errors with which the next operations end, by the method that
    begins them; what it demands is not carried out.
    """

    project: str = PROJECT
    number: str = PROJECT_NUMBER
    polls: int = 0
    resources: dict[str, Resource] = field(default_factory=dict)
    policies: dict[str, Resource] = field(default_factory=dict)
    payloads: dict[str, Resource] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    unfinished: dict[str, int] = field(default_factory=dict)
    failing: dict[str, Refused] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1_000_000_001))

    def next_number(self) -> str:
        """A number that no resource has yet, as text."""
        return str(next(self._numbers))

    def below(self, key: str) -> list[Resource]:
        """The resources directly below a collection's key."""
        return [item for name, item in self.resources.items() if name.rpartition("/")[0] == key]

    def remove(self, key: str) -> None:
        """Remove a resource, all below it, and their policies."""
        for name in [name for name in self.resources if name == key or name.startswith(f"{key}/")]:
            del self.resources[name]
            self.policies.pop(name, None)
            self.payloads.pop(name, None)
            self.contents.pop(name, None)
        self.policies.pop(key, None)


def now() -> str:
    """The present time as Google's JSON has it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def with_defaults(resource: Resource, **values: Any) -> Resource:
    """Set the fields that `resource` lacks, and return it."""
    for name, value in values.items():
        resource.setdefault(name, value)
    return resource


def strings_in(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys of objects aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)
