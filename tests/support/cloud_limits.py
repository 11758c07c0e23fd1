"""Limits of Google Cloud that neither Terraform nor its provider checks before an apply.

Imported by tests/terraform. A rule is a sentence about one kind of resource, and a function of the resource's values
that is true where the rule holds. The limits are those of the resource's page at cloud.google.com.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.support.terraform import UNKNOWN, Plan

Rule = tuple[str, str, Callable[[dict[str, Any]], bool]]

_CRON: Final = re.compile(r"([0-9*/,-]+ ){4}[0-9*/,-]+")
_LABEL: Final = re.compile("[a-z][a-z0-9_-]{0,62}")
_MACHINES: Final = {
    "e2-small",
    "e2-medium",
    *(f"{family}-standard-{size}" for family in ("e2", "n2") for size in (2, 4, 8)),
    *(f"e2-custom-2-{mib}" for mib in range(1024, 16385, 256)),
}
_CPUS: Final = {"0.5": 2048, "1": 4096, "2": 8192, "4": 16384}
"""Most MiB of memory of an instance of Cloud Run by its vCPUs."""


def _fits(pattern: str, value: object) -> bool:
    return value == UNKNOWN or re.fullmatch(pattern, str(value)) is not None


def _seconds(text: object) -> float:
    return float(str(text).removesuffix("s"))


def _container(values: dict[str, Any]) -> dict[str, Any]:
    template = values["template"][0]
    first: dict[str, Any] = template.get("template", [template])[0]["containers"][0]
    return first


def _fitting(values: dict[str, Any]) -> bool:
    limits = _container(values)["resources"][0]["limits"]
    return int(limits["memory"].removesuffix("Mi")) <= _CPUS.get(limits["cpu"], 0)


def _aggregations(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for condition in values["conditions"]:
        for kind in ("condition_threshold", "condition_absent"):
            for each in condition[kind]:
                yield {**each["aggregations"][0], "duration": each["duration"]}


def _rules() -> Iterator[Rule]:
    bucket = "[a-z0-9][a-z0-9_.-]{1,61}[a-z0-9]"
    yield "google_storage_bucket", "a bucket's name is 3 to 63 of [a-z0-9_.-]", lambda v: _fits(bucket, v["name"])
    yield (
        "google_storage_bucket",
        "soft delete is 0 or 7 to 90 days",
        lambda v: all(
            kept in (0, UNKNOWN) or 604_800 <= kept <= 7_776_000
            for policy in _blocks(v, "soft_delete_policy")
            for kept in [policy["retention_duration_seconds"]]
        ),
    )
    yield (
        "google_bigquery_dataset",
        "a dataset's id has no dash",
        lambda v: _fits("[A-Za-z0-9_]{1,1024}", v["dataset_id"]),
    )
    yield (
        "google_bigquery_dataset",
        "time travel is 48 to 168 hours",
        lambda v: 48 <= int(v["max_time_travel_hours"]) <= 168,
    )
    yield (
        "google_bigquery_table",
        "a view says that it is not in legacy SQL",
        lambda v: all(view["use_legacy_sql"] is False for view in v["view"] or ()),
    )
    yield (
        "google_pubsub_subscription",
        "an acknowledgement takes 10 to 600 s",
        lambda v: v["ack_deadline_seconds"] == UNKNOWN or 10 <= v["ack_deadline_seconds"] <= 600,
    )
    yield (
        "google_pubsub_subscription",
        "messages are kept for 10 minutes to 31 days",
        lambda v: 600 <= _seconds(v["message_retention_duration"]) <= 2_678_400,
    )
    yield (
        "google_pubsub_topic",
        "a topic keeps messages for 10 minutes to 31 days",
        lambda v: (
            v["message_retention_duration"] is None or 600 <= _seconds(v["message_retention_duration"]) <= 2_678_400
        ),
    )
    yield (
        "google_sql_database_instance",
        "a small machine needs the edition ENTERPRISE, which is not the default since Postgres 16",
        lambda v: v["settings"][0]["edition"] == "ENTERPRISE",
    )
    yield (
        "google_secret_manager_secret_version",
        "a write-only value is written only with a version of its own",
        lambda v: bool(v["secret_data_wo_version"]) or v["secret_data"] is not None,
    )
    yield (
        "google_sql_user",
        "a write-only password is written only with a version of its own",
        lambda v: bool(v["password_wo_version"]),
    )
    yield (
        "google_cloud_scheduler_job",
        "a schedule is cron of five fields",
        lambda v: bool(_CRON.fullmatch(v["schedule"])),
    )
    yield (
        "google_cloud_scheduler_job",
        "a scheduler waits 15 s to 30 minutes for an answer",
        lambda v: 15 <= _seconds(v["attempt_deadline"] or 180) <= 1800,
    )
    yield "google_cloud_scheduler_job", "times are UTC", lambda v: v["time_zone"] == "Etc/UTC"
    yield (
        "google_dataproc_cluster",
        "a cluster without workers says so in a property",
        lambda v: (
            bool(v["cluster_config"][0]["worker_config"] not in ([], UNKNOWN))
            or v["cluster_config"][0]["software_config"][0]["override_properties"].get(
                "dataproc:dataproc.allow.zero.workers"
            )
            == "true"
        ),
    )
    yield (
        "google_dataproc_cluster",
        "the name of a cluster is 2 to 51 of [a-z0-9-]",
        lambda v: _fits("[a-z][a-z0-9-]{0,49}[a-z0-9]", v["name"]),
    )
    yield (
        "google_dataproc_cluster",
        "the machine type exists",
        lambda v: v["cluster_config"][0]["master_config"][0]["machine_type"] in _MACHINES,
    )
    yield "google_compute_instance", "the machine type exists", lambda v: v["machine_type"] in _MACHINES
    yield (
        "google_compute_instance",
        "metadata is 256 KiB a value at most",
        lambda v: (
            all(len(str(value)) < 256 * 1024 for value in v["metadata"].values())
            if isinstance(v["metadata"], dict)
            else True
        ),
    )
    for kind in ("instance", "disk", "network", "subnetwork", "firewall", "address", "resource_policy"):
        yield (
            f"google_compute_{kind}",
            "a name of Compute Engine is 1 to 63 of [a-z0-9-]",
            lambda v: _fits("[a-z]([a-z0-9-]{0,61}[a-z0-9])?", v["name"]),
        )
    yield (
        "google_compute_firewall",
        "no rule admits the whole internet",
        lambda v: "0.0.0.0/0" not in (v["source_ranges"] or ()) and "::/0" not in (v["source_ranges"] or ()),
    )
    yield (
        "google_compute_firewall",
        "a rule names whom it admits; without, it admits everybody",
        lambda v: bool(v["source_ranges"] or v["source_service_accounts"] or v["source_tags"]),
    )
    yield (
        "google_compute_instance",
        "a machine has no public address",
        lambda v: all(not interface["access_config"] for interface in v["network_interface"]),
    )
    yield (
        "google_sql_database_instance",
        "Postgres has no public address",
        lambda v: v["settings"][0]["ip_configuration"][0]["ipv4_enabled"] is False,
    )
    for kind in ("service", "job"):
        yield f"google_cloud_run_v2_{kind}", "an instance has at most 4 GiB a vCPU", _fitting
        yield (
            f"google_cloud_run_v2_{kind}",
            "a name of Cloud Run has no underscore",
            lambda v: _fits("[a-z][a-z0-9-]{0,48}", v["name"]),
        )
    yield "google_cloud_run_v2_worker_pool", "an instance has at most 4 GiB a vCPU", _fitting
    yield (
        "google_cloud_run_v2_service",
        "a request lasts an hour at most",
        lambda v: _seconds(v["template"][0]["timeout"]) <= 3600,
    )
    yield (
        "google_cloud_run_v2_service",
        "an instance takes 1,000 requests at once at most",
        lambda v: v["template"][0]["max_instance_request_concurrency"] <= 1000,
    )
    yield (
        "google_cloudfunctions2_function",
        "a function's name has no underscore",
        lambda v: _fits("[a-z][a-z0-9-]{0,61}[a-z0-9]", v["name"]),
    )
    yield (
        "google_cloudfunctions2_function",
        "a call lasts an hour at most",
        lambda v: 1 <= v["service_config"][0]["timeout_seconds"] <= 3600,
    )
    yield (
        "google_cloudfunctions2_function",
        "concurrent calls need a vCPU",
        lambda v: (
            v["service_config"][0]["max_instance_request_concurrency"] == 1
            or float(v["service_config"][0]["available_cpu"]) >= 1
        ),
    )
    yield (
        "google_service_account",
        "an account's id is 6 to 30 of [a-z0-9-]",
        lambda v: _fits("[a-z][a-z0-9-]{4,28}[a-z0-9]", v["account_id"]),
    )
    yield "google_secret_manager_secret", "a secret's id", lambda v: _fits("[A-Za-z0-9_-]{1,255}", v["secret_id"])
    yield "google_dns_record_set", "a name of DNS ends with a dot", lambda v: v["name"].endswith(".")
    yield "google_dns_managed_zone", "a zone's name ends with a dot", lambda v: v["dns_name"].endswith(".")
    yield (
        "google_monitoring_alert_policy",
        "periods and durations are whole minutes, a period one at least",
        lambda v: all(
            _seconds(each["alignment_period"]) >= 60
            and _seconds(each["alignment_period"]) % 60 == 0
            and _seconds(each["duration"]) % 60 == 0
            for each in _aggregations(v)
        ),
    )
    yield (
        "google_monitoring_alert_policy",
        "a filter names metric and kind of resource",
        lambda v: all(
            "metric.type" in each["filter"] and "resource.type" in each["filter"]
            for condition in v["conditions"]
            for kind in ("condition_threshold", "condition_absent")
            for each in condition[kind]
        ),
    )
    yield (
        "google_logging_metric",
        "a filter has as many opening as closing brackets, and whole quotes",
        lambda v: v["filter"].count("(") == v["filter"].count(")") and v["filter"].count('"') % 2 == 0,
    )
    yield (
        "google_logging_metric",
        "only a distribution has a value",
        lambda v: (v["value_extractor"] is None) == (v["metric_descriptor"][0]["value_type"] == "INT64"),
    )
    yield (
        "google_compute_global_address",
        "Cloud SQL's range is /24 or larger",
        lambda v: v["prefix_length"] <= 24,
    )
    yield (
        "google_storage_bucket_iam_member",
        "a condition's title is 100 characters at most",
        lambda v: all(len(condition["title"]) <= 100 for condition in v["condition"] or ()),
    )


def _blocks(values: dict[str, Any], name: str) -> list[Any]:
    """The blocks of that name; one that only an apply fills counts as none."""
    found = values[name]
    return [] if found == UNKNOWN else [each for each in found or () if each != UNKNOWN]


RULES: Final = tuple(_rules())


def broken(plan: Plan) -> list[str]:
    """Every broken rule of a plan, as a sentence."""
    faults = []
    for each in plan.resources:
        rules = ((text, holds) for kind, text, holds in RULES if kind == each.kind)
        faults += [f"{each.address}: {text}" for text, holds in rules if not holds(each.values)]
        labels = each.values.get("labels") or each.values.get("user_labels")
        if isinstance(labels, dict) and each.kind != "google_monitoring_notification_channel":
            wrong = [
                name for name in labels if not (_LABEL.fullmatch(name) and _fits("[a-z0-9_-]{0,63}", labels[name]))
            ]
            faults += [f"{each.address}: the label {name} = {labels[name]}" for name in wrong]
    return faults
