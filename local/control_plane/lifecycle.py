"""The life of a resource of any API: created, read, changed, listed, deleted, and its IAM policy.

Imported by `local.control_plane.service`. What an API does otherwise stands in `local.control_plane.rules`.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import time
from typing import Any, Final

from local.control_plane import catalogues
from local.control_plane.call import Call
from local.control_plane.operations import answer, failed, is_operation, progress
from local.control_plane.references import require_members, require_references, require_unused
from local.control_plane.rules import RULES
from local.control_plane.world import Answer, Refused, Resource, now, strings_in

_SHORT_NAMES: Final = {"compute", "dns", "sqladmin", "storage", "bigquery", "logging"}
"""APIs in which a resource's `name` is its last part alone."""

_READY_STATES: Final = ("ACTIVE", "READY", "RUNNABLE", "ENABLED", "RUNNING")
_TAGS: Final = {"etag", "fingerprint", "labelFingerprint", "metadataFingerprint"}
_TIMES: Final = {
    *("creationTimestamp", "createTime", "updateTime", "timeCreated", "updated", "creationTime", "lastModifiedTime"),
}
_CONFLICT: Final = {"compute": "alreadyExists", "sqladmin": "alreadyExists", "bigquery": "duplicate"}
_COMPUTE_LINK: Final = re.compile(
    r"(?:http.*?/compute/v1/)?(?:projects/([^/]+)/)?((?:global|(?:regions|zones)/[^/]+)/[a-zA-Z]+/.+)"
)


def carry_out(call: Call) -> Answer:  # noqa: PLR0911  # one return for each kind of method
    """Do what a request demands and return the answer. Raises Refused."""
    if error := call.world.failing.pop(call.method.id, None):
        return failed(call, error)
    if handler := RULES.handlers.get(call.method.id):
        return handler(call)
    if is_operation(call):
        return progress(call)
    match call.method.call:
        case "create" | "insert":
            return _create(call)
        case "get":
            return _get(call)
        case "patch" | "update":
            return _update(call)
        case "delete":
            return _delete(call)
        case "list":
            return _list(call)
        case "getIamPolicy":
            return _policy(call)
        case "setIamPolicy":
            return _set_policy(call)
    if call.method.api == "compute" and call.method.call.startswith("set"):
        return _set_field(call)
    raise Refused(501, f"the stand-in has no rule for {call.method.id}")


def _create(call: Call) -> Resource:
    key, resource = RULES.identity(call, copy.deepcopy(call.body or {}))
    if key in call.world.resources:
        reason = _CONFLICT.get(call.method.api, "conflict")
        raise Refused(409, f"Resource '{key.partition('/')[2]}' already exists", reason)
    RULES.require(call, key.rpartition("/")[2], resource)
    require_references(call, resource)
    if call.method.api not in _SHORT_NAMES and "name" in call.method.resource_schema.get("properties", {}):
        resource["name"] = key.partition("/")[2].removeprefix(call.method.version)
    call.store(key, resource)
    try:
        _complete(call, resource, key)
    except BaseException:
        call.world.remove(key)
        raise
    return answer(call, resource, "insert")


def _get(call: Call) -> Resource:
    return catalogues.found(call.key) or call.existing()


def _update(call: Call) -> Resource:
    resource, body = call.existing(), copy.deepcopy(call.body or {})
    mask = call.query.get("updateMask") or body.pop("updateMask", None)
    fields = (call.method.request or {}).get("properties", {})
    wrapped = [name for name, field in fields.items() if "$ref" in field and name in body]
    if len(wrapped) == 1 and set(body) == set(wrapped) and wrapped[0] not in resource:  # {topic: {...}, updateMask}
        body = body[wrapped[0]]
    require_references(call, body, kept=set(strings_in(resource)))
    changed = copy.deepcopy(resource)
    _apply_mask(changed, body, mask) if mask else _merge(changed, body)
    RULES.require(call, call.key.rpartition("/")[2], changed)
    for name in ("generation", "observedGeneration"):
        if name in changed:
            changed[name] = str(int(changed[name]) + (name == "generation"))
    if "observedGeneration" in changed:
        changed["observedGeneration"] = changed["generation"]
    resource.clear()
    resource.update(changed)
    _complete(call, resource, call.key)
    return answer(call, resource, "patch")


def _delete(call: Call) -> Resource:
    require_unused(call)
    call.world.remove(call.key)
    return answer(call, None, "delete")


def _list(call: Call) -> Resource:
    items = call.world.below(call.key)
    fields = call.method.response_fields
    lists = (name for name, field in fields.items() if field.get("type") == "array" and "$ref" in field["items"])
    kind = {"kind": fields["kind"].get("default")} if "kind" in fields else {}
    return {next(lists, "items"): items, **kind} if items else {}


def _policy(call: Call) -> Resource:
    key = call.key.removesuffix("/iam")
    empty = {"version": 1, "etag": "ACAB"}
    if call.method.api == "storage":
        return {"kind": "storage#policy", "bindings": [], **call.world.policies.get(key, empty)}
    return call.world.policies.get(key, empty)


def _set_policy(call: Call) -> Resource:
    key = call.key.removesuffix("/iam")
    policy = call.body.get("policy", call.body) or {}
    require_members(call, policy, catalogues.ROLES)
    old = call.world.policies.get(key, {}).get("etag", "ACAB")
    if policy.get("etag") not in (None, old):
        raise Refused(409, "There were concurrent policy changes. Please retry.", "aborted")
    etag = base64.b64encode(call.world.next_number().encode()).decode()
    call.world.policies[key] = {"version": 1, "bindings": [], **policy, "etag": etag}
    return _policy(call)


def _set_field(call: Call) -> Resource:
    """Compute Engine's `setLabels {labels: ...}` and `setTags {items: ...}`."""
    call.key = call.key.rpartition("/")[0]
    resource, word = call.existing(), call.method.call.removeprefix("set")
    field = word[0].lower() + word[1:]
    described = (call.method.request or {}).get("properties", {}).get(field)
    empty: dict[str, Any] = {"boolean": False, "array": []}
    resource[field] = call.body.get(field, empty.get(described.get("type"), {})) if described else call.body
    _complete(call, resource, call.key)
    return answer(call, resource, call.method.call)


def _merge(old: Resource, new: Resource) -> None:
    """Change `old` as JSON Merge Patch does (RFC 7396)."""
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            _merge(old[name], value)
        elif value is None:
            old.pop(name, None)
        else:
            old[name] = value


def _apply_mask(old: Resource, new: Resource, mask: str) -> None:
    """Replace in `old` the fields that the mask names; what `new` lacks is removed."""
    for path in mask.split(","):
        *parents, last = (_camel_case(part) for part in path.strip("` ").split("."))
        target, source = old, new
        for parent in parents:
            target, source = target.setdefault(parent, {}), source.get(parent) or {}
        if last in source:
            target[last] = source[last]
        else:
            target.pop(last, None)


def _camel_case(word: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), word[:1].lower() + word[1:])


def _complete(call: Call, resource: Resource, key: str) -> None:
    """Set the fields that only a server has, by the names that they have in every API, and then by the API's rules."""
    rest = key.partition("/")[2]
    stamp = hashlib.sha256(json.dumps(resource, sort_keys=True).encode()).digest()[:6]
    for name, field in call.method.resource_schema.get("properties", {}).items():
        if name in _TAGS:
            resource[name] = base64.b64encode(stamp).decode()
            continue
        is_server_time = field.get("readOnly") and name in ("createTime", "updateTime")
        if resource.get(name) in ("", None) or is_server_time:
            value = _server_value(call, name, field, rest)
            if value is not None:
                resource[name] = value
    if call.method.api == "compute" and "name" in resource:
        _lengthen_links(resource, call.project)
    if completion := RULES.completions.get(call.method.collection):
        completion(call, resource, key)


def _server_value(call: Call, name: str, field: Resource, rest: str) -> Any:  # noqa: PLR0911  # one for each name
    """The value of a field that a server sets itself; None for any other."""
    if name == "selfLink":
        return f"https://{'www.googleapis.com' if call.method.api == 'compute' else call.method.host}/{rest}"
    if name == "kind":
        return field.get("default")
    if name in ("uid", "uniqueId") or (name == "id" and call.method.api == "compute"):
        return call.world.next_number()
    if name in _TIMES:
        return str(int(time.time() * 1000)) if field.get("format") in ("int64", "uint64") else now()
    if name in ("generation", "observedGeneration"):
        return "1"
    if name in ("state", "status") and "enum" in field:
        return next((state for state in _READY_STATES if state in field["enum"]), None)
    if name in ("zone", "region") and call.method.api == "compute":
        place = re.match(rf".*{name}s/[^/]+", rest)
        return f"https://www.googleapis.com/{place[0]}" if place else None
    return call.project if name == "project" else None


def _lengthen_links(value: Any, project: str) -> None:
    """Write every partial link in full, as Compute Engine answers."""
    for name, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(item, dict | list):
            _lengthen_links(item, project)
        elif isinstance(item, str) and name != "name" and (link := _COMPUTE_LINK.fullmatch(item)):
            value[name] = f"https://www.googleapis.com/compute/v1/projects/{link[1] or project}/{link[2]}"
