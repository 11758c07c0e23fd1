"""Rules of Cloud Scheduler and Workflows.

https://cloud.google.com/scheduler/docs/reference/rest
"""

from __future__ import annotations

import re
import zoneinfo
from typing import Final

from local.control_plane.call import Call
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Resource, with_defaults

_JOBS: Final = "cloudscheduler.projects.locations.jobs"
_FIELD: Final = r"(\*|\d+(-\d+)?)(/\d+)?"
_CRON: Final = re.compile(rf"({_FIELD}(,{_FIELD})* ){{4}}[a-zA-Z\d*/,-]+|every \d+ (mins|minutes|hours).*")
_LONGEST_S: Final = 1800

RULES: Final = Rules(names={f"{_JOBS}.create": r"[A-Za-z0-9_-]{1,500}"})

RULES.refuses(
    _JOBS, "Invalid time zone", lambda call, r: r.get("timeZone", "Etc/UTC") not in zoneinfo.available_timezones()
)
RULES.refuses(_JOBS, "Schedule is invalid", lambda call, r: not _CRON.fullmatch(r.get("schedule", "")))
RULES.refuses(
    _JOBS,
    "attemptDeadline must be 15 seconds to 30 minutes",
    lambda call, r: not 15 <= float(r.get("attemptDeadline", "180s").removesuffix("s")) <= _LONGEST_S,
)


@RULES.handles(f"{_JOBS}.pause", f"{_JOBS}.resume")
def _pause(call: Call) -> Resource:
    job = call.existing()
    job["state"] = "PAUSED" if call.method.call == "pause" else "ENABLED"
    return job


@RULES.completes(_JOBS)
def _complete_job(_call: Call, job: Resource, _key: str) -> None:
    with_defaults(job, timeZone="Etc/UTC", attemptDeadline="180s", state="ENABLED")
    retries = job.setdefault("retryConfig", {})
    with_defaults(retries, retryCount=0, maxRetryDuration="0s", minBackoffDuration="5s", maxBackoffDuration="3600s")
    with_defaults(retries, maxDoublings=5)


@RULES.completes("workflows.projects.locations.workflows")
def _complete_workflow(_call: Call, workflow: Resource, _key: str) -> None:
    workflow.update(revisionId="000001-abc", state="ACTIVE")
