"""Rules of Service Usage, Resource Manager, Cloud Billing and Service Networking.

https://cloud.google.com/service-usage/docs/reference/rest
https://cloud.google.com/service-infrastructure/docs/service-networking/reference/rest
"""

from __future__ import annotations

from typing import Final

from local.control_plane.call import Call
from local.control_plane.catalogues import SERVICES
from local.control_plane.operations import answer
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Refused, Resource

RULES: Final = Rules()

_ALWAYS_ENABLED: Final = {"serviceusage", "cloudresourcemanager", "billingbudgets", "cloudbilling"}
_CONNECTIONS: Final = "servicenetworking.googleapis.com/v1/services/servicenetworking.googleapis.com/connections"


def require_enabled(call: Call) -> None:
    """Refuse a call to an API that the project has not enabled."""
    if call.method.api not in _ALWAYS_ENABLED and _service(call, call.method.host)["state"] != "ENABLED":
        raise Refused(
            403,
            f"{call.method.host} has not been used in project {call.world.project} before or it is disabled "
            f"(called for {call.method.id}).",
            "accessNotConfigured",
        )


def is_peered(call: Call, network: str) -> bool:
    """Whether the network has a private service connection. `network`: its link."""
    return f"{_CONNECTIONS}/{network.rpartition('/')[2]}" in call.world.resources


@RULES.handles("serviceusage.services.batchEnable")
def _enable_several(call: Call) -> Resource:
    return answer(call, {"services": [_set_state(call, name, "ENABLED") for name in call.body["serviceIds"]]}, "")


@RULES.handles("serviceusage.services.enable")
def _enable(call: Call) -> Resource:
    return answer(call, {"service": _set_state(call, call.key.rpartition("/")[2], "ENABLED")}, "")


@RULES.handles("serviceusage.services.disable")
def _disable(call: Call) -> Resource:
    return answer(call, {"service": _set_state(call, call.key.rpartition("/")[2], "DISABLED")}, "")


@RULES.handles("serviceusage.services.get")
def _read_service(call: Call) -> Resource:
    return _service(call, call.key.rpartition("/")[2])


@RULES.handles("serviceusage.services.list")
def _enabled_services(call: Call) -> Resource:
    return {"services": [item for item in call.world.below(call.key) if item["state"] == "ENABLED"]}


@RULES.handles("serviceusage.services.generateServiceIdentity")
def _agent(call: Call) -> Resource:
    service = call.key.split("/services/")[1].partition(".")[0]
    email = f"service-{call.world.number}@gcp-sa-{service}.iam.gserviceaccount.com"
    return answer(call, {"email": email, "uniqueId": call.world.next_number()}, "")


@RULES.handles("cloudresourcemanager.projects.get")
def _project(call: Call) -> Resource:
    world = call.world
    if call.method.version == "v1/":
        names = {"projectId": world.project, "projectNumber": world.number, "name": world.project}
        return {**names, "lifecycleState": "ACTIVE"}
    return {"name": f"projects/{world.number}", "projectId": world.project, "state": "ACTIVE"}


@RULES.handles("cloudbilling.projects.getBillingInfo")
def _billing(call: Call) -> Resource:
    name = f"projects/{call.world.project}/billingInfo"
    account = "billingAccounts/000000-000000-000000"
    return {
        "name": name,
        "projectId": call.world.project,
        "billingAccountName": account,
        "billingEnabled": True,
    }


@RULES.handles("servicenetworking.services.connections.create", "servicenetworking.services.connections.patch")
def _connect(call: Call) -> Resource:
    for name in call.body["reservedPeeringRanges"]:
        call.existing(f"compute.googleapis.com/compute/v1/projects/{call.world.project}/global/addresses/{name}")
    key = f"{_CONNECTIONS}/{call.body['network'].rpartition('/')[2]}"
    service = "services/servicenetworking.googleapis.com"
    return answer(
        call, call.store(key, {"peering": "servicenetworking-googleapis-com", "service": service, **call.body}), ""
    )


@RULES.handles("servicenetworking.services.connections.list")
def _connections(call: Call) -> Resource:
    network = call.query.get("network", "").rpartition("/")[2]
    found = [item for item in call.world.below(_CONNECTIONS) if item["network"].rpartition("/")[2] == network]
    return {"connections": found}


@RULES.handles("servicenetworking.services.connections.deleteConnection")
def _disconnect(call: Call) -> Resource:
    network = call.body["consumerNetwork"].rpartition("/")[2]
    call.existing(f"{_CONNECTIONS}/{network}")
    call.world.remove(f"{_CONNECTIONS}/{network}")
    return answer(call, {}, "")


def _service(call: Call, name: str) -> Resource:
    """The state of a service, which is disabled until it is enabled."""
    key = f"serviceusage.googleapis.com/v1/projects/{call.world.project}/services/{name}"
    return call.world.resources.get(key) or _described(call, name, "DISABLED")


def _set_state(call: Call, name: str, state: str) -> Resource:
    if name not in SERVICES:
        raise Refused(400, f"Not found or permission denied for service(s): {name}.", "SERVICE_CONFIG_NOT_FOUND")
    key = f"serviceusage.googleapis.com/v1/projects/{call.world.project}/services/{name}"
    return call.store(key, _described(call, name, state))


def _described(call: Call, name: str, state: str) -> Resource:
    parent = f"projects/{call.world.number}"
    return {"name": f"{parent}/services/{name}", "parent": parent, "state": state, "config": {"name": name}}
