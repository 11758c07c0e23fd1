"""What an API does otherwise than the discovery documents say. Imported by the files of the rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.control_plane.call import Call
from local.control_plane.world import Answer, Refused, Resource

Handler = Callable[[Call], Answer]
Completion = Callable[[Call, Resource, str], None]
Condition = Callable[[Call, Resource], Any]
Identity = Callable[[Call, Resource], tuple[str, Resource]]


@dataclass(slots=True)
class Rules:
    """Rules of one API or, merged, of all.

    `handlers`: methods that are no plain create, read, update, list or delete, by id. `completions`: set the defaults
    of a collection's resources. `identities`: the key of a new resource, where it is not the usual one. `names`: the
    pattern of a new resource's name by method. `conditions`: by collection, (what is wrong, whether it is), of created
    and changed resources alike.
    """

    handlers: dict[str, Handler] = field(default_factory=dict)
    completions: dict[str, Completion] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, list[tuple[str, Condition]]] = field(default_factory=dict)

    def handles(self, *methods: str) -> Callable[[Handler], Handler]:
        """Declare the function that carries out these methods."""

        def declare(handler: Handler) -> Handler:
            self.handlers.update(dict.fromkeys(methods, handler))
            return handler

        return declare

    def completes(self, *collections: str) -> Callable[[Completion], Completion]:
        """Declare the function that sets the server's defaults in resources of these collections."""

        def declare(completion: Completion) -> Completion:
            self.completions.update(dict.fromkeys(collections, completion))
            return completion

        return declare

    def identifies(self, *methods: str) -> Callable[[Identity], Identity]:
        """Declare the function that returns the key, and the resource, of a request to create one."""

        def declare(identity: Identity) -> Identity:
            self.identities.update(dict.fromkeys(methods, identity))
            return identity

        return declare

    def refuses(self, collection: str, complaint: str, is_wrong: Condition) -> None:
        """Declare a condition under which the API refuses a resource of `collection` with `complaint`."""
        self.conditions.setdefault(collection, []).append((complaint, is_wrong))

    def include(self, other: Rules) -> None:
        """Add the rules of an API."""
        self.handlers.update(other.handlers)
        self.completions.update(other.completions)
        self.identities.update(other.identities)
        self.names.update(other.names)
        self.conditions.update(other.conditions)

    def identity(self, call: Call, resource: Resource) -> tuple[str, Resource]:
        """The key of a new resource: most APIs take its id from the query, some from the body."""
        if declared := self.identities.get(call.method.id):
            return declared(call, resource)
        ids = [value for name, value in call.query.items() if name.endswith("Id") and name != "requestId"]
        name = ids[0] if ids else (resource.get("name") or call.world.next_number()).rpartition("/")[2]
        return f"{call.key}/{name}", resource

    def require(self, call: Call, name: str, resource: Resource) -> None:
        """Refuse a resource whose name or content the API would refuse."""
        pattern = self.names.get(call.method.id)
        if pattern and not re.fullmatch(pattern, name):
            raise Refused(400, f"Invalid resource name '{name}': must match {pattern}")
        for complaint, is_wrong in self.conditions.get(call.method.collection, ()):
            if is_wrong(call, resource):
                raise Refused(400, complaint)
