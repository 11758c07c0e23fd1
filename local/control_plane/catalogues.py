"""What exists in Google Cloud without being made: regions, zones, machine types, services and predefined roles.

Imported by `local.control_plane`. The lists hold what a pipeline on Google Cloud may name, taken from Google's manuals
in November 2026; a name that is right and missing here is added here.
"""

from __future__ import annotations

import re
from typing import Final

from local.control_plane.world import Refused, Resource

REGIONS: Final = {
    *("africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3"),
    *("asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "australia-southeast1"),
    *("australia-southeast2", "europe-central2", "europe-north1", "europe-north2", "europe-southwest1", "europe-west1"),
    *("europe-west2", "europe-west3", "europe-west4", "europe-west6", "europe-west8", "europe-west9", "europe-west10"),
    *("europe-west12", "me-central1", "me-central2", "me-west1", "northamerica-northeast1", "northamerica-northeast2"),
    *("northamerica-south1", "southamerica-east1", "southamerica-west1", "us-central1", "us-east1", "us-east4"),
    *("us-east5", "us-south1", "us-west1", "us-west2", "us-west3", "us-west4"),
}
"""https://cloud.google.com/compute/docs/regions-zones"""

ZONE_LETTERS: Final = {"europe-west1": "bcd", "us-east1": "bcd", "us-central1": "abcf"}
"""The zones of a region whose zones are not a, b and c."""

MULTI_REGIONS: Final = {"US", "EU", "ASIA"}

_SHAPES: Final = r"(standard|highmem|highcpu)-(2|4|8|16|32|48|64|80|96)"
MACHINE_TYPES: Final = (
    r"e2-(micro|small|medium)",
    r"e2-(standard|highmem|highcpu)-(2|4|8|16|32)",
    rf"(n1|n2|n2d|n4|c3|c3d|c4|c2d|t2d)-{_SHAPES}",
    r"(n1-standard-1|t2d-standard-1|f1-micro|g1-small)",
)
"""Patterns of machine types. https://cloud.google.com/compute/docs/machine-resource"""

DISK_TYPES: Final = {"pd-standard", "pd-balanced", "pd-ssd", "pd-extreme", "hyperdisk-balanced"}

SERVICES: Final = {
    f"{name}.googleapis.com"
    for name in (
        *("artifactregistry", "bigquery", "bigquerydatapolicy", "bigquerymigration", "bigquerystorage"),
        *(
            "billingbudgets",
            "cloudbilling",
            "cloudbuild",
            "cloudfunctions",
            "cloudquotas",
            "cloudresourcemanager",
            "cloudscheduler",
        ),
        *("composer", "compute", "container", "containerregistry", "dataproc", "dns", "eventarc", "iam"),
        *("iamcredentials", "iap", "logging", "monitoring", "networkmanagement", "oslogin", "pubsub", "run"),
        *("secretmanager", "servicenetworking", "serviceusage", "sql-component", "sqladmin", "storage"),
        *("storage-api", "storage-component", "sts", "vpcaccess", "workflows"),
    )
}
"""https://cloud.google.com/service-usage/docs/list-services"""

_ROLES: Final = {
    "artifactregistry": "reader writer repoAdmin admin createOnPushWriter",
    "bigquery": "admin connectionUser dataEditor dataOwner dataViewer jobUser metadataViewer readSessionUser user",
    "billing": "user viewer costsManager",
    "cloudbuild": "builds.builder builds.editor",
    "cloudfunctions": "admin developer invoker viewer serviceAgent",
    "cloudscheduler": "admin jobRunner viewer",
    "cloudsql": "admin client editor instanceUser viewer",
    "composer": "admin environmentAndStorageObjectAdmin user worker ServiceAgentV2Ext",
    "compute": "admin instanceAdmin instanceAdmin.v1 networkAdmin networkUser networkViewer osLogin securityAdmin "
    "viewer",
    "dataproc": "admin editor serviceAgent serverlessEditor serverlessNode serverlessViewer viewer worker",
    "dns": "admin reader",
    "eventarc": "eventReceiver serviceAgent",
    "iam": "serviceAccountAdmin serviceAccountCreator serviceAccountOpenIdTokenCreator serviceAccountTokenCreator "
    "serviceAccountUser serviceAccountViewer workloadIdentityUser",
    "iap": "httpsResourceAccessor tunnelResourceAccessor admin",
    "logging": "admin bucketWriter configWriter logWriter viewer viewAccessor",
    "monitoring": "admin editor metricWriter viewer alertPolicyEditor notificationChannelEditor",
    "pubsub": "admin editor publisher subscriber viewer",
    "resourcemanager": "projectIamAdmin",
    "run": "admin developer invoker jobsExecutor jobsExecutorWithOverrides serviceAgent servicesInvoker viewer",
    "secretmanager": "admin secretAccessor secretVersionAdder secretVersionManager viewer",
    "servicenetworking": "networksAdmin serviceAgent",
    "serviceusage": "serviceUsageAdmin serviceUsageConsumer serviceUsageViewer",
    "storage": "admin bucketViewer insightsCollectorService legacyBucketOwner legacyBucketReader legacyBucketWriter "
    "legacyObjectOwner legacyObjectReader objectAdmin objectCreator objectUser objectViewer",
    "vpcaccess": "admin user viewer",
}
"""https://cloud.google.com/iam/docs/roles-permissions"""

ROLES: Final = {
    *(f"roles/{service}.{name}" for service, names in _ROLES.items() for name in names.split()),
    *("roles/owner", "roles/editor", "roles/viewer", "roles/browser"),
}

_COMPUTE: Final = re.compile(
    r"compute\.googleapis\.com/compute/v1/projects/[^/]+/(zones|regions)/([^/]+)"
    r"(?:/(machineTypes|diskTypes)/([^/]+))?"
)


def is_place(location: str) -> bool:
    """Whether a region or a multi-region exists."""
    return location.lower() in REGIONS or location.upper() in MULTI_REGIONS


def zones() -> list[str]:
    """Every zone."""
    return [f"{region}-{letter}" for region in sorted(REGIONS) for letter in ZONE_LETTERS.get(region, "abc")]


def is_machine_type(name: str) -> bool:
    """Whether a machine type exists. A custom one has an even number of vCPUs, or one, and whole 256 MiB of memory."""
    custom = re.fullmatch(r"(?:(e2|n1|n2|n2d|n4)-)?custom-(\d+)-(\d+)(-ext)?", name)
    if custom is None:
        return any(re.fullmatch(pattern, name) for pattern in MACHINE_TYPES)
    vcpus, mib = int(custom[2]), int(custom[3])
    is_in_range = custom[1] != "e2" or (2 <= vcpus <= 32 and 512 * vcpus <= mib <= 8192 * vcpus and not custom[4])
    return (vcpus == 1 or vcpus % 2 == 0) and mib % 256 == 0 and is_in_range


def found(key: str) -> Resource | None:
    """The zone, region, machine type or disk type of a key; None when it names none. Raises Refused (404)."""
    named = _COMPUTE.fullmatch(key)
    if not named:
        return None
    kind, place, sort, name = named.groups()
    exists = place in zones() if kind == "zones" else place in REGIONS
    if sort == "machineTypes":
        exists = exists and is_machine_type(name)
    elif sort == "diskTypes":
        exists = exists and name in DISK_TYPES
    if not exists:
        raise Refused(404, f"The resource '{key.partition('compute/v1/')[2]}' was not found", "notFound")
    resource = {"name": name or place, "status": "UP", "selfLink": f"https://www.googleapis.com/{key.split('/', 1)[1]}"}
    if sort == "machineTypes":
        resource |= {"guestCpus": 2, "memoryMb": 8192}  # of some size: no rule depends on it
    if kind == "zones":
        resource |= {"region": place.rpartition("-")[0]} | ({"zone": place} if sort else {})
    return resource
