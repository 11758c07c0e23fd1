"""What each account of a plan may do, and what the calls of each program need.

Imported by tests/terraform. The permissions of Google's roles are those of cloud.google.com/iam/docs/roles-permissions,
as far as a call of a program needs them; a test fails for a role that is not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.support.terraform import Plan

_OBJECT_READ: Final = ("storage.objects.get", "storage.objects.list")
_OBJECT_WRITE: Final = (*_OBJECT_READ, "storage.objects.create", "storage.objects.delete", "storage.objects.update")
_READ_DATA: Final = ("bigquery.tables.get", "bigquery.tables.getData", "bigquery.tables.list")
_WRITE_DATA: Final = (*_READ_DATA, "bigquery.tables.updateData", "bigquery.tables.create", "bigquery.tables.delete")
_READ_SESSION: Final = ("bigquery.readsessions.create", "bigquery.readsessions.getData")

ROLES: Final[dict[str, tuple[str, ...]]] = {
    "roles/artifactregistry.reader": ("artifactregistry.repositories.downloadArtifacts",),
    "roles/bigquery.dataEditor": _WRITE_DATA,
    "roles/bigquery.dataViewer": _READ_DATA,
    "roles/bigquery.jobUser": ("bigquery.jobs.create",),
    "roles/bigquery.readSessionUser": _READ_SESSION,
    "roles/composer.worker": ("composer.environments.get", "logging.logEntries.create"),
    "roles/dataproc.worker": ("dataproc.agents.create", "dataproc.tasks.lease", "logging.logEntries.create"),
    "roles/iam.serviceAccountTokenCreator": (
        "iam.serviceAccounts.getOpenIdToken",
        "iam.serviceAccounts.getAccessToken",
    ),
    "roles/iam.serviceAccountUser": ("iam.serviceAccounts.actAs",),
    "roles/iap.httpsResourceAccessor": ("iap.webServiceVersions.accessViaIAP",),
    "roles/logging.logWriter": ("logging.logEntries.create",),
    "roles/monitoring.metricWriter": ("monitoring.timeSeries.create",),
    "roles/pubsub.publisher": ("pubsub.topics.publish",),
    "roles/pubsub.subscriber": ("pubsub.subscriptions.consume",),
    "roles/run.invoker": ("run.routes.invoke", "run.jobs.run"),
    "roles/secretmanager.secretAccessor": ("secretmanager.versions.access",),
    "roles/storage.objectUser": _OBJECT_WRITE,
    "roles/storage.objectViewer": _OBJECT_READ,
}

LAKE, STAGING, ARTIFACTS = "bucket lake", "bucket staging", "bucket artifacts"

_SUBMITS: Final = {
    *(("project", f"dataproc.batches.{verb}") for verb in ("create", "get", "list")),
    *{("project", "bigquery.jobs.create"), ("project", "bigquery.readsessions.create")},
    *{("account candles-batch", "iam.serviceAccounts.actAs"), ("service fetch-archive", "run.routes.invoke")},
    *{(STAGING, "storage.objects.create"), ("dataset market", "bigquery.tables.getData")},
}

NEEDS: Final[dict[str, set[tuple[str, str]]]] = {
    # Lists a symbol's raw objects, uploads to staging, rewrites to raw/, deletes what was staged.
    "fetch-archive": {
        *((f"{LAKE} raw/", permission) for permission in _OBJECT_WRITE[:4]),
        *(
            (STAGING, permission)
            for permission in ("storage.objects.get", "storage.objects.create", "storage.objects.delete")
        ),
    },
    # Reads raw files and its manifest, stages objects and candles, publishes them, then moves objects into the lake.
    "candles-batch": {
        *((LAKE, permission) for permission in _OBJECT_READ),
        *(
            (f"{LAKE} {prefix}", permission)
            for prefix in ("trades/", "quarantine/")
            for permission in _OBJECT_WRITE[:4]
        ),
        *((STAGING, permission) for permission in _OBJECT_WRITE[:4]),
        *((ARTIFACTS, permission) for permission in _OBJECT_READ),
        *(("dataset market", permission) for permission in _WRITE_DATA),
        *{("project", "bigquery.jobs.create"), ("project", "dataproc.tasks.lease")},
    },
    "pipeline": {*_SUBMITS, *((LAKE, permission) for permission in _OBJECT_READ)},
    "scheduler": {("job daily", "run.jobs.run")},
    "publish-live": {
        *(("dataset market", permission) for permission in ("bigquery.tables.getData", "bigquery.tables.updateData")),
        ("project", "bigquery.jobs.create"),
    },
    "archive-live": {(f"{LAKE} trades_live/", f"storage.objects.{verb}") for verb in ("create", "delete")},
    "producer": {("topic market-events", "pubsub.topics.publish")},
    "dashboard": {
        *{("project", "bigquery.jobs.create"), ("project", "bigquery.readsessions.create")},
        ("dataset market", "bigquery.tables.getData"),
    },
    "store-setup": set(),
    "broker": {
        ("repository pipeline", "artifactregistry.repositories.downloadArtifacts"),
        *{("project", "logging.logEntries.create"), ("project", "monitoring.timeSeries.create")},
    },
    # Checkpoints, the bundle, and the cluster's own agent.
    "candles-stream": {
        *(("bucket flink", permission) for permission in _OBJECT_WRITE[:4]),
        *{(ARTIFACTS, "storage.objects.get"), ("project", "dataproc.agents.create")},
    },
}
"""What the calls of each account's program need; the secrets of each are held by the names of its variables."""

LIVE_NEEDS: Final = {
    "scheduler": {("service publish-live", "run.routes.invoke"), ("service archive-live", "run.routes.invoke")},
}
COMPOSER_NEEDS: Final = {
    "composer": {
        *_SUBMITS,
        *{("project", "composer.environments.get"), ("topic market-events", "pubsub.topics.publish")},
        *(("bucket dags", permission) for permission in _OBJECT_READ),
    }
}

_PLACES: Final = {
    "google_project_iam_member": ("project", None),
    "google_storage_bucket_iam_member": ("bucket", "bucket"),
    "google_bigquery_dataset_iam_member": ("dataset", "dataset_id"),
    "google_pubsub_topic_iam_member": ("topic", "topic"),
    "google_pubsub_subscription_iam_member": ("subscription", "subscription"),
    "google_secret_manager_secret_iam_member": ("secret", "secret_id"),
    "google_cloud_run_v2_service_iam_member": ("service", "name"),
    "google_cloud_run_v2_job_iam_member": ("job", "name"),
    "google_service_account_iam_member": ("account", "service_account_id"),
    "google_artifact_registry_repository_iam_member": ("repository", "repository"),
    "google_iap_web_cloud_run_service_iam_member": ("service", "cloud_run_service_name"),
}


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A role of a member on a place: `project`, `bucket lake raw/`, `dataset market` and so on."""

    member: str
    place: str
    role: str


def grants(plan: Plan) -> list[Grant]:
    """All grants of a plan; one with prefixes is one grant for each of them."""
    return sorted(set(_grants(plan)))


def _grants(plan: Plan) -> Iterator[Grant]:
    for each in plan.resources:
        if "_iam_" not in each.kind or each.kind == "google_project_iam_custom_role":
            continue
        kind, attribute = _PLACES[each.kind]  # a KeyError names a kind of grant that is not examined here
        name = "" if attribute is None else str(each.values[attribute])
        if kind == "bucket":
            name = name.removeprefix(f"{plan.outputs['project']}-")
        elif kind in ("account", "repository"):
            name = name.rpartition("/")[2].partition("@")[0]
        place = f"{kind} {name}".strip()
        member = re.sub(r"^serviceAccount:([a-z-]+)@demo-project[.].*$", r"\1", each.values["member"])
        expression = (each.values.get("condition") or [{}])[0].get("expression", "")
        for prefix in re.findall(r"/objects/([a-z_]+/)", expression) or [""]:
            yield Grant(member, f"{place} {prefix}".strip(), each.values["role"])


def permissions(plan: Plan, role: str) -> tuple[str, ...]:
    """The permissions of a role. Raises KeyError for a role that is not known here, a misspelled one among them."""
    custom = {
        f"projects/{each.values['project']}/roles/{each.values['role_id']}": each
        for each in plan.of("google_project_iam_custom_role")
    }
    return tuple(custom[role].values["permissions"]) if role in custom else ROLES[role]


def needs(plan: Plan) -> dict[str, set[tuple[str, str]]]:
    """What each account of a plan needs."""
    accounts = set(plan.outputs["service_accounts"])
    wanted = {name: set(NEEDS.get(name, ())) for name in accounts}
    for further in (LIVE_NEEDS if "producer" in accounts else {}, COMPOSER_NEEDS if "composer" in accounts else {}):
        for name, more in further.items():
            wanted[name] |= more
    if "composer" in accounts:
        wanted["scheduler"].discard(("job daily", "run.jobs.run"))
    return wanted


def lacking(plan: Plan) -> list[str]:
    """What programs need and may not do, as sentences."""
    may = {
        (grant.member, grant.place, permission)
        for grant in grants(plan)
        for permission in permissions(plan, grant.role)
    }
    return [
        f"{account} lacks {permission} on {place}"
        for account, wanted in sorted(needs(plan).items())
        for place, permission in sorted(wanted)
        if (account, place, permission) not in may
    ]


def superfluous(plan: Plan) -> list[Grant]:
    """The grants of accounts that no need asks for; secrets aside, which the names of variables hold."""
    wanted = needs(plan)
    return [
        grant
        for grant in grants(plan)
        if grant.member in wanted
        and not grant.place.startswith("secret ")
        and not any((grant.place, permission) in wanted[grant.member] for permission in permissions(plan, grant.role))
    ]


def table(plan: Plan) -> str:
    """What each account may do, as a table in Markdown."""
    lines = ["| Account | May | On |", "|---|---|---|"]
    roles: dict[tuple[str, str], list[str]] = {}
    for grant in grants(plan):
        roles.setdefault((grant.member, grant.role), []).append(grant.place)
    for (member, role), places in sorted(roles.items()):
        secrets = [place.removeprefix("secret ") for place in places if place.startswith("secret ")]
        others = [place for place in places if not place.startswith("secret ")]
        shown = ", ".join([*others, *(["secrets " + ", ".join(secrets)] if secrets else [])])
        lines.append(f"| {member} | `{role.removeprefix('roles/')}` | {shown} |")
    return "\n".join(lines) + "\n"
