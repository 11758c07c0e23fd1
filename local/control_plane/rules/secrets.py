"""Rules of Secret Manager.

https://cloud.google.com/secret-manager/docs/reference/rest

Payloads are kept apart from the resources, so that neither an answer about a resource nor a log holds one.
"""

from __future__ import annotations

from typing import Final

from local.control_plane.call import Call
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Refused, Resource, now

_VERSIONS: Final = "secretmanager.projects.secrets.versions"

RULES: Final = Rules(names={"secretmanager.projects.secrets.create": r"[A-Za-z0-9_-]{1,255}"})

_STATES: Final = {"enable": "ENABLED", "disable": "DISABLED", "destroy": "DESTROYED"}


@RULES.handles("secretmanager.projects.secrets.addVersion")
def _add_version(call: Call) -> Resource:
    secret = call.existing()
    number = len(call.world.below(f"{call.key}/versions")) + 1
    key = f"{call.key}/versions/{number}"
    if not call.body["payload"].get("data"):
        raise Refused(400, "The payload of a secret version may not be empty.")
    call.world.payloads[key] = call.body["payload"]
    name = f"{secret['name']}/versions/{number}"
    return call.store(
        key,
        {"name": name, "createTime": now(), "state": "ENABLED", "etag": "1", "replicationStatus": {"automatic": {}}},
    )


@RULES.handles(f"{_VERSIONS}.get")
def _version(call: Call) -> Resource:
    return call.existing(_latest(call))


@RULES.handles(f"{_VERSIONS}.access")
def _access(call: Call) -> Resource:
    key = _latest(call)
    version = call.existing(key)
    if version["state"] != "ENABLED":
        raise Refused(400, f"Secret Version [{version['name']}] is in {version['state']} state.")
    return {"name": version["name"], "payload": call.world.payloads[key]}


@RULES.handles(f"{_VERSIONS}.enable", f"{_VERSIONS}.disable", f"{_VERSIONS}.destroy")
def _set_state(call: Call) -> Resource:
    version = call.existing(_latest(call))
    version["state"] = _STATES[call.method.call]
    return version


def _latest(call: Call) -> str:
    """The call's key, where `latest` stands for the number of the newest version."""
    versions, _, number = call.key.rpartition("/")
    return f"{versions}/{len(call.world.below(versions))}" if number == "latest" else call.key
