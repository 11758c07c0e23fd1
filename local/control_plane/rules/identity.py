"""Rules of IAM: service accounts and custom roles.

https://cloud.google.com/iam/docs/reference/rest
"""

from __future__ import annotations

import re
from typing import Final

from local.control_plane.call import Call
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Refused, Resource

RULES: Final = Rules(names={"iam.projects.serviceAccounts.create": r"[a-z][-a-z0-9]{4,28}[a-z0-9]@.*"})


@RULES.identifies("iam.projects.serviceAccounts.create")
def _account(call: Call, body: Resource) -> tuple[str, Resource]:
    account = {**body.get("serviceAccount", {})}
    email = f"{body['accountId']}@{call.project}.iam.gserviceaccount.com"
    account.update(email=email, projectId=call.project, uniqueId=call.world.next_number())
    return f"{call.key}/{email}", account


@RULES.identifies("iam.projects.roles.create")
def _role(call: Call, body: Resource) -> tuple[str, Resource]:
    if not re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", body["roleId"]):
        raise Refused(400, f"Invalid role id {body['roleId']}")
    return f"{call.key}/{body['roleId']}", {**body.get("role", {})}


@RULES.handles("iam.projects.serviceAccounts.keys.create")
def _no_keys(_call: Call) -> Resource:
    raise Refused(
        403, "Key creation is not allowed on this service account (constraints/iam.disableServiceAccountKeys)"
    )


@RULES.handles("iam.projects.serviceAccounts.enable", "iam.projects.serviceAccounts.disable")
def _enable(call: Call) -> Resource:
    call.existing()["disabled"] = call.method.call == "disable"
    return {}
