"""Every name in the plans is the one that the programs use, and each single wrong or missing one is a fault."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.deployed_names import faults, programs
from tests.support.terraform import UNKNOWN, Plan, Resource

pytestmark = [pytest.mark.terraform, pytest.mark.xdist_group("plans")]  # which are made once


def test_every_name_is_that_of_the_programs(plan: Plan) -> None:
    assert faults(plan) == []


def test_each_environment_deploys_what_its_planes_need(plans: dict[str, Plan]) -> None:
    live = {"publish_live", "archive_live", "producer", "dashboard", "store_setup", "candles_job"}
    assert set(programs(plans["history"])) == {"fetch_archive", "command"}
    assert set(programs(plans["small"])) == {"fetch_archive", "command"} | live
    assert set(programs(plans["full"])) == {"fetch_archive", "dags"} | live


# Variables that a program may lack: they have a default, or are of a library.
OPTIONAL = {
    *("FLINK_CONF_DIR", "FLINK_LOG_DIR", "PATH", "PYTHONPATH", "PGPASSFILE", "CANDLES_JARS", "FLINK_CLIENT"),
    *(
        "PRODUCER_CONNECTIONS",
        "PIPELINE_SYMBOLS",
        "PIPELINE_EVENTS_TOPIC",
        "PIPELINE_JOB_ACCOUNT",
        "PIPELINE_JOB_SUBNET",
    ),
    *(
        "KAFKA_SSL_CA_LOCATION",
        "PGSSLROOTCERT",
        "PGSSLMODE",
        "PGPASSWORD",
        "KAFKA_SASL_USERNAME",
        "KAFKA_SASL_PASSWORD",
    ),
}


def test_each_variable_that_is_missing_or_misspelled_is_a_fault(plans: dict[str, Plan]) -> None:
    plan, unnoticed = plans["small"], []
    places = [(each.address, name) for each in plan.resources for name in environ_of(each)]
    assert len(places) > 40
    for address, name in places:
        for new in (f"{name}_", *([] if name in OPTIONAL else [""])):
            wrong = copy.deepcopy(plan)
            rename(next(each for each in wrong.resources if each.address == address), name, new)
            if not faults(wrong):
                unnoticed.append((address, name, new))
    assert unnoticed == []


def environ_of(resource: Resource) -> list[str]:
    """The names of the variables of a function, service, worker pool or job."""
    if resource.kind == "google_cloudfunctions2_function":
        return list(resource.values["service_config"][0]["environment_variables"])
    return [each["name"] for each in variables(resource)]


def variables(resource: Resource) -> list[dict[str, Any]]:
    if resource.kind not in (
        "google_cloud_run_v2_service",
        "google_cloud_run_v2_worker_pool",
        "google_cloud_run_v2_job",
    ):
        return []
    template = resource.values["template"][0]
    found: list[dict[str, Any]] = template.get("template", [template])[0]["containers"][0]["env"]
    return found


def rename(resource: Resource, name: str, new: str) -> None:
    """Give a variable another name, or none: it is taken out."""
    if resource.kind == "google_cloudfunctions2_function":
        environ = resource.values["service_config"][0]["environment_variables"]
        value = environ.pop(name)
        if new:
            environ[new] = value
        return
    found = variables(resource)
    [index] = (index for index, each in enumerate(found) if each["name"] == name)
    if new:
        found[index]["name"] = new
    else:
        del found[index]


def container(plan: Plan, kind: str) -> dict[str, Any]:
    template = next(plan.of(kind)).values["template"][0]
    first: dict[str, Any] = template["containers"][0]
    return first


def variable_of(plan: Plan, kind: str, name: str) -> dict[str, Any]:
    [found] = (each for each in container(plan, kind)["env"] if each["name"] == name)
    whole: dict[str, Any] = found
    return whole


def first(plan: Plan, kind: str, **values: str) -> dict[str, Any]:
    return plan.one(kind, **values).values


def without(plan: Plan, address: str) -> None:
    """Take a resource out of the plan, which must have it."""
    plan.resources.remove(next(each for each in plan.resources if each.address == address))


def rules(plan: Plan, old: str, new: str) -> None:
    changed = [rule.replace(old, new) for rule in plan.outputs["broker_rules"]]
    assert changed != plan.outputs["broker_rules"]
    plan.outputs["broker_rules"] = changed


WRONG: dict[str, Callable[[Plan], Any]] = {
    "another dataset": lambda plan: first(plan, "google_bigquery_dataset").update(dataset_id="markets"),
    "a missing table": lambda plan: without(plan, 'module.market.google_bigquery_table.table["locks"]'),
    "a renamed table": lambda plan: first(plan, "google_bigquery_table", table_id="gaps").update(table_id="gap"),
    "a view in legacy SQL": lambda plan: first(plan, "google_bigquery_table", table_id="candles_best")["view"][
        0
    ].update(use_legacy_sql=UNKNOWN),
    "a dataset elsewhere": lambda plan: first(plan, "google_bigquery_dataset").update(location="EU"),
    "soft delete of staging": lambda plan: first(plan, "google_storage_bucket", name="demo-project-staging")[
        "soft_delete_policy"
    ][0].update(retention_duration_seconds=604800),
    "another topic of events": lambda plan: first(plan, "google_pubsub_topic", name="market-events").update(
        name="events"
    ),
    "another topic of a rule": lambda plan: rules(plan, "topic trades.dlq", "topic trades-dlq"),
    "another group": lambda plan: rules(plan, "group dashboard", "group page"),
    "a group of no rule": lambda plan: rules(plan, "group candles-start", "group candles"),
    "a right to write too many": lambda plan: rules(
        plan, "dashboard allow read,describe topic", "dashboard allow read,write,describe topic"
    ),
    "a function's other name": lambda plan: first(plan, "google_cloudfunctions2_function", name="publish-live").update(
        name="publish"
    ),
    "a function's other entry point": lambda plan: first(plan, "google_cloudfunctions2_function", name="publish-live")[
        "build_config"
    ][0].update(entry_point="publish-live"),
    "a shorter time limit": lambda plan: first(plan, "google_cloudfunctions2_function", name="fetch-archive")[
        "service_config"
    ][0].update(timeout_seconds=60),
    "less memory": lambda plan: first(plan, "google_cloudfunctions2_function", name="fetch-archive")["service_config"][
        0
    ].update(available_memory="128Mi"),
    "more calls at once": lambda plan: first(plan, "google_cloudfunctions2_function", name="fetch-archive")[
        "service_config"
    ][0].update(max_instance_request_concurrency=80),
    "a scheduler that waits shorter": lambda plan: first(
        plan, "google_cloud_scheduler_job", name="publish-live"
    ).update(attempt_deadline="180s"),
    "a schedule that is missing": lambda plan: without(
        plan, 'module.live_function["archive_live"].google_cloud_scheduler_job.this[0]'
    ),
    "a misspelled secret": lambda plan: variable_of(plan, "google_cloud_run_v2_worker_pool", "KAFKA_SASL_PASSWORD")[
        "value_source"
    ][0]["secret_key_ref"][0].update({"secret": "broker-produce"}),
    "a secret of another": lambda plan: variable_of(plan, "google_cloud_run_v2_service", "PGPASSWORD")["value_source"][
        0
    ]["secret_key_ref"][0].update({"secret": "postgres-candles"}),
    "a secret without a reader": lambda plan: without(
        plan,
        'module.password["broker-dashboard"].google_secret_manager_secret_iam_member.reader["dashboard"]',
    ),
    "a password in the open": lambda plan: variable_of(
        plan, "google_cloud_run_v2_worker_pool", "KAFKA_SASL_PASSWORD"
    ).update(value="hunter2", value_source=[]),
    "an unknown variable": lambda plan: variable_of(
        plan, "google_cloud_run_v2_worker_pool", "PRODUCER_CONNECTIONS"
    ).update(name="PRODUCER_CONNECTION"),
    "a reserved variable": lambda plan: container(plan, "google_cloud_run_v2_service")["env"].append(
        {"name": "PORT", "value": "8080", "value_source": []}
    ),
    "a file that is elsewhere": lambda plan: container(plan, "google_cloud_run_v2_worker_pool")["volume_mounts"][
        0
    ].update(mount_path="/secrets/kafka"),
    "another login": lambda plan: variable_of(plan, "google_cloud_run_v2_service", "PGUSER").update(value="viewer"),
    "another host of the broker": lambda plan: variable_of(
        plan, "google_cloud_run_v2_worker_pool", "KAFKA_BOOTSTRAP_SERVERS"
    ).update(value="10.10.0.2:9093"),
    "another account": lambda plan: (
        next(plan.of("google_cloud_run_v2_worker_pool"))
        .values["template"][0]
        .update(service_account="dashboard@demo-project.iam.gserviceaccount.com")
    ),
    "a prefix of another": lambda plan: _writer(plan, "archive-live").update(
        condition=[{"expression": 'resource.name.startsWith("projects/_/buckets/b/objects/trades/")'}]
    ),
    "a DNS record that is missing": lambda plan: without(plan, "module.postgres[0].google_dns_record_set.this"),
    "an output that differs": lambda plan: plan.outputs["environ"]["producer"].pop("PIPELINE_SYMBOLS"),
    "another address of Flink": lambda plan: plan.outputs["environ"]["candles_job"].update(
        FLINK_REST_URL="localhost:8081"
    ),
    "no checkpoints": lambda plan: plan.outputs["environ"]["candles_job"].pop("CANDLES_CHECKPOINTS"),
}


def _writer(plan: Plan, account: str) -> dict[str, Any]:
    address = f'module.lake.google_storage_bucket_iam_member.lake_writer["{account}"]'
    [found] = (each for each in plan.resources if each.address == address)
    return found.values


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_name_is_a_fault(change: Callable[[Plan], Any], plans: dict[str, Plan]) -> None:
    wrong = copy.deepcopy(plans["small"])
    change(wrong)
    assert faults(wrong) != []


def test_a_resource_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="one google_storage_bucket"):
        Plan([Resource("a", "google_storage_bucket", {"name": "a"})]).one("google_storage_bucket", name="b")
