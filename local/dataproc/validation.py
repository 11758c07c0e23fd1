"""Validates the requests of the batch API: names, ids, and a batch as a Spark job. Pure.

Imported by batches.py. A feature of the real service that is not implemented here is refused, not ignored.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from google.cloud import dataproc_v1 as dataproc

from local.dataproc.driver import SparkJob, file_name

RUNTIMES: Final = {"2.3": "3.5", "3.0": "4.0"}
"""The Spark of each runtime version that Dataproc Serverless offers (read in November 2026)."""

DEFAULT_TTL: Final = dt.timedelta(hours=4)
SHORTEST_TTL: Final = dt.timedelta(minutes=10)
LONGEST_TTL: Final = dt.timedelta(days=14)

_DRIVER_ENVIRON = "spark.dataproc.driverEnv."
_NOT_HERE = {
    "pyspark_batch": ("jar_file_uris", "archive_uris"),
    "runtime_config": ("container_image",),
}


class RefusedError(Exception):
    """A request that the API refuses. `code`: the name of a gRPC status."""

    def __init__(
        self,
        code: Literal[
            "INVALID_ARGUMENT",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "FAILED_PRECONDITION",
            "RESOURCE_EXHAUSTED",
            "UNIMPLEMENTED",
        ],
        message: str,
    ) -> None:
        super().__init__(message)
        self.code = code


def canonical(name: str) -> str:
    """The resource name with `locations/`, for which the API also accepts `regions/`."""
    return re.sub(r"^(projects/[^/]+)/regions/", r"\1/locations/", name)


def parse_parent(parent: str) -> str:
    """The canonical name of a location. Raises RefusedError for any other text."""
    name = canonical(parent)
    if not re.fullmatch(r"projects/[a-z][a-z0-9:.-]*/locations/[a-z][a-z0-9-]*", name):
        raise RefusedError("INVALID_ARGUMENT", f"parent must be projects/PROJECT/locations/REGION, got {parent!r}")
    return name


def parse_batch_id(batch_id: str) -> str:
    """`batch_id` unchanged. Raises RefusedError for one that the service does not accept."""
    pattern = r"[a-z0-9][a-z0-9-]{2,61}[a-z0-9]"
    if not re.fullmatch(pattern, batch_id):
        raise RefusedError("INVALID_ARGUMENT", f"batch_id must match {pattern} (4 to 63 characters), got {batch_id!r}")
    return batch_id


def parse_request_id(request_id: str) -> str | None:
    """`request_id`, or None for an empty one. Raises RefusedError for one that the service does not accept."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,40}", request_id):
        raise RefusedError("INVALID_ARGUMENT", f"request_id must be at most 40 of [A-Za-z0-9_-], got {request_id!r}")
    return request_id or None


def parse_filter(text: str) -> int | None:
    """The state in a filter such as `state = RUNNING`; None for an empty one. Raises RefusedError for any other."""
    if not text.strip():
        return None
    match = re.fullmatch(r"\s*state\s*[=:]\s*\"?([A-Z_]+)\"?\s*", text)
    if not match:
        raise RefusedError("UNIMPLEMENTED", f"this stand-in filters by `state = STATE` only, got {text!r}")
    state = getattr(dataproc.Batch.State, match[1], None)
    if not isinstance(state, int):
        raise RefusedError("INVALID_ARGUMENT", f"state must be a batch's, such as RUNNING, got {match[1]}")
    return state


def parse_ttl(batch: dataproc.Batch, shortest: dt.timedelta = SHORTEST_TTL) -> dt.timedelta:
    """The time that the batch may run. Raises RefusedError for one that the service does not permit."""
    ttl = batch.environment_config.execution_config.ttl
    if not ttl:
        return DEFAULT_TTL
    assert isinstance(ttl, dt.timedelta)
    if not shortest <= ttl <= LONGEST_TTL:
        raise RefusedError("INVALID_ARGUMENT", f"ttl must be from {shortest} to {LONGEST_TTL}, got {ttl}")
    return ttl


def parse_job(batch: dataproc.Batch, installed_spark: str) -> SparkJob:
    """The Spark job of `batch`. Raises RefusedError when it is wrong, or when `installed_spark` cannot run it."""
    kind = dataproc.Batch.pb(batch).WhichOneof("batch_config")
    if kind is None:
        raise RefusedError("INVALID_ARGUMENT", "batch_config must be set, for example pyspark_batch")
    if kind != "pyspark_batch":
        raise RefusedError("UNIMPLEMENTED", f"this stand-in runs pyspark_batch only, got {kind}")
    _refuse_what_is_not_here(batch)
    _check_runtime(batch.runtime_config.version, installed_spark)
    job = batch.pyspark_batch
    _check_files("main_python_file_uri", [job.main_python_file_uri], (".py",))
    _check_files("python_file_uris", job.python_file_uris, (".py", ".egg", ".zip"))
    _check_files("file_uris", job.file_uris, ("",))
    _check_unique_names([job.main_python_file_uri, *job.python_file_uris, *job.file_uris])
    properties = dict(batch.runtime_config.properties)
    _check_resources(properties)
    if wrong := sorted(name for name in properties if not name.startswith("spark.")):
        raise RefusedError("INVALID_ARGUMENT", f"properties must begin with `spark.`, got {', '.join(wrong)}")
    return SparkJob(
        main=job.main_python_file_uri,
        python_files=tuple(job.python_file_uris),
        files=tuple(job.file_uris),
        args=tuple(job.args),
        conf={name: value for name, value in properties.items() if not name.startswith(_DRIVER_ENVIRON)},
        environ={
            name.removeprefix(_DRIVER_ENVIRON): value
            for name, value in properties.items()
            if name.startswith(_DRIVER_ENVIRON)
        },
    )


def _check_resources(properties: Mapping[str, str]) -> None:
    """Refuse sizes that the service does not offer, although this machine does not apply those of executors.

    Source: cloud.google.com/dataproc-serverless/docs/concepts/properties, for the standard tier.
    """
    for role in ("driver", "executor"):
        cores = properties.get(f"spark.{role}.cores", "4")
        if cores not in ("4", "8", "16"):
            raise RefusedError("INVALID_ARGUMENT", f"spark.{role}.cores must be 4, 8 or 16, got {cores}")
        memory = properties.get(f"spark.{role}.memory")
        if memory is None:
            continue
        heap = _mebibytes(f"spark.{role}.memory", memory)
        overhead = properties.get(f"spark.{role}.memoryOverhead", f"{max(384, heap // 10)}m")
        each = (heap + _mebibytes(f"spark.{role}.memoryOverhead", overhead)) / int(cores)
        if not 1024 <= each <= 7424:  # the service's limits
            raise RefusedError(
                "INVALID_ARGUMENT",
                f"spark.{role}.memory and memoryOverhead must be 1024m to 7424m a core, got {each:.0f}m",
            )
    instances = properties.get("spark.executor.instances", "2")
    if not re.fullmatch("[0-9]{1,4}", instances) or not 2 <= int(instances) <= 2000:  # as above
        raise RefusedError("INVALID_ARGUMENT", f"spark.executor.instances must be 2 to 2000, got {instances}")


def _mebibytes(name: str, text: str) -> int:
    match = re.fullmatch(r"([0-9]+)([mg])", text)
    if not match:
        raise RefusedError("INVALID_ARGUMENT", f"{name} must be such as 4096m or 4g, got {text!r}")
    return int(match[1]) * (1024 if match[2] == "g" else 1)


def _refuse_what_is_not_here(batch: dataproc.Batch) -> None:
    for part, fields in _NOT_HERE.items():
        for field in fields:
            if getattr(getattr(batch, part), field):
                raise RefusedError("UNIMPLEMENTED", f"this stand-in does not support {part}.{field}")


def _check_runtime(version: str, installed_spark: str) -> None:
    if version not in RUNTIMES:
        known = " or ".join(RUNTIMES)
        raise RefusedError("INVALID_ARGUMENT", f"runtime_config.version must be {known}, got {version!r}")
    if not installed_spark.startswith(f"{RUNTIMES[version]}."):
        spark = RUNTIMES[version]
        message = f"runtime {version} has Spark {spark}, and Spark {installed_spark} is installed here"
        raise RefusedError("UNIMPLEMENTED", message)


def _check_files(field: str, uris: Iterable[str], suffixes: tuple[str, ...]) -> None:
    for uri in uris:
        if not re.fullmatch(r"(gs://[^/]+|file://)?/.*[^/]", uri):
            raise RefusedError(
                "INVALID_ARGUMENT", f"{field} must be gs://BUCKET/OBJECT or an absolute path, got {uri!r}"
            )
        if not uri.endswith(suffixes):
            raise RefusedError("INVALID_ARGUMENT", f"{field} must end with {' or '.join(suffixes)}, got {uri!r}")


def _check_unique_names(uris: Iterable[str]) -> None:
    # All files lie in the driver's working directory.
    names = [file_name(uri) for uri in uris]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise RefusedError(
            "INVALID_ARGUMENT", f"files of one batch need different names, repeated: {', '.join(repeated)}"
        )
