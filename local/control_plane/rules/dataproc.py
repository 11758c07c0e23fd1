"""Rules of Dataproc clusters.

https://cloud.google.com/dataproc/docs/reference/rest
"""

from __future__ import annotations

import re
from typing import Final

from local.control_plane.call import Call
from local.control_plane.catalogues import is_machine_type
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Resource, now, with_defaults

_CLUSTERS: Final = "dataproc.projects.regions.clusters"
_COMPUTE: Final = "https://www.googleapis.com/compute/v1/"
_ROLES: Final = {"masterConfig": 1, "workerConfig": 2, "secondaryWorkerConfig": 0}
"""The groups of machines of a cluster, and how many machines they have by default."""

_SHARED_CORE: Final = r"(^|/)(e2-(micro|small|medium)|f1-micro|g1-small)$"


def _groups(cluster: Resource) -> list[Resource]:
    """The groups of machines that the cluster's configuration has."""
    config = cluster.get("config", {})
    return [config[role] for role in _ROLES if role in config]


RULES: Final = Rules(names={f"{_CLUSTERS}.create": r"[a-z]([-a-z0-9]{0,49}[a-z0-9])?"})

RULES.refuses(
    _CLUSTERS,
    "A cluster has 0 or at least 2 workers",
    lambda call, r: r.get("config", {}).get("workerConfig", {}).get("numInstances", 2) == 1,
)
RULES.refuses(
    _CLUSTERS,
    "A cluster has 1 or 3 masters",
    lambda call, r: r.get("config", {}).get("masterConfig", {}).get("numInstances", 1) not in (1, 3),
)
RULES.refuses(
    _CLUSTERS,
    "Invalid image version",
    lambda call, r: (
        not re.fullmatch(
            r"[1-3]\.\d+(\.\d+)?(-(debian|ubuntu|rocky|ml-ubuntu)\d+)?(-arm)?",
            r.get("config", {}).get("softwareConfig", {}).get("imageVersion") or "2.2",
        )
    ),
)
RULES.refuses(
    _CLUSTERS,
    "The machine type does not exist",
    lambda call, r: any(
        not is_machine_type(group.get("machineTypeUri", "n2-standard-4").rpartition("/")[2]) for group in _groups(r)
    ),
)
RULES.refuses(
    _CLUSTERS,
    "Machine types with a shared core are not supported",
    lambda call, r: any(re.search(_SHARED_CORE, group.get("machineTypeUri", "")) for group in _groups(r)),
)
RULES.refuses(
    _CLUSTERS,
    "Images of this version need a boot disk of 35 GB at least",
    lambda call, r: any(int(group.get("diskConfig", {}).get("bootDiskSizeGb") or 1000) < 35 for group in _groups(r)),
)
RULES.refuses(
    _CLUSTERS,
    "A property is <file>:<name>, such as flink:state.backend",
    lambda call, r: any(
        ":" not in name for name in r.get("config", {}).get("softwareConfig", {}).get("properties", {})
    ),
)


@RULES.identifies(f"{_CLUSTERS}.create")
def _key(call: Call, cluster: Resource) -> tuple[str, Resource]:
    return f"{call.key}/{cluster['clusterName']}", cluster


@RULES.completes(_CLUSTERS)
def _complete(call: Call, cluster: Resource, _key: str) -> None:
    config = cluster.setdefault("config", {})
    status = {"state": "RUNNING", "stateStartTime": now()}
    cluster.update(projectId=call.project, status=status, clusterUuid="0-1")
    with_defaults(config, configBucket="dataproc-staging", tempBucket="dataproc-temp", endpointConfig={})
    machine = config.setdefault("gceClusterConfig", {})
    shield = {"enableSecureBoot": False, "enableVtpm": False, "enableIntegrityMonitoring": False}
    zone = f"{_COMPUTE}projects/{call.project}/zones/{call.arguments['region']}-b"
    with_defaults(machine, zoneUri=zone, shieldedInstanceConfig=shield)
    properties = config.setdefault("softwareConfig", {}).setdefault("properties", {})
    has_workers = properties.get("dataproc:dataproc.allow.zero.workers", "false") != "true"
    with_defaults(config["softwareConfig"], imageVersion="2.2-debian12")
    for role, number in _ROLES.items():
        if role in config or (number and (has_workers or role == "masterConfig")):
            _complete_group(config.setdefault(role, {}), f"{cluster['clusterName']}-{role[0]}", number)


def _complete_group(group: Resource, prefix: str, number: int) -> None:
    preemptible = "NON_PREEMPTIBLE" if number else "PREEMPTIBLE"
    with_defaults(group, numInstances=number, machineTypeUri="n2-standard-4", minCpuPlatform="AUTOMATIC")
    with_defaults(group, preemptibility=preemptible, imageUri=f"{_COMPUTE}projects/cloud-dataproc/global/images/x")
    group["instanceNames"] = [f"{prefix}-{index}" for index in range(group["numInstances"])]
    with_defaults(group.setdefault("diskConfig", {}), bootDiskSizeGb=1000, bootDiskType="pd-standard")
