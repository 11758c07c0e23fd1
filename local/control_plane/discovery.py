"""The methods of Google's APIs as their discovery documents describe them, and the route from a request to its method.

Imported by the other modules of `local.control_plane`. The documents come with the package google-api-python-client,
or lie in `documents` where it has none; https://developers.google.com/discovery/v1/reference/apis describes their form.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final
from urllib.parse import unquote, urlsplit

APIS: Final = (
    *("artifactregistry.v1", "bigquery.v2", "bigqueryreservation.v1", "billingbudgets.v1", "cloudbilling.v1"),
    *(
        "cloudfunctions.v2",
        "cloudquotas.v1",
        "cloudresourcemanager.v1",
        "cloudresourcemanager.v3",
        "cloudscheduler.v1",
        "composer.v1",
    ),
    *(
        "compute.v1",
        "dataproc.v1",
        "dns.v1",
        "iam.v1",
        "iap.v1",
        "logging.v2",
        "monitoring.v1",
        "monitoring.v3",
        "pubsub.v1",
    ),
    *("run.v2", "secretmanager.v1", "servicenetworking.v1", "serviceusage.v1", "serviceusage.v1beta1"),
    *("sqladmin.v1beta4", "storage.v1", "workflows.v1"),
)
"""The documents of the APIs that the stand-in serves."""

_VARIABLE: Final = re.compile(r"\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Method:
    """A method of an API.

    `id`: such as `pubsub.projects.topics.create`. `path`: its address with one variable for each segment. `named_path`:
    the address as documented, where a variable may span several segments. `version`: the beginning of the address that
    is no part of a resource's name. `response`: the name of the answer's schema, empty where there is none.
    """

    api: str
    host: str
    id: str
    verb: str
    path: str
    named_path: str
    version: str
    parameters: Mapping[str, Any]
    request: Mapping[str, Any] | None
    response: str
    schemas: Mapping[str, Any]

    @property
    def call(self) -> str:
        """The last word of the method's id, such as `create`."""
        return self.id.rpartition(".")[2]

    @property
    def collection(self) -> str:
        """The id without its last word, such as `pubsub.projects.topics`."""
        return self.id.rpartition(".")[0]

    @property
    def response_fields(self) -> Mapping[str, Any]:
        """The fields of the answer's schema."""
        fields: Mapping[str, Any] = self.schemas.get(self.response, {}).get("properties", {})
        return fields

    @property
    def answers_by_operation(self) -> bool:
        """Whether the answer is a long-running operation instead of the resource."""
        return bool({"done", "operationType"} & set(self.response_fields))

    @property
    def resource_schema(self) -> Mapping[str, Any]:
        """The schema of the resource: the answer's or, where that is an operation, the request's."""
        if self.answers_by_operation:
            return self.request or {}
        schema: Mapping[str, Any] = self.schemas.get(self.response, {})
        return schema

    def arguments(self, path: str) -> dict[str, str] | None:
        """The variables of a request's path, one a segment; None when it is not of this method."""
        return _variables(self.path, path)

    def documented_arguments(self, path: str) -> dict[str, str] | None:
        """The variables of a request's path by their documented names."""
        return _variables(self.named_path, path)


class Catalogue:
    """Every method of the APIs, and the route to it."""

    def __init__(self, apis: tuple[str, ...] = APIS) -> None:
        self._methods: dict[tuple[str, str], list[Method]] = {}
        for name in apis:
            for method in _methods_of(name.partition(".")[0], _document(name)):
                self._methods.setdefault((method.host, method.verb), []).append(method)
        for found in self._methods.values():
            found.sort(key=_precedence)

    @property
    def hosts(self) -> set[str]:
        """The hosts of the APIs."""
        return {host for host, _ in self._methods}

    def route(self, host: str, verb: str, path: str) -> Method | None:
        """The method that answers a request.

        A few documents give one segment for a name that has several, so the documented form is tried as well.
        """
        found = self._methods.get((host, verb), ())
        exact = (item for item in found if item.arguments(path) is not None)
        return next(exact, None) or next((item for item in found if item.documented_arguments(path) is not None), None)

    def operation_getters(self, method: Method) -> list[Method]:
        """The methods by which clients read the operations of `method`'s API."""
        found = self._methods.get((method.host, "GET"), ())
        return [item for item in found if item.id.endswith("operations.get") and item.schemas is method.schemas]


def _document(name: str) -> Mapping[str, Any]:
    own = files(__package__) / "documents" / f"{name}.json"  # of an API that the package has no document of
    path = own if own.is_file() else files("googleapiclient") / "discovery_cache" / "documents" / f"{name}.json"
    document: Mapping[str, Any] = json.loads(path.read_bytes())
    return document


def _methods_of(api: str, document: Mapping[str, Any]) -> Iterator[Method]:
    base = document.get("servicePath") or ""
    for entry in _entries(document):
        path = base + (entry.get("flatPath") or entry["path"])
        yield Method(
            api=api,
            host=urlsplit(document["rootUrl"]).netloc,
            id=entry["id"],
            verb=entry["httpMethod"],
            path=path,
            named_path=base + entry["path"],
            version=base or path.partition("{")[0].partition("/")[0] + "/",
            parameters={**document.get("parameters", {}), **entry.get("parameters", {})},
            request=document["schemas"].get(entry.get("request", {}).get("$ref")),
            response=entry.get("response", {}).get("$ref", ""),
            schemas=document["schemas"],
        )


def _entries(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from part.get("methods", {}).values()
    for resource in part.get("resources", {}).values():
        yield from _entries(resource)


def _precedence(method: Method) -> tuple[int, int]:
    """Methods with more literal text are tried first, so that `{name}:verb` goes before `{name}`."""
    return -len(_VARIABLE.sub("", method.path)), method.path.count("{")


def _variables(template: str, path: str) -> dict[str, str] | None:
    match = _expression(template).fullmatch(path)
    return {name: unquote(value) for name, value in match.groupdict().items()} if match else None


@functools.cache
def _expression(template: str) -> re.Pattern[str]:
    parts = _VARIABLE.split(template)
    variables = (f"(?P<{name.strip('+*')}>{'.+' if name[0] == '+' else '[^/]+'})" for name in parts[1::2])
    return re.compile("".join(re.escape(text) + next(variables, "") for text in parts[::2]))
