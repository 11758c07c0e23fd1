"""Rules of Pub/Sub.

https://cloud.google.com/pubsub/docs/reference/rest
"""

from __future__ import annotations

from typing import Final

from local.control_plane.call import Call
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Resource, with_defaults

_NAME: Final = r"(?!goog)[A-Za-z][A-Za-z0-9._~%+-]{2,254}"
_SUBSCRIPTIONS: Final = "pubsub.projects.subscriptions"

RULES: Final = Rules(names={"pubsub.projects.topics.create": _NAME, f"{_SUBSCRIPTIONS}.create": _NAME})

RULES.refuses(
    "pubsub.projects.topics",
    "messageRetentionDuration must be 10 minutes to 31 days",
    lambda call, r: not 600 <= _seconds(r.get("messageRetentionDuration", "600s")) <= 31 * 86400,
)
RULES.refuses(
    _SUBSCRIPTIONS,
    "ackDeadlineSeconds must be 10 to 600",
    lambda call, r: not 10 <= r.get("ackDeadlineSeconds", 10) <= 600,
)
RULES.refuses(
    _SUBSCRIPTIONS,
    "messageRetentionDuration must be 10 minutes to 31 days",
    lambda call, r: not 600 <= _seconds(r.get("messageRetentionDuration", "600s")) <= 31 * 86400,
)
RULES.refuses(
    _SUBSCRIPTIONS,
    "maxDeliveryAttempts must be 5 to 100",
    lambda call, r: not 5 <= r.get("deadLetterPolicy", {}).get("maxDeliveryAttempts", 5) <= 100,
)
RULES.refuses(
    _SUBSCRIPTIONS,
    "deadLetterTopic must be projects/<project>/topics/<topic>",
    lambda call, r: not r.get("deadLetterPolicy", {}).get("deadLetterTopic", "projects/").startswith("projects/"),
)
RULES.refuses(
    _SUBSCRIPTIONS,
    "a retry backoff must be 0 to 600 seconds",
    lambda call, r: any(not 0 <= _seconds(value) <= 600 for value in r.get("retryPolicy", {}).values()),
)
RULES.refuses(
    _SUBSCRIPTIONS, "a filter may have 256 characters at most", lambda call, r: len(r.get("filter", "")) > 256
)
RULES.refuses(
    _SUBSCRIPTIONS,
    "pushEndpoint must be an HTTPS address",
    lambda call, r: not r.get("pushConfig", {}).get("pushEndpoint", "https://").startswith("https://"),
)


@RULES.identifies("pubsub.projects.topics.create", f"{_SUBSCRIPTIONS}.create")
def _key(call: Call, resource: Resource) -> tuple[str, Resource]:
    return call.key, resource


@RULES.completes(_SUBSCRIPTIONS)
def _complete(_call: Call, subscription: Resource, _key: str) -> None:
    with_defaults(subscription, ackDeadlineSeconds=10, messageRetentionDuration="604800s", state="ACTIVE")
    with_defaults(subscription, expirationPolicy={"ttl": "2678400s"}, pushConfig={})


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))
