"""The plans keep Google's limits that nothing else checks before an apply; each rule is seen to fail."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from local.checkout import ROOT
from tests.support.cloud_limits import RULES, broken
from tests.support.terraform import Plan

pytestmark = [pytest.mark.terraform, pytest.mark.xdist_group("plans")]  # which are made once

Values = dict[str, Any]


def test_every_limit_is_kept(plan: Plan) -> None:
    assert broken(plan) == []


def _service(values: Values) -> Values:
    first: Values = values["service_config"][0]
    return first


def _resources(values: Values) -> Values:
    template = values["template"][0]
    limits: Values = template.get("template", [template])[0]["containers"][0]["resources"][0]["limits"]
    return limits


def _condition(values: Values) -> Values:
    first = values["conditions"][0]
    found: Values = (first["condition_threshold"] or first["condition_absent"])[0]
    return found


def _cluster(values: Values) -> Values:
    first: Values = values["cluster_config"][0]
    return first


PLANTED: dict[str, Callable[[Values], Any]] = {
    "a bucket's name": lambda v: v.update(name="Demo-Lake"),
    "soft delete is": lambda v: v.update(soft_delete_policy=[{"retention_duration_seconds": 86_400}]),
    "a dataset's id": lambda v: v.update(dataset_id="my-market"),
    "time travel": lambda v: v.update(max_time_travel_hours="24"),
    "a view says": lambda v: v.update(view=[{"query": "SELECT 1", "use_legacy_sql": None}]),
    "an acknowledgement": lambda v: v.update(ack_deadline_seconds=900),
    "messages are kept": lambda v: v.update(message_retention_duration="60s"),
    "a topic keeps": lambda v: v.update(message_retention_duration="60s"),
    "a small machine": lambda v: v["settings"][0].update(edition=None),
    "a write-only value": lambda v: v.update(secret_data_wo_version=None, secret_data=None),
    "a write-only password": lambda v: v.update(password_wo_version=None),
    "a schedule is": lambda v: v.update(schedule="hourly"),
    "a scheduler waits": lambda v: v.update(attempt_deadline="3600s"),
    "times are UTC": lambda v: v.update(time_zone="Europe/Berlin"),
    "a cluster without workers": lambda v: _cluster(v)["software_config"][0].update(override_properties={}),
    "the name of a cluster": lambda v: v.update(name="candles_"),
    "the machine type": lambda v: (
        _cluster(v)["master_config"][0].update(machine_type="e2-standard-3")
        if "cluster_config" in v
        else v.update(machine_type="e2-tiny")
    ),
    "metadata is": lambda v: v.update(metadata={"user-data": "x" * 300_000}),
    "a name of Compute": lambda v: v.update(name="broker_data"),
    "no rule admits": lambda v: v.update(source_ranges=["0.0.0.0/0"]),
    "a rule names": lambda v: v.update(source_ranges=None, source_service_accounts=None, source_tags=None),
    "a machine has no public": lambda v: v["network_interface"][0].update(access_config=[{}]),
    "Postgres has no public": lambda v: v["settings"][0]["ip_configuration"][0].update(ipv4_enabled=True),
    "an instance has": lambda v: _resources(v).update(memory="9000Mi"),
    "a name of Cloud Run": lambda v: v.update(name="store_setup"),
    "a request lasts": lambda v: v["template"][0].update(timeout="7200s"),
    "an instance takes": lambda v: v["template"][0].update(max_instance_request_concurrency=2000),
    "a function's name": lambda v: v.update(name="fetch_archive"),
    "a call lasts": lambda v: _service(v).update(timeout_seconds=7200),
    "concurrent calls": lambda v: _service(v).update(available_cpu="0.5", max_instance_request_concurrency=8),
    "an account's id": lambda v: v.update(account_id="pipe"),
    "a secret's id": lambda v: v.update(secret_id="a.b"),  # noqa: S106  # a name
    "a name of DNS": lambda v: v.update(name="broker.pipeline.internal"),
    "a zone's name": lambda v: v.update(dns_name="pipeline.internal"),
    "periods and durations": lambda v: _condition(v).update(duration="90s"),
    "a filter names": lambda v: _condition(v).update(filter='metric.type = "x"'),
    "a filter has": lambda v: v.update(filter='(a = "b'),
    "only a distribution": lambda v: v.update(
        value_extractor="EXTRACT(jsonPayload.a)", metric_descriptor=[{"value_type": "INT64"}]
    ),
    "Cloud SQL's range": lambda v: v.update(prefix_length=28),
    "a condition's title": lambda v: v.update(condition=[{"title": "x" * 101, "expression": ""}]),
}


@pytest.mark.parametrize("rule", RULES, ids=[f"{kind.removeprefix('google_')}: {text}" for kind, text, _ in RULES])
def test_a_broken_limit_is_noticed(rule: tuple[str, str, Any], plans: dict[str, Plan]) -> None:
    kind, text, _ = rule
    [plant] = (change for begin, change in PLANTED.items() if text.startswith(begin))
    wrong = copy.deepcopy(plans["small"])
    plant(next(wrong.of(kind)).values)
    assert any(fault.endswith(text) for fault in broken(wrong))


def test_a_label_in_capitals_is_noticed(plans: dict[str, Plan]) -> None:
    wrong = copy.deepcopy(plans["small"])
    next(wrong.of("google_storage_bucket")).values["labels"] = {"App": "Pipeline"}
    assert [fault for fault in broken(wrong) if "the label App" in fault]


def test_no_generated_value_is_in_a_plan(plans: dict[str, Plan]) -> None:
    """Neither the seed nor anything that follows from it, nor a private key, is in what Terraform shows or stores."""
    for plan in plans.values():
        text = json.dumps([each.values for each in plan.resources]) + json.dumps(plan.outputs)
        assert "0123456789abcdef0123456789abcdef" not in text
        assert "BEGIN PRIVATE KEY" not in text
        before = re.findall("(.{9})[0-9a-f]{64}", text.replace("0" * 64, ""))
        assert all(each.endswith(("services/", "install-")) for each in before)  # the hashes in names of objects
        kinds = {each.kind for each in plan.resources}
        assert kinds & {"random_password", "tls_private_key", "google_service_account_key"} == set()
        versions = plan.of("google_secret_manager_secret_version")
        stored = {each.address for each in versions if each.values["secret_data"] is not None}
        assert stored <= {"module.postgres[0].google_secret_manager_secret_version.ca"}  # a public certificate


def test_each_phrase_of_a_log_filter_is_written_by_a_program(plans: dict[str, Plan]) -> None:
    sources = "".join(
        path.read_text("utf-8")
        for folder in ("functions", "cloudrun", "src", "dataproc_jobs")
        for path in sorted((ROOT / folder).rglob("*.py"))
    )
    phrases = {
        phrase
        for metric in plans["small"].of("google_logging_metric")
        for phrase in re.findall(r'jsonPayload\.message="([a-z ]+)"', metric.values["filter"])
    }
    assert phrases == {"metrics", "gap opened", "minute not confirmed", "candles published"}
    assert [phrase for phrase in phrases if f'"{phrase}"' not in sources] == []
    assert 'log("INFO", "days read", ' in sources


def test_what_holds_the_only_copy_is_protected(plan: Plan) -> None:
    kinds = ("google_bigquery_table", "google_sql_database_instance", "google_compute_instance")
    for each in plan.of(*kinds):
        assert each.values["deletion_protection"] is not bool(each.values.get("view"))
    [lake] = (each for each in plan.of("google_storage_bucket") if each.values["name"].endswith("-lake"))
    assert lake.values["force_destroy"] is False


def test_everything_that_can_be_labelled_is(plan: Plan) -> None:
    unlabelled = [
        each.address
        for each in plan.resources
        if any(each.values.get(name, "absent") in (None, {}) for name in ("labels", "user_labels"))
    ]
    assert unlabelled == []
