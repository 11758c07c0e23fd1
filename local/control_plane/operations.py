"""Answers to requests that change something: the resource itself or, as the API has it, a long-running operation.

Imported by the other modules of `local.control_plane`.
"""

from __future__ import annotations

import re
from typing import Final

from local.control_plane.call import Call
from local.control_plane.world import Refused, Resource, now

_EMPTY: Final = ("", "Empty", "GoogleProtobufEmpty")
_INTERNAL: Final = 13
"""The code of google.rpc.Status for an error of the server."""


def answer(call: Call, resource: Resource | None, verb: str) -> Resource:
    """What `call` answers when it is carried out. `verb`: the kind of the operation, where its API names it."""
    fields = call.method.response_fields
    if "done" in fields and "response" in fields:
        return _long_running(call, resource)
    if "operationType" in fields:
        return _typed_operation(call, resource, verb)
    return {} if call.method.response in _EMPTY else (resource or {})


def failed(call: Call, error: Refused) -> Resource:
    """An operation, as google.longrunning has it, that ends with an error, and has changed nothing."""
    name = _operation_name(call)
    status = {"code": _INTERNAL, "message": error.message}
    operation = {"name": name, "done": True, "error": status}
    return _begun(call, f"{call.method.host}/{call.method.version}{name}", operation)


def progress(call: Call) -> Resource:
    """The operation that `call` reads or waits for, which is unfinished for the first reads that the world demands."""
    call.key = call.key.removesuffix("/wait")
    operation = call.existing()
    left = call.world.unfinished.get(call.key, 0)
    if not left or call.method.call == "wait":
        return operation
    call.world.unfinished[call.key] = left - 1
    if "done" in operation:
        return {**{name: value for name, value in operation.items() if name != "response"}, "done": False}
    return {**operation, "status": "RUNNING", "progress": 50}


def is_operation(call: Call) -> bool:
    """Whether `call` reads an operation."""
    return call.method.call in ("get", "wait") and "perations" in call.method.collection.rpartition(".")[2]


def _long_running(call: Call, resource: Resource | None) -> Resource:
    """An operation as google.longrunning has it."""
    operation = {
        "name": _operation_name(call),
        "done": True,
        "response": {"@type": f"type.googleapis.com/{_message(call)}", **(resource or {})},
        "metadata": {"@type": "type.googleapis.com/google.protobuf.Empty"},
    }
    return _begun(call, f"{call.method.host}/{call.method.version}{operation['name']}", operation)


def _message(call: Call) -> str:
    """The type of an operation's response. Google's own clients know a type; Terraform's provider ignores it."""
    described = (call.method.request or {}).get("id", "")
    run = re.fullmatch(r"GoogleCloudRunV2(\w+)", described)
    if run:
        return f"google.cloud.run.v2.{'Execution' if run[1] == 'RunJobRequest' else run[1]}"
    return described or "google.protobuf.Empty"


def _typed_operation(call: Call, resource: Resource | None, verb: str) -> Resource:
    """An operation as Compute Engine and Cloud SQL have it."""
    name = f"operation-{call.world.next_number()}"
    place = re.sub(r"(projects/[^/]+)(/global|/regions/[^/]+|/zones/[^/]+)?.*", r"\1\2", call.path)
    if call.method.api == "compute" and place.endswith(f"projects/{call.project}"):
        place += "/global"
    operation: Resource = {
        "kind": call.method.response_fields["kind"].get("default", "sql#operation"),
        "name": name,
        "operationType": verb,
        "status": "DONE",
        "insertTime": now(),
        "endTime": now(),
        "selfLink": f"https://{call.method.host}/{place}/operations/{name}",
        "targetLink": (resource or {}).get("selfLink") or f"https://{call.method.host}/{call.path}",
    }
    if call.method.api == "sqladmin":
        target = call.arguments.get("instance") or (resource or {}).get("name")
        operation.update(targetId=target, targetProject=call.project)
    else:
        operation.update(id=call.world.next_number(), targetId=call.world.next_number(), progress=100)
        for kind in ("zone", "region"):
            if f"/{kind}s/" in place:
                operation[kind] = f"https://www.googleapis.com/{place}"
    return _begun(call, f"{call.method.host}/{place}/operations/{name}", operation)


def _begun(call: Call, key: str, operation: Resource) -> Resource:
    call.store(key, operation)
    if not call.world.polls:
        return operation
    call.world.unfinished[key] = call.world.polls
    if "done" in operation:
        return {name: value for name, value in operation.items() if name not in ("done", "response")}
    return {**operation, "status": "PENDING", "progress": 0}


def _operation_name(call: Call) -> str:
    """The name by which the API's own method finds the operation."""
    number = call.world.next_number()
    for getter in call.catalogue.operation_getters(call.method):
        prefix = getter.path.rpartition("/operations/")[0] if "/operations/" in getter.path else ""
        pattern = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(prefix))
        if getter.path.startswith(f"{call.method.version}operations/"):
            return f"operations/{number}"
        if prefix and (place := re.match(pattern, call.path)):
            return f"{place[0].removeprefix(call.method.version)}/operations/{number}"
    return f"operations/{number}"
