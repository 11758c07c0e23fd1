"""The items of a month's bill, from a shape, its work and the table of prices.

Imported by `local.command`. Pure: the table comes as an argument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from local.command.costs.shapes import Live, Shape, Work

_DAYS: Final = 30.4
_GIB_MB: Final = 1073.741824
_PARQUET_SHARE: Final = 0.75
"""Size of a day's Parquet as a share of the exchange's file, measured on synthetic days."""

_BATCH_DCU_HOURS: Final = 0.6
"""Of a daily batch of one symbol; 0.51 to 0.60 were measured by others."""

_BATCH_MB_DCU_HOURS: Final = 0.0006
_CANDLE_DAY_MB: Final = 0.3
"""Of a symbol's minutes of a day in BigQuery."""

_PUBLISH_CALLS: Final = 30 * 24 * 60 / 2
_PUBLISH_S: Final = 3.0
_PUBLISH_TIB: Final = 2 * 10 / 1024 / 1024
"""A merge of live candles reads two tables, and BigQuery bills 10 MiB of each at least."""

_OPERATIONS_A_DAY: Final = 40
_CONTROL_RUNS: Final = 30.4 * 12
_CONTROL_RUN_S: Final = 60.0
_CONTROL_GIB: Final = 1.0
_REGISTRY_GIB: Final = 2.0
_SNAPSHOT_SHARE: Final = 0.5


class UnknownPriceError(Exception):
    """The table has no price of a machine, tier or region."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the bill: what it is, how much of it, and dollars a month."""

    name: str
    quantity: str
    dollars: float


def price_table() -> dict[str, Any]:
    """The table of prices of this version."""
    table: dict[str, Any] = json.loads((files(__package__) / "prices.json").read_text("utf-8"))
    return table


def monthly_items(shape: Shape, work: Work, region: str, table: Mapping[str, Any]) -> list[Item]:
    """Every item of a month. Raises UnknownPriceError."""
    factors = _found(table["regions"], region, "region")
    items = [*_history(work, table)]
    if shape.live:
        items += _live(shape.live, work, table, factors)
    if shape.composer:
        dollars = float(_found(table["composer_month"], shape.composer, "Composer environment"))
        items.append(Item("Composer 3", shape.composer, dollars))
    else:
        items.append(_control_job(table, is_free=shape.live is None))
    return items


def _history(work: Work, table: Mapping[str, Any]) -> Iterator[Item]:
    gib = work.daily_mb * work.days / _GIB_MB
    recent_gib = min(work.days, 30) * work.daily_mb / _GIB_MB
    storage = table["storage_gib_month"]
    raw = recent_gib * storage["STANDARD"] + (gib - recent_gib) * storage["NEARLINE"]
    yield Item("lake: the exchange's files", f"{gib:.0f} GiB, Nearline after 30 days", raw)
    yield Item("lake: trades as Parquet", f"{gib * _PARQUET_SHARE:.0f} GiB", gib * _PARQUET_SHARE * storage["STANDARD"])
    writes = work.symbols * _DAYS * _OPERATIONS_A_DAY
    operations = table["storage_operations_10k"]
    moved = work.symbols * _DAYS
    dollars = writes / 10_000 * operations["write"] + moved / 10_000 * operations["nearline_write"]
    yield Item("lake: operations", f"{writes:,.0f}", dollars)
    hours = _DAYS * (_BATCH_DCU_HOURS + work.daily_mb * _BATCH_MB_DCU_HOURS)
    yield Item("daily batch (Dataproc Serverless)", f"{hours:.0f} DCU hours", hours * table["serverless_dcu_hour"])
    warehouse = work.symbols * work.days * _CANDLE_DAY_MB / _GIB_MB
    billed = max(0.0, warehouse - table["free"]["bigquery_gib"])
    yield Item("BigQuery: storage", f"{warehouse:.1f} GiB", billed * table["bigquery_gib_month"])
    seconds = work.symbols * _DAYS * (1 + work.daily_mb / work.symbols / 12)
    yield _serverless("functions: fetch_archive", seconds, 1, 1, table)
    yield Item("images and bundles", f"{_REGISTRY_GIB:.0f} GiB", _REGISTRY_GIB * table["registry_gib_month"])


def _control_job(table: Mapping[str, Any], *, is_free: bool) -> Item:
    """The scheduled job. `is_free`: whether Google's free amounts are left for it, which a producer uses up."""
    seconds = _CONTROL_RUNS * _CONTROL_RUN_S
    price = table["instance_based"]
    dollars = 0.0 if is_free else seconds * (price["vcpu_second"] + _CONTROL_GIB * price["gib_second"])
    return Item("daily schedule (Cloud Scheduler, Cloud Run job)", f"{_CONTROL_RUNS:.0f} runs of a minute", dollars)


def _live(live: Live, work: Work, table: Mapping[str, Any], factors: Mapping[str, float]) -> Iterator[Item]:
    hours = table["hours"]
    broker, _ = _machine(live.broker_machine, table)
    yield Item("Redpanda: machine", live.broker_machine, broker * factors["machines"])
    disk = _found(table["disks"], live.broker_disk_type, "disk") * factors["disks"]
    boot = _found(table["disks"], live.broker_boot_type, "disk") * factors["disks"]
    size = f"{live.broker_disk_gib} GiB {live.broker_disk_type}, {live.broker_boot_gib} GiB to boot"
    yield Item("Redpanda: disks", size, live.broker_disk_gib * disk + live.broker_boot_gib * boot)
    kept = live.broker_disk_gib * _SNAPSHOT_SHARE
    yield Item("Redpanda: snapshots", f"{kept:.0f} GiB", kept * table["snapshot_gib_month"])
    machines = 1 + live.flink_workers
    flink, vcpus = _machine(live.flink_machine, table)
    yield Item("Flink: machines", f"{machines} {live.flink_machine}", machines * flink * factors["machines"])
    fee = machines * vcpus * hours * table["dataproc_vcpu_hour"]
    yield Item("Flink: Dataproc's fee", f"{machines * vcpus} vCPUs", fee)
    boot = _found(table["disks"], live.flink_boot_type, "disk") * factors["disks"]
    gib = machines * live.flink_boot_gib
    yield Item("Flink: disks", f"{gib} GiB {live.flink_boot_type}", gib * boot)
    sql = _found(table["sql"], live.sql_tier, "tier")["month"] * factors["sql"]
    yield Item("Cloud SQL: instance", live.sql_tier, sql)
    sql_gib = live.sql_disk_gib * factors["sql"]
    dollars = sql_gib * table["sql_disks"]["PD_SSD"] + sql_gib * table["sql_backup_gib_month"]
    yield Item("Cloud SQL: disk and backups", f"{live.sql_disk_gib} GiB each", dollars)
    yield _producer(live, table)
    seconds = work.dashboard_hours * 3600
    yield _serverless("dashboard, while it is open", seconds, 1, 1, table)
    publish_s = _PUBLISH_CALLS * _PUBLISH_S
    yield _serverless("functions: publish_live, archive_live", publish_s, 0.25, 0.5, table, free=False)
    tib = _PUBLISH_CALLS * _PUBLISH_TIB
    yield Item("BigQuery: queries", f"{tib:.2f} TiB", max(0.0, tib - table["free"]["query_tib"]) * table["query_tib"])
    yield Item("private DNS zone", "1", table["dns_zone_month"])
    secrets = max(0, 12 - table["free"]["secret_versions"]) * table["secret_version_month"]
    jobs = max(0, 4 - table["free"]["scheduler_jobs"]) * table["scheduler_job_month"]
    yield Item("secrets, scheduled jobs", "12, 4", secrets + jobs)


def _producer(live: Live, table: Mapping[str, Any]) -> Item:
    seconds = table["hours"] * 3600
    free, price = table["free"], table["worker_pool"]
    vcpu = max(0.0, seconds * live.producer_vcpus - free["instance_based_vcpu_seconds"]) * price["vcpu_second"]
    gib = max(0.0, seconds * live.producer_memory_gib - free["instance_based_gib_seconds"]) * price["gib_second"]
    return Item("producer (worker pool)", f"{live.producer_vcpus} vCPU, {live.producer_memory_gib:g} GiB", vcpu + gib)


def _serverless(  # noqa: PLR0913  # a name, an amount and its price
    name: str, seconds: float, vcpus: float, gib: float, table: Mapping[str, Any], *, free: bool = True
) -> Item:
    """An item that is billed by requests. `free`: whether Google's free amounts are taken off here."""
    allowance = table["free"]
    vcpu_s = max(0.0, seconds * vcpus - (allowance["request_based_vcpu_seconds"] if free else 0))
    gib_s = max(0.0, seconds * gib - (allowance["request_based_gib_seconds"] if free else 0))
    price = table["request_based"]
    return Item(name, f"{seconds / 3600:.0f} h", vcpu_s * price["vcpu_second"] + gib_s * price["gib_second"])


def _machine(name: str, table: Mapping[str, Any]) -> tuple[float, int]:
    """Dollars a month and vCPUs of a machine type, which may be a custom one, such as e2-custom-2-4096."""
    custom = re.fullmatch(r"(\w+)-custom-(\d+)-(\d+)", name)
    if custom is None:
        found = _found(table["machines"], name, "machine")
        return float(found["month"]), int(found["vcpus"])
    price = _found(table["custom_machines"], custom[1], "custom machine")
    vcpus, gib = int(custom[2]), int(custom[3]) / 1024
    return float(table["hours"] * (vcpus * price["vcpu_hour"] + gib * price["gib_hour"])), vcpus


def _found(prices: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in prices:
        known = ", ".join(sorted(item for item in prices if item not in ("source",)))
        raise UnknownPriceError(f"the table has no price of the {what} {name}; it has {known}")
    return prices[name]
