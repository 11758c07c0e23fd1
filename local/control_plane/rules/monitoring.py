"""Rules of Cloud Monitoring and Cloud Logging.

https://cloud.google.com/monitoring/api/ref_v3/rest, https://cloud.google.com/logging/docs/reference/v2/rest
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from local.control_plane.call import Call
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Refused, Resource, now

RULES: Final = Rules()

_METRIC: Final = re.compile(r'metric\.type\s*=\s*"([^"]+)"')
_USER_METRIC: Final = "logging.googleapis.com/user/"
_COMPARISON_AT_THE_END: Final = re.compile(r"(=~|!~|!=|[=:<>]|\b(AND|OR|NOT))\s*$")

RULES.refuses(
    "logging.projects.metrics",
    "Invalid filter: a comparison has no value, or parentheses or quotes are not balanced",
    lambda call, r: not _is_filter(r.get("filter", "")),
)
RULES.refuses(
    "monitoring.projects.alertPolicies",
    "A duration must be a multiple of 60 s, 7 days at most, and alignment periods 60 s at least",
    lambda call, r: any(not _is_timed(condition) for condition in r.get("conditions", [])),
)
RULES.refuses(
    "monitoring.projects.alertPolicies",
    "A policy with a condition of logs needs alertStrategy.notificationRateLimit",
    lambda call, r: (
        any("conditionMatchedLog" in condition for condition in r.get("conditions", []))
        and "notificationRateLimit" not in r.get("alertStrategy", {})
    ),
)


@RULES.completes("monitoring.projects.alertPolicies")
def _complete_policy(call: Call, policy: Resource, _key: str) -> None:
    policy.setdefault("enabled", True)
    for index, condition in enumerate(policy.get("conditions", [])):
        condition.setdefault("name", f"{policy['name']}/conditions/{index}")
    policy["creationRecord"] = {"mutateTime": now(), "mutatedBy": "x"}
    _require_metrics(call, policy)


@RULES.completes("monitoring.projects.dashboards")
def _complete_dashboard(call: Call, dashboard: Resource, _key: str) -> None:
    _require_metrics(call, dashboard)


def _require_metrics(call: Call, value: Any) -> None:
    """Refuse a filter on a log-based metric that does not exist."""
    for text in _filters(value):
        for metric in _METRIC.findall(text):
            name = metric.removeprefix(_USER_METRIC)
            key = f"logging.googleapis.com/v2/projects/{call.project}/metrics/{name}"
            if metric.startswith(_USER_METRIC) and key not in call.world.resources:
                raise Refused(404, f'Cannot find metric that matches type = "{metric}".', "notFound")


def _filters(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("filter"), str):
            yield value["filter"]
        for item in value.values():
            yield from _filters(item)
    elif isinstance(value, list):
        for item in value:
            yield from _filters(item)


def _is_filter(text: str) -> bool:
    bare = re.sub(r'"(\\.|[^"\\])*"', "v", text)
    is_balanced = bare.count("(") == bare.count(")") and '"' not in bare
    return is_balanced and not any(
        _COMPARISON_AT_THE_END.search(line) for line in [bare.strip()] if not line.startswith("--")
    )


def _is_timed(condition: Resource) -> bool:
    described = condition.get("conditionThreshold") or condition.get("conditionAbsent") or {}
    duration = float(str(described.get("duration", "0s")).removesuffix("s"))
    periods = [
        float(str(item.get("alignmentPeriod", "60s")).removesuffix("s")) for item in described.get("aggregations", [])
    ]
    return duration % 60 == 0 and duration <= 7 * 86400 and all(period >= 60 for period in periods)
