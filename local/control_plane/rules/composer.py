"""Rules of Composer 3 environments.

https://cloud.google.com/composer/docs/reference/rest
"""

from __future__ import annotations

import re
from typing import Final

from local.control_plane.call import Call
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Resource, with_defaults

_ENVIRONMENTS: Final = "composer.projects.locations.environments"
_IMAGE: Final = r"composer-3-airflow-\d+(\.\d+(\.\d+(-build\.\d+)?)?)?"
_RESERVED: Final = {"AIRFLOW_HOME", "C_FORCE_ROOT", "CONTAINER_NAME", "DAGS_FOLDER", "GCP_PROJECT", "GCS_BUCKET"}

RULES: Final = Rules(names={f"{_ENVIRONMENTS}.create": r"[a-z]([-a-z0-9]{0,62}[a-z0-9])?"})

RULES.refuses(
    _ENVIRONMENTS,
    "Invalid image version of Composer 3",
    lambda call, r: not re.fullmatch(_IMAGE, _software(r).get("imageVersion") or "composer-3-airflow-2"),
)
RULES.refuses(
    _ENVIRONMENTS,
    "Environment variables may not have reserved names",
    lambda call, r: _RESERVED & set(_software(r).get("envVariables", {})),
)


@RULES.completes(_ENVIRONMENTS)
def _complete(call: Call, environment: Resource, _key: str) -> None:
    config = environment.setdefault("config", {})
    environment.update(state="RUNNING", uuid="0-1")
    with_defaults(environment, storageConfig={"bucket": "composer-bucket"})
    with_defaults(config, gkeCluster=f"projects/{call.project}/locations/x/clusters/composer")
    with_defaults(config, dagGcsPrefix="gs://composer-bucket/dags", airflowUri="https://composer.example.com")
    with_defaults(config, environmentSize="ENVIRONMENT_SIZE_SMALL", databaseConfig={"zone": ""}, encryptionConfig={})
    with_defaults(config.setdefault("softwareConfig", {}), pythonVersion="3", webServerPluginsMode="PLUGINS_ENABLED")
    with_defaults(config.setdefault("nodeConfig", {}), composerInternalIpv4CidrBlock="100.64.128.0/20")
    anywhere = {"allowedIpRanges": [{"value": "0.0.0.0/0"}, {"value": "::0/0"}]}
    week = {"startTime": "1970-01-01T00:00:00Z", "endTime": "1970-01-01T04:00:00Z"}
    logs = {"storageMode": "CLOUD_LOGGING_AND_CLOUD_STORAGE"}
    retention = {
        "taskLogsRetentionConfig": logs,
        "airflowMetadataRetentionConfig": {"retentionMode": "RETENTION_MODE_DISABLED"},
    }
    with_defaults(config, webServerNetworkAccessControl=anywhere, dataRetentionConfig=retention)
    with_defaults(config, maintenanceWindow={**week, "recurrence": "FREQ=WEEKLY;BYDAY=FR,SA,SU"})


def _software(environment: Resource) -> Resource:
    found: Resource = environment.get("config", {}).get("softwareConfig", {})
    return found
