"""The REST API of a Flink cluster, as far as the job's recovery needs it.

Imported by `candles_stream.keeper`. Source: Flink 2.2, "REST API". Every method raises OSError when the cluster does
not answer.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

_TIMEOUT_S: Final = 10
_ENDED: Final = {"FINISHED", "CANCELED", "FAILED", "SUSPENDED"}


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that has not ended. `is_whole`: all of its tasks run."""

    job_id: str
    is_whole: bool


class FlinkRest:
    """A cluster by its address, `http://host:port`."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def job(self, name: str) -> RunningJob | None:
        """The job of this name that has not ended."""
        for item in self._get("/jobs/overview")["jobs"]:
            if item["name"] == name and item["state"] not in _ENDED:
                is_whole = item["state"] == "RUNNING" and item["tasks"]["running"] == item["tasks"]["total"]
                return RunningJob(item["jid"], is_whole)
        return None

    def class_path(self) -> list[str]:
        """The jars on the cluster's class path."""
        found: list[str] = self._get("/jobmanager/environment")["classpath"]
        return found

    def failures(self, job_id: str) -> list[str]:
        """The stack traces of a job's failures, the newest first."""
        return [item["stacktrace"] for item in self._get(f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]]

    def restored(self, job_id: str) -> str | None:
        """The URI of the checkpoint that a job has restored; None when it began without one."""
        restored = self._checkpoints(job_id)["restored"]
        return None if restored is None else str(restored["external_path"])

    def has_checkpoint(self, job_id: str) -> bool:
        """True when a job has completed a checkpoint of its own."""
        return self._checkpoints(job_id)["completed"] is not None

    def cancel(self, job_id: str) -> None:
        """Cancel a job, which retains its checkpoints."""
        self._request(f"/jobs/{job_id}?mode=cancel", "PATCH")

    def _checkpoints(self, job_id: str) -> Any:
        return self._get(f"/jobs/{job_id}/checkpoints")["latest"]

    def _get(self, path: str) -> Any:
        return json.loads(self._request(path, "GET"))

    def _request(self, path: str, method: str) -> bytes:
        request = urllib.request.Request(f"{self._url}{path}", method=method)  # noqa: S310  # an http address of ours
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return answer.read()  # type: ignore[no-any-return]
