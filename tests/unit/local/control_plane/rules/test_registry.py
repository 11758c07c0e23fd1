"""A right resource of each API is accepted, and each wrong value that only the manuals forbid is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from local.control_plane.service import ControlPlane
from local.control_plane.world import PROJECT, Refused
from tests.support.plane_requests import PLACE, REGION, plane, post, send

COMPUTE = "compute.googleapis.com"
ZONE = f"projects/{PROJECT}/zones/{REGION}-b"

SERVICE = {"template": {"containers": [{"image": "x", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}}
JOB = {"template": {"template": {"containers": [{"image": "x"}]}}}
FUNCTION = {
    "buildConfig": {
        "runtime": "python311",
        "entryPoint": "f",
        "source": {"storageSource": {"bucket": "source", "object": "f.zip"}},
    },
    "serviceConfig": {"timeoutSeconds": 900, "availableMemory": "512Mi"},
}
SUBSCRIPTION = {
    "topic": f"projects/{PROJECT}/topics/events",
    "ackDeadlineSeconds": 60,
    "deadLetterPolicy": {"deadLetterTopic": f"projects/{PROJECT}/topics/events", "maxDeliveryAttempts": 5},
    "retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"},
    "pushConfig": {"pushEndpoint": "https://x.example.com"},
    "filter": 'attributes.type = "gap.opened"',
}
SQL = {
    "name": "live",
    "region": REGION,
    "databaseVersion": "POSTGRES_17",
    "settings": {
        "tier": "db-f1-micro",
        "edition": "ENTERPRISE",
        "backupConfiguration": {"enabled": True, "pointInTimeRecoveryEnabled": True},
    },
}
CLUSTER = {
    "clusterName": "candles",
    "config": {
        "masterConfig": {"numInstances": 1, "machineTypeUri": "e2-standard-2"},
        "softwareConfig": {"imageVersion": "3.0-debian12", "properties": {"flink:taskmanager.numberOfTaskSlots": "2"}},
    },
}
INSTANCE = {
    "name": "broker",
    "machineType": f"{ZONE}/machineTypes/e2-small",
    "disks": [
        {"boot": True, "initializeParams": {"sourceImage": "projects/cos-cloud/global/images/family/cos-stable"}}
    ],
    "networkInterfaces": [],
}
TABLE = {
    "tableReference": {"projectId": PROJECT, "datasetId": "market", "tableId": "candles"},
    "schema": {"fields": [{"name": "open_time", "type": "TIMESTAMP", "mode": "REQUIRED"}]},
    "timePartitioning": {"type": "DAY", "field": "open_time"},
    "clustering": {"fields": ["open_time"]},
}
SCHEDULE = {
    "schedule": "*/2 * * * *",
    "timeZone": "Etc/UTC",
    "attemptDeadline": "320s",
    "httpTarget": {"uri": "https://x"},
}
METRIC = {"name": "gaps", "filter": 'resource.type="cloud_run_worker_pool" AND jsonPayload.event="gap opened"'}
POLICY = {
    "displayName": "lag",
    "combiner": "OR",
    "conditions": [
        {
            "displayName": "lag",
            "conditionThreshold": {
                "filter": 'metric.type = "logging.googleapis.com/user/known"',
                "duration": "300s",
                "comparison": "COMPARISON_GT",
                "aggregations": [{"alignmentPeriod": "60s"}],
            },
        }
    ],
}
COMPOSER = {"config": {"softwareConfig": {"imageVersion": "composer-3-airflow-3.1.0-build.1"}}}

KINDS: dict[str, tuple[str, str, str, Any]] = {
    "service": ("POST", "run.googleapis.com", f"/v2/{PLACE}/services?serviceId=NAME", SERVICE),
    "job": ("POST", "run.googleapis.com", f"/v2/{PLACE}/jobs?jobId=NAME", JOB),
    "function": ("POST", "cloudfunctions.googleapis.com", f"/v2/{PLACE}/functions?functionId=NAME", FUNCTION),
    "topic": ("PUT", "pubsub.googleapis.com", f"/v1/projects/{PROJECT}/topics/NAME", {}),
    "subscription": ("PUT", "pubsub.googleapis.com", f"/v1/projects/{PROJECT}/subscriptions/NAME", SUBSCRIPTION),
    "bucket": (
        "POST",
        "storage.googleapis.com",
        f"/storage/v1/b?project={PROJECT}",
        {"name": "a-lake", "location": REGION},
    ),
    "sql": ("POST", "sqladmin.googleapis.com", f"/sql/v1beta4/projects/{PROJECT}/instances", SQL),
    "cluster": ("POST", "dataproc.googleapis.com", f"/v1/projects/{PROJECT}/regions/{REGION}/clusters", CLUSTER),
    "instance": ("POST", COMPUTE, f"/compute/v1/{ZONE}/instances", INSTANCE),
    "dataset": (
        *("POST", "bigquery.googleapis.com", f"/bigquery/v2/projects/{PROJECT}/datasets"),
        {"datasetReference": {"datasetId": "other"}, "location": "EU"},
    ),
    "table": ("POST", "bigquery.googleapis.com", f"/bigquery/v2/projects/{PROJECT}/datasets/market/tables", TABLE),
    "schedule": (
        "POST",
        "cloudscheduler.googleapis.com",
        f"/v1/{PLACE}/jobs",
        {"name": f"{PLACE}/jobs/daily", **SCHEDULE},
    ),
    "metric": ("POST", "logging.googleapis.com", f"/v2/projects/{PROJECT}/metrics", METRIC),
    "policy": ("POST", "monitoring.googleapis.com", f"/v3/projects/{PROJECT}/alertPolicies", POLICY),
    "composer": (
        *("POST", "composer.googleapis.com", f"/v1/{PLACE}/environments"),
        {"name": f"{PLACE}/environments/pipeline", **COMPOSER},
    ),
    "zone": (
        *("POST", "dns.googleapis.com", f"/dns/v1/projects/{PROJECT}/managedZones"),
        {"name": "pipeline", "dnsName": "pipeline.internal.", "description": "x"},
    ),
}

NETWORK = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/global/networks/net"
LIMITS = "template.containers.0.resources.limits"
PAST_2_GIB = "memory: it is 128Mi to 32Gi"

WRONG: list[tuple[str, str, Any, str]] = [
    ("service", "NAME", "Api_Service", "Invalid resource name 'Api_Service'"),
    ("service", f"{LIMITS}.cpu", "3", "Invalid value specified for cpu"),
    ("service", f"{LIMITS}.memory", "64Mi", PAST_2_GIB),
    ("service", f"{LIMITS}", {"cpu": "4", "memory": "1Gi"}, PAST_2_GIB),
    ("service", "template.timeout", "7200s", "3600s at most"),
    ("service", "template.maxInstanceRequestConcurrency", 2000, "is 1 to 1000"),
    ("job", "template.template.timeout", "700000s", "7 days at most"),
    ("function", "serviceConfig.timeoutSeconds", 4000, "is 1 to 3600 s"),
    ("function", "buildConfig.runtime", "python2", "Invalid runtime"),
    ("function", "buildConfig.source.storageSource.object", "other.zip", "Could not find the source object"),
    ("topic", "NAME", "goog-events", "Invalid resource name"),
    ("topic", "messageRetentionDuration", "60s", "10 minutes to 31 days"),
    ("subscription", "ackDeadlineSeconds", 5, "must be 10 to 600"),
    ("subscription", "deadLetterPolicy.maxDeliveryAttempts", 3, "must be 5 to 100"),
    ("subscription", "deadLetterPolicy.deadLetterTopic", "events", "must be projects/"),
    ("subscription", "retryPolicy.maximumBackoff", "700s", "0 to 600 seconds"),
    ("subscription", "pushConfig.pushEndpoint", "http://x", "must be an HTTPS address"),
    ("subscription", "topic", f"projects/{PROJECT}/topics/none", "was not found"),
    ("bucket", "name", "A-Lake", "Invalid resource name"),
    ("bucket", "location", "europe-west99", "location constraint is not valid"),
    ("bucket", "storageClass", "COLD", "Invalid storage class"),
    ("bucket", "softDeletePolicy", {"retentionDurationSeconds": "3600"}, "0, or 7 to 90 days"),
    ("sql", "settings.edition", None, "ENTERPRISE_PLUS edition"),
    ("sql", "settings.tier", "db-tiny", "Invalid Tier"),
    ("sql", "settings.ipConfiguration", {"ipv4Enabled": False, "privateNetwork": NETWORK}, "NETWORK_NOT_PEERED"),
    ("sql", "settings.ipConfiguration", {"ipv4Enabled": False}, "a public or a private address"),
    ("sql", "settings.backupConfiguration.enabled", False, "recovery needs backups"),
    ("cluster", "config.workerConfig", {"numInstances": 1}, "0 or at least 2 workers"),
    ("cluster", "config.masterConfig.numInstances", 2, "1 or 3 masters"),
    ("cluster", "config.masterConfig.machineTypeUri", "e2-tiny", "does not exist"),
    ("cluster", "config.masterConfig.machineTypeUri", "e2-custom-2-4000", "does not exist"),
    ("cluster", "config.masterConfig.machineTypeUri", "e2-custom-3-4096", "does not exist"),
    ("cluster", "config.masterConfig.machineTypeUri", "e2-custom-2-17408", "does not exist"),
    ("cluster", "config.masterConfig.machineTypeUri", "e2-medium", "a shared core are not supported"),
    ("cluster", "config.masterConfig.diskConfig", {"bootDiskSizeGb": 30}, "35 GB at least"),
    ("cluster", "config.softwareConfig.imageVersion", "newest", "Invalid image version"),
    ("cluster", "config.softwareConfig.properties", {"slots": "1"}, "A property is <file>:<name>"),
    ("instance", "machineType", f"{ZONE}/machineTypes/e2-smal", "machine type does not exist"),
    ("dataset", "location", "europe-west99", "Invalid location"),
    ("table", "schema.fields.0.type", "STRNG", "type or mode of a column"),
    ("table", "schema.fields.0.moode", "REQUIRED", 'Unknown name "moode"'),
    ("table", "timePartitioning.field", "day", "specified for partitioning"),
    ("table", "clustering.fields", ["symbol"], "specified for clustering"),
    ("table", "view", {"query": "SELECT 1 FROM `a.b.c`"}, "legacy SQL"),
    ("table", "view", {"query": "SELECT *${columns}", "useLegacySql": False}, "Illegal input character"),
    ("schedule", "schedule", "0 3 * *", "Schedule is invalid"),
    ("schedule", "timeZone", "Europe/Berlinn", "Invalid time zone"),
    ("schedule", "attemptDeadline", "3600s", "15 seconds to 30 minutes"),
    ("metric", "filter", "resource.type==", "Invalid filter"),
    ("metric", "filter", 'resource.type="a', "Invalid filter"),
    ("policy", "conditions.0.conditionThreshold.duration", "90s", "multiple of 60 s"),
    (
        "policy",
        "conditions.0.conditionThreshold.filter",
        'metric.type="logging.googleapis.com/user/no"',
        "Cannot find metric",
    ),
    ("policy", "notificationChannels", [f"projects/{PROJECT}/notificationChannels/42"], "was not found"),
    ("composer", "config.softwareConfig.imageVersion", "composer-2-airflow-2", "Invalid image version"),
    ("composer", "config.softwareConfig.envVariables", {"DAGS_FOLDER": "x"}, "reserved names"),
    ("zone", "dnsName", "pipeline.internal", "must end with a dot"),
]


def world() -> ControlPlane:
    """A project with what the resources name."""
    made = plane()
    post(made, COMPUTE, f"/compute/v1/projects/{PROJECT}/global/networks", {"name": "net"})
    send(made, "PUT", "pubsub.googleapis.com", f"/v1/projects/{PROJECT}/topics/events", {})
    post(made, "storage.googleapis.com", f"/storage/v1/b?project={PROJECT}", {"name": "source"})
    upload = "/upload/storage/v1/b/source/o?uploadType=media&name=f.zip"
    send(made, "POST", "storage.googleapis.com", upload, {})
    datasets = f"/bigquery/v2/projects/{PROJECT}/datasets"
    post(made, "bigquery.googleapis.com", datasets, {"datasetReference": {"datasetId": "market"}, "location": "EU"})
    known = {"name": "known", "filter": "severity=ERROR"}
    post(made, "logging.googleapis.com", f"/v2/projects/{PROJECT}/metrics", known)
    return made


def create(kind: str, change: tuple[str, Any] | None = None) -> None:
    """Create a resource with one value changed; NAME stands for the name in the address."""
    verb, host, target, right = KINDS[kind]
    body, name = copy.deepcopy(right), "some-name"
    if change and change[0] == "NAME":
        name = change[1]
    elif change:
        *parents, last = change[0].split(".")
        part = body
        for parent in parents:
            part = part[int(parent)] if isinstance(part, list) else part.setdefault(parent, {})
        part[last] = change[1]
    send(world(), verb, host, target.replace("NAME", name), body)


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_resource_is_accepted(kind: str) -> None:
    create(kind)


@pytest.mark.parametrize(("kind", "path", "value", "complaint"), WRONG)
def test_a_wrong_value_is_refused(kind: str, path: str, value: Any, complaint: str) -> None:
    with pytest.raises(Refused) as refused:
        create(kind, (path, value))
    assert complaint in refused.value.message
