"""What a resource names must exist, and what is in use stays.

Imported by `local.control_plane.lifecycle` and the rules.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

from local.control_plane.call import Call
from local.control_plane.world import Refused, World, strings_in

_CHECKED: Final = {
    *("networks", "subnetworks", "disks", "resourcePolicies", "routers", "topics", "schemas", "secrets"),
    *("repositories", "notificationChannels", "serviceAccounts"),
}
"""Collections whose resources must exist where another resource names them in full."""

_VERSION: Final = re.compile(r"^[^/]+/(?:\w+/)?v[0-9][^/]*/")
_PREDEFINED_ROLE: Final = re.compile(r"roles/[\w.]+")
_ROLE: Final = re.compile(r"(roles|projects/[^/]+/roles|organizations/\d+/roles)/[\w.]+")
_MEMBER: Final = re.compile(
    r"allUsers|allAuthenticatedUsers"
    r"|(user|group|serviceAccount|domain|principal|principalSet|projectOwner|projectEditor|projectViewer|deleted):.+"
)


def require_references(call: Call, value: Any, kept: Collection[str] = ()) -> None:
    """Refuse a resource that names one that does not exist. `kept`: names that an update repeats."""
    names = {_VERSION.sub("", key) for key in call.world.resources}
    project = re.escape(call.world.project)
    link = re.compile(rf"(?:https?://.*/compute/v1/)?(projects/{project}/(?:\w+/[^/]+/|global/)*(\w+)/[^/]+)")
    account = re.compile(rf"[a-z0-9-]+@{project}\.iam\.gserviceaccount\.com")
    body = {name: item for name, item in value.items() if name not in ("name", "selfLink", "email")}
    for text in set(strings_in(body)) - set(kept):
        named = link.fullmatch(text)
        if named and named[2] in _CHECKED and named[1] not in names:
            raise Refused(404, f"The resource '{named[1]}' was not found (named in {call.method.id})", "notFound")
        if account.fullmatch(text) and not _has_account(call.world, text):
            raise Refused(400, f"Service account {text} does not exist (named in {call.method.id})")


def require_unused(call: Call) -> None:
    """Refuse to delete a resource of Compute Engine to which another one refers, or a bucket that holds objects."""
    link = call.existing().get("selfLink", "")
    name = _VERSION.sub("", call.key)
    if call.method.api == "compute":
        for key, other in call.world.resources.items():
            # A snapshot and an operation only report what they were made of.
            is_record = "/operations/" in key or "/snapshots/" in key
            is_other = key != call.key and not is_record and key.startswith("compute")
            if is_other and link in strings_in(other) and link not in other.get("users", ()):
                reason = "resourceInUseByAnotherResource"
                raise Refused(400, f"The resource '{name}' is already being used by '{_VERSION.sub('', key)}'", reason)
    if call.method.id == "storage.buckets.delete" and any(
        key.startswith(f"{call.key}/o/") for key in call.world.resources
    ):
        raise Refused(409, "The bucket you tried to delete is not empty.", "conflict")


def require_members(call: Call, policy: Any, roles: Collection[str]) -> None:
    """Refuse an IAM policy with an unknown role, or a member that is malformed or does not exist.

    `roles`: the predefined roles that the stand-in has heard of; custom roles are taken as they are.
    """
    for binding in policy.get("bindings", []):
        role = binding.get("role", "")
        if not _ROLE.fullmatch(role) or (_PREDEFINED_ROLE.fullmatch(role) and role not in roles):
            raise Refused(400, f"Role {role} is not supported for this resource.")
        for member in binding.get("members", []):
            if not _MEMBER.fullmatch(member):
                raise Refused(400, f"Invalid member '{member}'")
            require_references(call, {"member": member.removeprefix("serviceAccount:")})


def _has_account(world: World, email: str) -> bool:
    return f"iam.googleapis.com/v1/projects/{world.project}/serviceAccounts/{email}" in world.resources
