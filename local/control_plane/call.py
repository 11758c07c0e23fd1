"""One request as the rules of the APIs see it. Imported by the other modules of `local.control_plane`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from local.control_plane.discovery import Catalogue, Method
from local.control_plane.world import Refused, Resource, World


@dataclass(slots=True)
class Call:
    """A request that has passed the check of its schema.

    `key`: the key in the world of what the path names. `arguments`: the variables of the path, one a segment.
    `content`: the request's bytes, `body` what they hold as JSON.
    """

    world: World
    catalogue: Catalogue
    method: Method
    path: str
    query: Mapping[str, str]
    body: Any
    content: bytes
    key: str = field(init=False)
    arguments: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        name = self.path.removeprefix(self.method.version)
        if self.method.api != "storage":  # a verb such as `:setIamPolicy`; names of objects may have a colon
            name = name.partition(":")[0]
        self.key = f"{self.method.host}/{self.method.version}{unquote(name)}"
        self.arguments = self.method.arguments(self.path) or {}

    @property
    def project(self) -> str:
        """The project that the path names, by default the only one."""
        match = re.search(r"projects/([^/:]+)", self.path)
        return match[1] if match else self.world.project

    @property
    def link(self) -> str:
        """The name of the call's key without host and version."""
        return self.key.partition("/")[2].removeprefix(self.method.version)

    def existing(self, key: str | None = None) -> Resource:
        """The resource of a key, by default the call's own. Raises Refused (404)."""
        key = key or self.key
        if key not in self.world.resources:
            raise Refused(404, f"Resource '{key.partition('/')[2]}' was not found", "notFound")
        return self.world.resources[key]

    def store(self, key: str, resource: Resource) -> Resource:
        """Keep a resource at `key` and return it."""
        self.world.resources[key] = resource
        return resource
