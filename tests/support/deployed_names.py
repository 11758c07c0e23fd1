"""The names in a plan of Terraform against those that the programs use: variables, buckets, tables, topics and others.

Every function here returns faults as sentences; none means that the plan fits. Imported by tests/terraform.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import importlib
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

from archive_live.settings import Settings as ArchiveLiveSettings
from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.broker import BrokerSettings
from bitcoin_pipeline.deployment import BackfillSettings
from bitcoin_pipeline.settings import SettingsError, read_settings
from candles_stream.job import JobSettings, read_job_settings
from candles_stream.keeper import KeeperSettings
from dashboard.settings import Settings as DashboardSettings
from fetch_archive.settings import Settings as FetchArchiveSettings
from local.checkout import ROOT
from local.command.cloud import CloudSettings
from local.generated_secrets import BROKER_HOST
from producer.settings import Settings as ProducerSettings
from publish_live.settings import Settings as PublishLiveSettings
from tests.support.terraform import UNKNOWN, Plan, Resource


def _dag_settings() -> type:
    """The class of the DAGs' settings, whose module reads them from the environment when it is imported."""
    required = (field for field in dataclasses.fields(BackfillSettings) if field.default is dataclasses.MISSING)
    environ = {field.metadata["variable"]: "x" for field in required} | {"PIPELINE_SYMBOLS": "BTCUSDT"}
    with mock.patch.dict(os.environ, environ):
        kind: type = importlib.import_module("bybit_tasks.settings").DagSettings
    return kind


SETTINGS: Final[Mapping[str, tuple[type, ...]]] = {
    "fetch_archive": (FetchArchiveSettings,),
    "publish_live": (PublishLiveSettings,),
    "archive_live": (ArchiveLiveSettings,),
    "producer": (ProducerSettings,),
    "dashboard": (DashboardSettings,),
    "store_setup": (BrokerSettings,),
    "candles_job": (KeeperSettings, JobSettings),
    "command": (BackfillSettings, CloudSettings),
    "dags": (_dag_settings(),),
}
"""The settings that each program reads."""

LIBRARIES: Final = {
    "candles_job": {"FLINK_CONF_DIR", "FLINK_LOG_DIR", "PATH", "PYTHONPATH"},
    "store_setup": {
        "POSTGRES_LOGINS",
        *(f"POSTGRES_PASSWORD_{login}" for login in ("CANDLES", "DASHBOARD", "PUBLISH_LIVE")),
    },
    "command": {"PIPELINE_SYMBOLS"},
}
"""Variables beside these settings: of Flink and Python, of the set-up job, and of `pipeline daily`."""

_LIBPQ: Final = {"PGHOST", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT", "PGPASSFILE"}
"""libpq's variables that a program which connects to Postgres may have."""

_RESERVED: Final = re.compile(
    "PORT|K_SERVICE|K_REVISION|K_CONFIGURATION|FUNCTION_TARGET|FUNCTION_SIGNATURE_TYPE|X_GOOGLE_.*"
)
"""Variables that Cloud Run and Cloud Functions set themselves, and refuse."""

_DAY: Final = dt.date(2026, 1, 1)

_ACCOUNTS: Final = {"candles_job": "candles-stream", "command": "pipeline", "dags": "composer"}
"""The accounts that do not have the names of their programs."""

_LOGIN_ROLES: Final = {"candles": "live_writer", "dashboard": "live_reader", "publish_live": "live_publisher"}

GROUPS: Final = {
    "producer": {names.PRODUCER_GROUP},
    "candles": {names.CANDLES_GROUP, names.CANDLES_LINES_GROUP, names.CANDLES_START_GROUP},
    "archive-live": {names.ARCHIVE_LIVE_GROUP},
    "dashboard": {names.DASHBOARD_GROUP},
    "store-setup": set(),
}
"""The consumer groups of each SASL user."""


@dataclass(frozen=True, slots=True)
class Program:
    """A deployed program. `environ`: a secret's value is `secret:NAME`. `files`: secrets by the paths of files."""

    environ: dict[str, str]
    files: dict[str, str]
    account: str


def programs(plan: Plan) -> dict[str, Program]:
    """The programs of a plan by the names of their folders; the command is the daily job."""
    found = {
        each.values["build_config"][0]["entry_point"]: _function(each)
        for each in plan.of("google_cloudfunctions2_function")
    }
    for each in plan.of("google_cloud_run_v2_worker_pool", "google_cloud_run_v2_service"):
        found[each.values["name"]] = _container(each, each.values["template"][0])
    for each in plan.of("google_cloud_run_v2_job"):
        name = {"store-setup": "store_setup", "daily": "command"}[each.values["name"]]
        found[name] = _container(each, each.values["template"][0]["template"][0])
    for each in plan.of("google_dataproc_cluster"):
        account = each.values["cluster_config"][0]["gce_cluster_config"][0]["service_account"]
        found["candles_job"] = Program(plan.outputs["environ"]["candles_job"], {}, account)
    for each in plan.of("google_composer_environment"):
        account = each.values["config"][0]["node_config"][0]["service_account"]
        found["dags"] = Program(plan.outputs["environ"]["dags"], {}, account)
    return found


def _function(resource: Resource) -> Program:
    service = resource.values["service_config"][0]
    secrets = {each["key"]: f"secret:{each['secret']}" for each in service["secret_environment_variables"] or ()}
    files = {
        posixpath.join(volume["mount_path"], version["path"]): volume["secret"]
        for volume in service["secret_volumes"] or ()
        for version in volume["versions"]
    }
    return Program({**(service["environment_variables"] or {}), **secrets}, files, service["service_account_email"])


def _container(resource: Resource, template: Mapping[str, Any]) -> Program:
    [container] = template["containers"]
    environ = {
        each["name"]: f"secret:{each['value_source'][0]['secret_key_ref'][0]['secret']}"
        if each["value_source"]
        else each["value"]
        for each in container["env"] or ()
    }
    volumes = {volume["name"]: volume["secret"][0] for volume in template["volumes"] or ()}
    files = {
        posixpath.join(mount["mount_path"], item["path"]): volumes[mount["name"]]["secret"]
        for mount in container["volume_mounts"] or ()
        for item in volumes[mount["name"]]["items"]
    }
    return Program(environ, files, template["service_account"])


def faults(plan: Plan) -> list[str]:
    """Every fault of a plan."""
    found = programs(plan)
    checks = [_variables(found), _values(plan, found), _warehouse(plan), _buckets(plan), _functions(plan, found)]
    checks += [_secrets(plan, found), _events(plan)]
    if "producer" in found:
        checks += [_broker(plan, found), _postgres(found)]
    return [fault for check in checks for fault in check]


def _variables(found: Mapping[str, Program]) -> Iterator[str]:
    for name, program in found.items():
        environ = {variable: _plausible(variable, value) for variable, value in program.environ.items()}
        known = set(LIBRARIES.get(name, ()))
        if name not in SETTINGS:
            yield f"no program is called {name}"
            continue
        for settings in SETTINGS[name]:
            known |= {field.metadata["variable"] for field in dataclasses.fields(settings)}
            try:
                read_settings(settings, environ)
                if settings is JobSettings:
                    read_job_settings(environ)
            except SettingsError as error:
                yield f"{name}: {error}"
        if any(variable.startswith("PG") for variable in known) or name == "store_setup":
            known |= _LIBPQ
        yield from (f"{name} reads no variable {variable}" for variable in sorted(environ.keys() - known))
        yield from (
            f"{name}: Cloud Run keeps {variable} for itself" for variable in environ if _RESERVED.fullmatch(variable)
        )


def _plausible(variable: str, value: str) -> str:
    if value != UNKNOWN:
        return value
    return "https://address.example" if variable.endswith("_URL") else "after-apply"


def _values(plan: Plan, found: Mapping[str, Program]) -> Iterator[str]:
    """Variables that name another resource of the plan, and the outputs that repeat the programs' variables."""
    expected = {
        "PIPELINE_LAKE": plan.one("google_storage_bucket", name=f"{plan.outputs['project']}-lake").values["name"],
        "PIPELINE_STAGING": plan.one("google_storage_bucket", name=f"{plan.outputs['project']}-staging").values["name"],
        "BIGQUERY_LOCATION": plan.one("google_bigquery_dataset").values["location"],
        "GOOGLE_CLOUD_PROJECT": plan.outputs["project"],
        "PIPELINE_REGION": plan.outputs["region"],
        "PIPELINE_JOB_ACCOUNT": plan.outputs["service_accounts"]["candles-batch"],
        "PIPELINE_JOB_SUBNET": UNKNOWN,
        "PIPELINE_FETCH_ARCHIVE_URL": UNKNOWN,
        "PIPELINE_EVENTS_TOPIC": UNKNOWN,
    }
    for name, program in found.items():
        for variable, value in expected.items():
            if program.environ.get(variable, value) != value:
                yield f"{name}: {variable} is {program.environ[variable]}, and the resource is {value}"
        shown = plan.outputs["environ"].get(name)
        if name != "command" and shown != program.environ:
            yield f"{name}: the output environ differs from what is deployed"
    for name, accounts in (
        ("publish_live", "publish-live"),
        ("candles_job", "candles-stream"),
        ("command", "pipeline"),
    ):
        if name in found and found[name].account != plan.outputs["service_accounts"][accounts]:
            yield f"{name} runs as {found[name].account}"


def _warehouse(plan: Plan) -> Iterator[str]:
    dataset = plan.one("google_bigquery_dataset").values
    if dataset["dataset_id"] != names.DATASET:
        yield f"the dataset is {dataset['dataset_id']}, and the programs use {names.DATASET}"
    tables = {f"{names.DATASET}.{each.values['table_id']}": each.values for each in plan.of("google_bigquery_table")}
    wanted = {*schemas.tables(names.DATASET), *schemas.views(names.DATASET)}
    yield from (f"the table or view {name} is missing" for name in sorted(wanted - tables.keys()))
    yield from (f"no schema is of {name}" for name in sorted(tables.keys() - wanted))
    used = {names.CANDLES, names.CANDLE_HISTORY, names.CANDLES_BEST, names.INGESTS, names.GAPS, names.LOCKS}
    yield from (f"the programs use {name}, which no schema is of" for name in sorted(used - wanted))
    for name in schemas.views(names.DATASET):
        view = (tables.get(name, {}).get("view") or [{}])[0]
        if (
            view.get("query") != schemas.view_sql(name, plan.outputs["project"])
            or view.get("use_legacy_sql") is not False
        ):
            yield f"the view {name} is not the core's query in today's SQL"


def _buckets(plan: Plan) -> Iterator[str]:
    project = plan.outputs["project"]
    lake, staging = (plan.one("google_storage_bucket", name=f"{project}-{name}").values for name in ("lake", "staging"))
    dataset = plan.one("google_bigquery_dataset").values
    if not lake["location"].upper() == staging["location"].upper() == dataset["location"].upper():
        yield "lake, staging and dataset are in different locations: a rewrite copies bytes, and a load is refused"
    if lake["storage_class"] != staging["storage_class"]:
        yield "lake and staging have different storage classes"
    if staging["soft_delete_policy"][0]["retention_duration_seconds"] != 0:
        yield "the staging bucket has soft delete"
    ages = {(rule["action"][0]["type"], rule["condition"][0]["age"]) for rule in staging["lifecycle_rule"]}
    if ("Delete", 1) not in ages:
        yield "the staging bucket keeps objects for more than a day"
    prefixes = {
        "fetch-archive": [names.raw_prefix("S").partition("/")[0] + "/"],
        "candles-batch": [names.TRADES_PREFIX, names.quarantine_object("S", _DAY).partition("/")[0] + "/"],
        "archive-live": [names.TRADES_LIVE_PREFIX],
    }
    for grant in plan.of("google_storage_bucket_iam_member"):
        if "lake_writer" in grant.address:
            account = grant.values["member"].removeprefix("serviceAccount:").partition("@")[0]
            allowed = re.findall(r"objects/([a-z_]+/)", grant.values["condition"][0]["expression"])
            if allowed != prefixes[account]:
                yield f"{account} may write below {allowed}, and writes below {prefixes[account]}"


def _functions(plan: Plan, found: Mapping[str, Program]) -> Iterator[str]:
    for function in plan.of("google_cloudfunctions2_function"):
        entry_point = function.values["build_config"][0]["entry_point"]
        main = ROOT / "functions" / entry_point / "main.py"
        if not main.exists() or f"def {entry_point}(request" not in main.read_text("utf-8"):
            yield f"no function is called {entry_point}"
            continue
        if function.values["name"] != entry_point.replace("_", "-"):
            yield f"the function {entry_point} is deployed as {function.values['name']}"
        limits = schemas.function_limits(entry_point)
        limit, service = limits.timeout_seconds, function.values["service_config"][0]
        if service["timeout_seconds"] != limit:
            yield f"{entry_point} may not run for {limit} s"
        if service["available_memory"] != f"{limits.memory_mib}Mi":
            yield f"an instance of {entry_point} has {service['available_memory']}, not {limits.memory_mib} MiB"
        if service["max_instance_request_concurrency"] != limits.concurrency:
            yield f"an instance of {entry_point} does not take {limits.concurrency} calls at once"
        for job in plan.of("google_cloud_scheduler_job"):
            if job.values["name"] == function.values["name"] and job.values["attempt_deadline"] != f"{limit}s":
                yield f"the scheduler does not wait {limit} s for {entry_point}"
    scheduled = {job.values["name"] for job in plan.of("google_cloud_scheduler_job")}
    wanted = {"publish-live", "archive-live"} if "producer" in found else set()
    wanted |= {"daily"} if "command" in found else set()
    if scheduled != wanted:
        yield f"scheduled are {sorted(scheduled)}, and {sorted(wanted)} must be"


def _secrets(plan: Plan, found: Mapping[str, Program]) -> Iterator[str]:
    secrets = {each.values["secret_id"] for each in plan.of("google_secret_manager_secret")}
    readers = {
        (each.values["secret_id"], each.values["member"]) for each in plan.of("google_secret_manager_secret_iam_member")
    }
    for name, program in found.items():
        used = {value.removeprefix("secret:") for value in program.environ.values() if value.startswith("secret:")}
        for secret in sorted(used | set(program.files.values())):
            if secret not in secrets:
                yield f"{name} uses the secret {secret}, which does not exist"
            if (secret, f"serviceAccount:{program.account}") not in readers:
                yield f"{name} may not read the secret {secret}"
        for variable in ("KAFKA_SSL_CA_LOCATION", "PGSSLROOTCERT"):
            path = program.environ.get(variable)
            if path and name != "candles_job" and path not in program.files:
                yield f"{name}: {variable} is {path}, where no file is"
        for variable in ("KAFKA_SASL_PASSWORD", "PGPASSWORD"):
            if not program.environ.get(variable, "secret:").startswith("secret:"):
                yield f"{name}: {variable} is no secret"


def _events(plan: Plan) -> Iterator[str]:
    topics = {each.values["name"] for each in plan.of("google_pubsub_topic")}
    if names.EVENTS_TOPIC not in topics:
        yield f"the topic {names.EVENTS_TOPIC} is missing"


def _broker(plan: Plan, found: Mapping[str, Program]) -> Iterator[str]:
    """The users, rules and addresses of the broker. A rule is `USER allow OPERATIONS (topic|group NAME | cluster)`."""
    rules = [rule.split() for rule in plan.outputs["broker_rules"]]
    topics = {topic.name for topic in schemas.topics()}
    for user, groups in GROUPS.items():
        mine = [rule for rule in rules if rule[0] == user]
        if {rule[4] for rule in mine if rule[3] == "group"} != groups:
            yield f"the broker's user {user} may not use exactly the groups {sorted(groups)}"
        yield from (
            f"{user} has a rule on {rule[4]}, which no topic is called"
            for rule in mine
            if rule[3] == "topic" and rule[4] not in topics
        )
    reads = {(rule[0], rule[4]) for rule in rules if rule[3] == "topic" and "read" in rule[2].split(",")}
    writes = {(rule[0], rule[4]) for rule in rules if rule[3] == "topic" and "write" in rule[2].split(",")}
    wanted_writes = {
        ("producer", names.TRADES_TOPIC),
        ("producer", names.DEAD_LETTER_TOPIC),
        ("candles", names.DEAD_LETTER_TOPIC),
    }
    if reads != {(user, names.TRADES_TOPIC) for user in ("producer", "candles", "archive-live", "dashboard")}:
        yield f"the topics that users read are {sorted(reads)}"
    if writes != wanted_writes:
        yield f"the topics that users write are {sorted(writes)}"
    creates = {rule[4] for rule in rules if rule[0] == "store-setup" and "create" in rule[2]}
    if creates != topics:
        yield f"the set-up job may create {sorted(creates)}, and creates {sorted(topics)}"
    users = {rule[0] for rule in rules}
    for name, program in found.items():
        name_of_user = program.environ.get("KAFKA_SASL_USERNAME")
        if name_of_user is None:
            continue
        if name_of_user not in users:
            yield f"{name} is the broker's user {name_of_user}, whom no rule names"
        if program.environ.get("KAFKA_BOOTSTRAP_SERVERS", "").partition(":")[0] != BROKER_HOST:
            yield f"{name} does not connect to {BROKER_HOST}, of which the broker's certificate is"
        password = program.environ.get("KAFKA_SASL_PASSWORD", f"secret:broker-{name_of_user}")
        if password != f"secret:broker-{name_of_user}":
            yield f"{name} is the user {name_of_user} with the password of another: {password}"
    records = {each.values["name"].removesuffix(".") for each in plan.of("google_dns_record_set")}
    hosts = {BROKER_HOST, *(each.environ["PGHOST"] for each in found.values() if "PGHOST" in each.environ)}
    yield from (f"no DNS record is of {host}" for host in sorted(hosts - records))


def _postgres(found: Mapping[str, Program]) -> Iterator[str]:
    setup = found["store_setup"].environ
    logins = dict(item.split("=") for item in setup.get("POSTGRES_LOGINS", "none=none").split(","))
    if logins != _LOGIN_ROLES:
        yield f"the logins are {logins}"
    sql = schemas.live_sql()
    yield from (f"no role is called {role}" for role in logins.values() if f"CREATE ROLE {role};" not in sql)
    yield from (
        f"the password of the login {login} is missing"
        for login in logins
        if f"POSTGRES_PASSWORD_{login.upper()}" not in setup
    )
    for name in sorted({"candles_job", "dashboard", "publish_live"} & found.keys()):
        environ = found[name].environ
        if environ.get("PGUSER") not in logins:
            yield f"{name} is the login {environ.get('PGUSER')}, which is not created"
        password = environ.get("PGPASSWORD", setup.get(f"POSTGRES_PASSWORD_{environ.get('PGUSER', '').upper()}"))
        if password != setup.get(f"POSTGRES_PASSWORD_{environ.get('PGUSER', '').upper()}"):
            yield f"{name} has the password of another login"
        if environ.get("PGDATABASE") != setup.get("PGDATABASE"):
            yield f"{name} uses another database than the set-up job"
        if environ.get("PGSSLMODE") != "verify-ca":
            yield f"{name} does not verify Postgres"
