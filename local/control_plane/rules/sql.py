"""Rules of Cloud SQL for PostgreSQL.

https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1beta4
"""

from __future__ import annotations

import re
from typing import Final

from local.control_plane.call import Call
from local.control_plane.operations import answer
from local.control_plane.rules.project import is_peered
from local.control_plane.rules.registry import Rules
from local.control_plane.world import Refused, Resource, now, with_defaults

RULES: Final = Rules(names={"sql.instances.insert": r"[a-z]([-a-z0-9]{0,96}[a-z0-9])?"})

_TIERS: Final = re.compile(r"db-(f1-micro|g1-small|custom-\d+-\d+|perf-optimized-N-\d+)")
_FIRST_PLUS: Final = 16
"""The version of PostgreSQL from which ENTERPRISE_PLUS is the default edition."""

RULES.refuses(
    "sql.instances",
    "Invalid Tier for the ENTERPRISE_PLUS edition, the default from PostgreSQL 16 on",
    lambda call, r: (
        _version(r) >= _FIRST_PLUS
        and r["settings"].get("edition", "ENTERPRISE_PLUS") == "ENTERPRISE_PLUS"
        and not r["settings"]["tier"].startswith("db-perf")
    ),
)
RULES.refuses("sql.instances", "Invalid Tier", lambda call, r: not _TIERS.fullmatch(r["settings"]["tier"]))
RULES.refuses(
    "sql.instances",
    "NETWORK_NOT_PEERED: the network has no private service connection",
    lambda call, r: (network := _ip(r).get("privateNetwork")) and not is_peered(call, network),
)
RULES.refuses(
    "sql.instances",
    "An instance needs a public or a private address",
    lambda call, r: not _ip(r).get("ipv4Enabled", True) and not _ip(r).get("privateNetwork"),
)
RULES.refuses(
    "sql.instances",
    "Point-in-time recovery needs backups",
    lambda call, r: _backups(r).get("pointInTimeRecoveryEnabled") and not _backups(r).get("enabled"),
)


@RULES.completes("sql.instances")
def _complete_instance(call: Call, instance: Resource, key: str) -> None:
    region = instance.get("region", "us-central1")
    with_defaults(instance, backendType="SECOND_GEN", instanceType="CLOUD_SQL_INSTANCE", gceZone=f"{region}-b")
    with_defaults(instance, databaseInstalledVersion=instance["databaseVersion"], maintenanceVersion="1")
    with_defaults(
        instance, serviceAccountEmailAddress=f"p{call.world.number}-x@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    )
    certificate = {"cert": "-", "commonName": "C=US", "sha1Fingerprint": "0", "createTime": now()}
    with_defaults(instance, serverCaCert={**certificate, "expirationTime": now()})
    name = f"{call.project}:{region}:{instance['name']}"
    instance.update(connectionName=name, region=region, selfLink=f"https://{key}", etag="e", project=call.project)
    instance["state"] = "RUNNABLE"
    instance.pop("rootPassword", None)
    settings = instance.setdefault("settings", {})
    settings.update(settingsVersion=str(int(settings.get("settingsVersion", 0)) + 1), kind="sql#settings")
    with_defaults(settings, activationPolicy="ALWAYS", pricingPlan="PER_USE", availabilityType="ZONAL")
    with_defaults(settings, dataDiskSizeGb="10", dataDiskType="PD_SSD", storageAutoResize=True)
    with_defaults(settings, storageAutoResizeLimit="0", edition="ENTERPRISE", connectorEnforcement="NOT_REQUIRED")
    place = {"zone": f"{region}-b", "kind": "sql#locationPreference"}
    with_defaults(settings, locationPreference=place, replicationType="SYNCHRONOUS", deletionProtectionEnabled=False)
    backups = settings.setdefault("backupConfiguration", {})
    retention = {"retentionUnit": "COUNT", "retainedBackups": 7}
    with_defaults(backups, enabled=False, startTime="04:00", backupRetentionSettings=retention)
    with_defaults(backups, transactionLogRetentionDays=7, backupTier="STANDARD")
    ip = settings.setdefault("ipConfiguration", {})
    with_defaults(ip, ipv4Enabled=True, sslMode="ALLOW_UNENCRYPTED_AND_ENCRYPTED", requireSsl=False)
    with_defaults(ip, serverCaMode="GOOGLE_MANAGED_INTERNAL_CA")
    addresses = [{"type": "PRIMARY", "ipAddress": "203.0.113.9"}] if ip["ipv4Enabled"] else []
    if ip.get("privateNetwork"):
        addresses.append({"type": "PRIVATE", "ipAddress": "10.100.0.3"})
    instance["ipAddresses"] = addresses


@RULES.completes("sql.databases")
def _complete_database(call: Call, database: Resource, key: str) -> None:
    with_defaults(database, charset="UTF8", collation="en_US.UTF8", instance=call.arguments["instance"])
    with_defaults(database, project=call.project, kind="sql#database", etag="e", selfLink=f"https://{key}")


@RULES.handles("sql.instances.delete")
def _delete_instance(call: Call) -> Resource:
    if call.existing().get("settings", {}).get("deletionProtectionEnabled"):
        raise Refused(400, "The instance is protected. Please disable the deletion protection and try again.")
    call.world.remove(call.key)
    return answer(call, None, "DELETE")


@RULES.handles("sql.users.insert")
def _insert_user(call: Call) -> Resource:
    call.existing(call.key.rpartition("/")[0])
    own = {"kind": "sql#user", "project": call.project, "instance": call.arguments["instance"], "host": "", "etag": "1"}
    user = {**own, **_without_password(call.body)}
    return answer(call, call.store(f"{call.key}/{user['name']}", user), "CREATE_USER")


@RULES.handles("sql.users.update")
def _update_user(call: Call) -> Resource:
    user = call.existing(f"{call.key}/{call.query['name']}")
    user.update(_without_password(call.body))
    return answer(call, user, "UPDATE_USER")


@RULES.handles("sql.users.delete")
def _delete_user(call: Call) -> Resource:
    key = f"{call.key}/{call.query['name']}"
    call.existing(key)
    call.world.remove(key)
    return answer(call, None, "DELETE_USER")


def _without_password(user: Resource) -> Resource:
    return {name: value for name, value in user.items() if name != "password"}


def _version(instance: Resource) -> int:
    match = re.fullmatch(r"POSTGRES_(\d+)", instance.get("databaseVersion", ""))
    return int(match[1]) if match else 0


def _ip(instance: Resource) -> Resource:
    found: Resource = instance["settings"].get("ipConfiguration", {})
    return found


def _backups(instance: Resource) -> Resource:
    found: Resource = instance["settings"].get("backupConfiguration", {})
    return found
