"""Rules of Compute Engine: instances, disks, networks, images and addresses.

https://cloud.google.com/compute/docs/reference/rest/v1
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from local.control_plane.call import Call
from local.control_plane.catalogues import REGIONS, is_machine_type, zones
from local.control_plane.operations import answer
from local.control_plane.references import require_references
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Refused, Resource, with_defaults

RULES: Final = Rules()

_LINK: Final = "https://www.googleapis.com/compute/v1/"
_KEY: Final = "compute.googleapis.com/compute/v1/"
_IMAGE_VERSION: Final = "-v20261001"

RULES.refuses(
    "compute.instances",
    "Invalid value for field 'resource.machineType': the machine type does not exist",
    lambda call, r: not is_machine_type(r.get("machineType", "").rpartition("/")[2]),
)
RULES.refuses(
    "compute.instances",
    "Invalid value for field 'resource.metadata': a value may have 262144 bytes at most",
    lambda call, r: any(len(item["value"]) > 262144 for item in r.get("metadata", {}).get("items", [])),
)


@RULES.handles("compute.projects.get")
def _project(call: Call) -> Resource:
    project = call.world.project
    link = f"{_LINK}projects/{project}"
    return {"kind": "compute#project", "id": call.world.number, "name": project, "selfLink": link}


@RULES.handles("compute.images.getFromFamily")
def _image_of_family(call: Call) -> Resource:
    return _described_image(call, f"{call.key.rpartition('/')[2]}{_IMAGE_VERSION}")


@RULES.handles("compute.images.get")
def _image(call: Call) -> Resource:
    name = call.key.rpartition("/")[2]
    if not re.search(r"-v\d{8}$|-\d+-\d+-\d+-\d+$", name):  # the provider tries a family's name as an image's first
        raise Refused(404, f"The resource 'projects/{call.project}/global/images/{name}' was not found", "notFound")
    return _described_image(call, name)


@RULES.handles("compute.zones.list", "compute.regions.list")
def _places(call: Call) -> Resource:
    kind = call.method.collection.rpartition(".")[2]
    names = zones() if kind == "zones" else sorted(REGIONS)
    prefix = f"{_LINK}projects/{call.project}/{kind}"
    return {"items": [{"name": name, "status": "UP", "selfLink": f"{prefix}/{name}"} for name in names]}


@RULES.handles("compute.disks.addResourcePolicies", "compute.disks.removeResourcePolicies")
def _attach_policies(call: Call) -> Resource:
    call.key = call.key.rpartition("/")[0]
    require_references(call, call.body)
    disk = call.existing()
    links = [f"{_LINK}{path.removeprefix(_LINK)}" for path in call.body["resourcePolicies"]]
    kept = [path for path in disk.get("resourcePolicies", []) if path not in links]
    disk["resourcePolicies"] = kept + (links if call.method.call.startswith("add") else [])
    return answer(call, disk, call.method.call)


@RULES.handles("compute.disks.resize")
def _resize(call: Call) -> Resource:
    call.key = call.key.rpartition("/")[0]
    disk, size = call.existing(), str(call.body["sizeGb"])
    if int(size) <= int(disk["sizeGb"]):
        raise Refused(400, f"Requested disk size must be larger than the current size of {disk['sizeGb']} GB.")
    disk["sizeGb"] = size
    return answer(call, disk, "resize")


@RULES.handles("compute.instances.setDeletionProtection")
def _protect(call: Call) -> Resource:
    call.key = call.key.rpartition("/")[0]
    call.existing()["deletionProtection"] = call.query.get("deletionProtection", "true") == "true"
    return answer(call, call.existing(), call.method.call)


@RULES.handles("compute.instances.stop", "compute.instances.start")
def _stop_or_start(call: Call) -> Resource:
    call.key = call.key.rpartition("/")[0]
    call.existing()["status"] = "TERMINATED" if call.method.call == "stop" else "RUNNING"
    return answer(call, call.existing(), call.method.call)


@RULES.handles("compute.instances.delete")
def _delete_instance(call: Call) -> Resource:
    instance = call.existing()
    if instance.get("deletionProtection"):
        raise Refused(
            400, "Invalid value for field 'resource.deletionProtection': the instance is protected against deletion."
        )
    for disk in instance.get("disks", []):
        key = f"compute.googleapis.com/{disk['source'].partition('googleapis.com/')[2]}"
        if disk.get("autoDelete"):
            call.world.remove(key)
        elif key in call.world.resources:
            call.world.resources[key].pop("users", None)
    call.world.remove(call.key)
    return answer(call, None, "delete")


@RULES.completes("compute.instances")
def _complete_instance(call: Call, instance: Resource, key: str) -> None:
    zone = re.sub(r".*zones/([^/]+).*", r"\1", key)
    for index, disk in enumerate(instance.get("disks", [])):
        _complete_disk_of(call, instance, disk, zone)
        with_defaults(disk, deviceName=f"persistent-disk-{index}", index=index, mode="READ_WRITE", type="PERSISTENT")
        with_defaults(disk, interface="SCSI", kind="compute#attachedDisk")
    for index, card in enumerate(instance.get("networkInterfaces", [])):
        if card.get("subnetwork"):
            subnetwork = call.existing(f"compute.googleapis.com/{card['subnetwork'].partition('googleapis.com/')[2]}")
            card["network"] = subnetwork["network"]
        own_ip = f"10.10.0.{2 + len(call.world.resources) % 200}"
        with_defaults(card, name=f"nic{index}", networkIP=own_ip, stackType="IPV4_ONLY", fingerprint="AAAA")
        for access in card.get("accessConfigs", []):
            with_defaults(access, name="external-nat", natIP="203.0.113.7", networkTier="PREMIUM")
    scheduling = instance.setdefault("scheduling", {})
    is_spot = scheduling.get("provisioningModel") == "SPOT"
    with_defaults(scheduling, automaticRestart=not is_spot, preemptible=is_spot, provisioningModel="STANDARD")
    with_defaults(scheduling, onHostMaintenance="TERMINATE" if is_spot else "MIGRATE")
    for name in ("metadata", "tags"):
        instance.setdefault(name, {})["fingerprint"] = "AAAA"
    shield = {"enableSecureBoot": False, "enableVtpm": True, "enableIntegrityMonitoring": True}
    with_defaults(instance, cpuPlatform="Intel Cascade Lake", deletionProtection=False, canIpForward=False)
    with_defaults(instance, startRestricted=False, shieldedInstanceConfig=shield, status="RUNNING")


@RULES.completes("compute.networks")
def _complete_network(_call: Call, network: Resource, _key: str) -> None:
    with_defaults(network, autoCreateSubnetworks=False)
    with_defaults(network, networkFirewallPolicyEnforcementOrder="AFTER_CLASSIC_FIREWALL")
    network.setdefault("routingConfig", {}).setdefault("routingMode", "REGIONAL")


@RULES.completes("compute.subnetworks")
def _complete_subnetwork(_call: Call, subnetwork: Resource, _key: str) -> None:
    try:
        addresses = ipaddress.ip_network(subnetwork["ipCidrRange"])
    except ValueError as error:
        raise Refused(400, f"Invalid value for field 'resource.ipCidrRange': {error}") from error
    with_defaults(subnetwork, gatewayAddress=str(addresses[1]), purpose="PRIVATE", stackType="IPV4_ONLY")
    with_defaults(subnetwork, privateIpGoogleAccess=False, privateIpv6GoogleAccess="DISABLE_GOOGLE_ACCESS")
    with_defaults(subnetwork, allowSubnetCidrRoutesOverlap=False)


@RULES.completes("compute.globalAddresses", "compute.addresses")
def _complete_address(_call: Call, address: Resource, _key: str) -> None:
    with_defaults(address, address="10.100.0.0", networkTier="PREMIUM", status="RESERVED")


@RULES.completes("compute.disks")
def _complete_disk(_call: Call, disk: Resource, key: str) -> None:
    zone = re.sub(r"[^/]+/(.*zones/[^/]+).*", r"\1", key)
    with_defaults(disk, type=f"https://www.googleapis.com/{zone}/diskTypes/pd-standard", sizeGb="10", status="READY")
    with_defaults(disk, physicalBlockSizeBytes="4096")


def _complete_disk_of(call: Call, instance: Resource, disk: Resource, zone: str) -> None:
    """Make the boot disk that an instance describes; its parameters are no field of the instance afterwards."""
    boot = disk.pop("initializeParams", None)
    if boot is None:
        return
    image = boot.get("sourceImage", "")
    if "/family/" in image:
        image = image.replace("/family/", "/") + _IMAGE_VERSION
    place = f"projects/{call.project}/zones/{zone}"
    name = boot.get("diskName") or instance["name"]
    disk["source"] = f"{_LINK}{place}/disks/{name}"
    call.store(
        f"{_KEY}{place}/disks/{name}",
        {
            **{"kind": "compute#disk", "id": call.world.next_number(), "name": name, "status": "READY"},
            "sizeGb": str(boot.get("diskSizeGb", 10)),
            "zone": f"{_LINK}{place}",
            "type": boot.get("diskType") or f"{_LINK}{place}/diskTypes/pd-standard",
            "sourceImage": image,
            "labels": boot.get("labels", {}),
            "selfLink": disk["source"],
            "users": [instance["selfLink"]],
        },
    )


def _described_image(call: Call, name: str) -> Resource:
    link = f"{_LINK}projects/{call.project}/global/images/{name}"
    family = re.sub(r"-v\d{8}$", "", name)
    size = {"diskSizeGb": "10", "id": "1"}
    return {"kind": "compute#image", "name": name, "family": family, "status": "READY", "selfLink": link, **size}
