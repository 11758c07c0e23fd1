"""Rules of Cloud Run (services, worker pools, jobs), Cloud Functions and Artifact Registry.

https://cloud.google.com/run/docs/reference/rest/v2, https://cloud.google.com/functions/docs/reference/rest/v2
https://cloud.google.com/artifact-registry/docs/reference/rest
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from local.control_plane.call import Call
from local.control_plane.operations import answer
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Resource, now, with_defaults

_RUN: Final = "run.projects.locations"
_FUNCTIONS: Final = "cloudfunctions.projects.locations.functions"
_SHORT_NAME: Final = r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?"
_LONG_NAME: Final = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"

RULES: Final = Rules(
    names={
        f"{_RUN}.services.create": _SHORT_NAME,
        f"{_RUN}.workerPools.create": _SHORT_NAME,
        f"{_RUN}.jobs.create": _LONG_NAME,
        f"{_FUNCTIONS}.create": _LONG_NAME,
        "artifactregistry.projects.locations.repositories.create": _LONG_NAME,
    }
)

_PROCESSORS: Final = {"1", "2", "4", "6", "8", "1000m", "2000m", "4000m", "6000m", "8000m"}
_LEAST_MEMORY_MIB: Final = {"4": 2048, "4000m": 2048, "6": 4096, "6000m": 4096, "8": 4096, "8000m": 4096}
_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|K|M|G)?")
_MIB: Final = {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024, "K": 0.001, "M": 0.954, "G": 953.7}
_LONGEST_S: Final = {"services": 3600, "jobs": 7 * 86400}

for _kind in ("services", "workerPools", "jobs"):
    RULES.refuses(
        f"{_RUN}.{_kind}",
        "Invalid value specified for cpu: it is 1, 2, 4, 6 or 8, or at least 0.08 and below 1",
        lambda call, r: any(not _is_cpu(limits.get("cpu", "1")) for limits in _limits(r)),
    )
    RULES.refuses(
        f"{_RUN}.{_kind}",
        "Invalid value specified for memory: it is 128Mi to 32Gi, 2Gi at least with 4 CPUs, 4Gi with 6 or 8",
        lambda call, r: any(not _is_memory(limits) for limits in _limits(r)),
    )
RULES.refuses(
    f"{_RUN}.services",
    "The timeout of a request may be 3600s at most",
    lambda call, r: _seconds(r.get("template", {}).get("timeout", "300s")) > _LONGEST_S["services"],
)
RULES.refuses(
    f"{_RUN}.services",
    "maxInstanceRequestConcurrency is 1 to 1000",
    lambda call, r: not 1 <= r.get("template", {}).get("maxInstanceRequestConcurrency", 80) <= 1000,
)
RULES.refuses(
    f"{_RUN}.jobs",
    "The timeout of a task may be 7 days at most",
    lambda call, r: _seconds(_template(r).get("timeout", "600s")) > _LONGEST_S["jobs"],
)
RULES.refuses(
    _FUNCTIONS,
    "The timeout of a function called by HTTP is 1 to 3600 s, of one triggered by an event 540 s at most",
    lambda call, r: (
        not (1 <= r.get("serviceConfig", {}).get("timeoutSeconds", 60) <= (540 if r.get("eventTrigger") else 3600))
    ),
)
RULES.refuses(
    _FUNCTIONS,
    "Invalid value specified for memory",
    lambda call, r: not _is_memory({"memory": r.get("serviceConfig", {}).get("availableMemory", "256M")}),
)
RULES.refuses(
    _FUNCTIONS,
    "Invalid runtime",
    lambda call, r: not re.fullmatch(r"python3(9|1[0-4])", r.get("buildConfig", {}).get("runtime", "")),
)
RULES.refuses(
    _FUNCTIONS,
    "Could not find the source object: it has to be in the bucket before",
    lambda call, r: not _has_source(call, r),
)


@RULES.completes(f"{_RUN}.services", f"{_RUN}.workerPools", f"{_RUN}.jobs")
def _complete(call: Call, resource: Resource, key: str) -> None:
    kind, name = key.split("/")[-2:]
    region = key.partition("/locations/")[2].partition("/")[0]
    resource["terminalCondition"] = {
        "type": "Ready",
        "state": "CONDITION_SUCCEEDED",
        "lastTransitionTime": now(),
    }
    resource["reconciling"] = False
    with_defaults(resource, launchStage="GA", creator="x@example.com", lastModifier="x@example.com")
    template = _template(resource)
    account = f"{call.world.number}-compute@developer.gserviceaccount.com"
    with_defaults(template, serviceAccount=account)
    for container in template.get("containers", []):
        with_defaults(container.setdefault("resources", {}), limits={"cpu": "1000m", "memory": "512Mi"})
    if kind == "jobs":
        with_defaults(template, maxRetries=3, timeout="600s", executionEnvironment="EXECUTION_ENVIRONMENT_GEN2")
        with_defaults(resource["template"], taskCount=1, parallelism=0)
        return
    revision = f"{resource['name']}/revisions/{name}-{int(resource['generation']):05}-abc"
    resource["latestReadyRevision"] = resource["latestCreatedRevision"] = revision
    if kind == "services":
        _complete_service(call, resource, name, region)


def _complete_service(call: Call, service: Resource, name: str, region: str) -> None:
    service["uri"] = f"https://{name}-{call.world.number}.{region}.run.app"
    service["urls"] = [service["uri"]]
    traffic = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]
    with_defaults(service, traffic=traffic, ingress="INGRESS_TRAFFIC_ALL")
    template = service.setdefault("template", {})
    with_defaults(template, timeout="300s", maxInstanceRequestConcurrency=80)
    for index, container in enumerate(template.get("containers", [])):
        if index == 0:
            with_defaults(container, ports=[{"name": "http1", "containerPort": 8080}])
        for port in container.get("ports", []):
            port.setdefault("name", "http1")
        if container.get("ports"):
            probe: Resource = {"timeoutSeconds": 240, "periodSeconds": 240, "failureThreshold": 1}
            probe["tcpSocket"] = {"port": container["ports"][0]["containerPort"]}
            with_defaults(container, startupProbe=probe)


@RULES.handles(f"{_RUN}.jobs.run")
def _run_job(call: Call) -> Resource:
    """The execution ends at once: the stand-in starts no container."""
    job = call.existing()
    execution = {
        "name": f"{job['name']}/executions/{call.world.next_number()}",
        "succeededCount": 1,
        "job": job["name"],
    }
    return answer(call, {**execution, "completionTime": now()}, "")


@RULES.completes(_FUNCTIONS)
def _complete_function(call: Call, function: Resource, key: str) -> None:
    name = key.rpartition("/")[2]
    region = key.partition("/locations/")[2].partition("/")[0]
    place, number = f"projects/{call.project}/locations/{region}", call.world.number
    url = f"https://{region}-{call.project}.cloudfunctions.net/{name}"
    function.update(state="ACTIVE", environment="GEN_2", url=url)
    service = function.setdefault("serviceConfig", {})
    service.update(
        uri=f"https://{name}-{number}.{region}.run.app",
        service=f"{place}/services/{name}",
        revision=f"{name}-00001-abc",
    )
    account = f"{number}-compute@developer.gserviceaccount.com"
    with_defaults(service, timeoutSeconds=60, maxInstanceCount=100, ingressSettings="ALLOW_ALL", availableCpu="0.1666")
    with_defaults(service, availableMemory="256M", maxInstanceRequestConcurrency=1, serviceAccountEmail=account)
    with_defaults(service, allTrafficOnLatestRevision=True)
    build = function.setdefault("buildConfig", {})
    with_defaults(build, build=f"projects/{number}/locations/{region}/builds/1", dockerRegistry="ARTIFACT_REGISTRY")
    with_defaults(build, dockerRepository=f"{place}/repositories/gcf-artifacts", automaticUpdatePolicy={})
    with_defaults(build, serviceAccount=f"projects/{call.project}/serviceAccounts/{account}")
    if "eventTrigger" in function:
        trigger = f"{place}/triggers/{name}-1"
        with_defaults(function["eventTrigger"], trigger=trigger, triggerRegion=region)
    shown = {"name": service["service"], "uri": service["uri"], "generation": "1", "template": {}}
    call.store(f"run.googleapis.com/v2/{service['service']}", shown)


@RULES.handles(f"{_FUNCTIONS}.delete")
def _delete_function(call: Call) -> Resource:
    function = call.existing()
    call.world.remove(f"run.googleapis.com/v2/{function['serviceConfig']['service']}")
    call.world.remove(call.key)
    return answer(call, None, "delete")


@RULES.completes("artifactregistry.projects.locations.repositories")
def _complete_repository(call: Call, repository: Resource, key: str) -> None:
    host = f"{call.arguments['locationsId']}-docker.pkg.dev"
    scanning = {"enablementState": "SCANNING_DISABLED"}
    with_defaults(repository, mode="STANDARD_REPOSITORY", sizeBytes="0", vulnerabilityScanningConfig=scanning)
    with_defaults(repository, registryUri=f"{host}/{call.project}/{key.rpartition('/')[2]}")


def _template(resource: Resource) -> Resource:
    """The template of a service, a worker pool, or of a job's tasks."""
    template: Resource = resource.get("template", {})
    inner: Resource = template.get("template", template)
    return inner


def _limits(resource: Resource) -> Iterator[Resource]:
    for container in _template(resource).get("containers", []):
        yield container.get("resources", {}).get("limits", {})


def _is_cpu(text: str) -> bool:
    if text in _PROCESSORS:
        return True
    try:
        share = float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)
    except ValueError:
        return False
    return 0.08 <= share < 1


def _is_memory(limits: Resource) -> bool:
    match = _MEMORY.fullmatch(limits.get("memory", "512Mi"))
    if not match:
        return False
    mib = float(match[1]) * _MIB.get(match[2] or "", 1 / 1048576)
    return _LEAST_MEMORY_MIB.get(limits.get("cpu", "1"), 120) <= mib <= 32768


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def _has_source(call: Call, function: Resource) -> bool:
    source = function.get("buildConfig", {}).get("source", {}).get("storageSource", {})
    key = f"storage.googleapis.com/storage/v1/b/{source.get('bucket')}/o/{source.get('object')}"
    return key in call.world.resources
