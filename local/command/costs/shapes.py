"""The environments as far as their price depends on it, and the work that they do.

Imported by `local.command`. A test holds the shapes to the values of `terraform/environments/*.tfvars`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Environment(StrEnum):
    """The values of `--environment`."""

    HISTORY = "history"
    SMALL = "small"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Live:
    """The machines of the live plane, as Terraform's variable `live` has them. Sizes of disks and memory in GiB."""

    broker_machine: str
    broker_disk_gib: int
    flink_machine: str
    sql_tier: str
    sql_disk_gib: int
    producer_vcpus: int
    producer_memory_gib: float
    broker_disk_type: str = "pd-balanced"
    broker_boot_gib: int = 10
    broker_boot_type: str = "pd-standard"
    flink_boot_gib: int = 50
    flink_boot_type: str = "pd-balanced"
    flink_workers: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """An environment. `composer`: the size of its Composer environment; empty without one."""

    live: Live | None = None
    composer: str = ""


SHAPES: Final = {
    Environment.HISTORY: Shape(),
    Environment.SMALL: Shape(
        Live(
            broker_machine="e2-small",
            broker_disk_gib=16,
            flink_machine="e2-custom-2-4096",
            sql_tier="db-f1-micro",
            sql_disk_gib=10,
            producer_vcpus=1,
            producer_memory_gib=0.5,
            flink_boot_gib=40,
            flink_boot_type="pd-standard",
        )
    ),
    Environment.FULL: Shape(
        Live(
            broker_machine="e2-standard-2",
            broker_disk_gib=200,
            flink_machine="e2-standard-4",
            sql_tier="db-custom-1-3840",
            sql_disk_gib=20,
            producer_vcpus=2,
            producer_memory_gib=1,
        ),
        composer="ENVIRONMENT_SIZE_SMALL",
    ),
}


@dataclass(frozen=True, slots=True)
class Work:
    """What the environment stores and does in a month.

    `symbols`: their number. `days`: days of the archive that are stored for each symbol. `day_mb`: size of the
    exchange's file of a day, on the average of BTCUSDT's years; other symbols' are about a fifth as large.
    """

    symbols: int = 1
    days: int = 2440
    day_mb: float = 50.0
    other_day_mb: float = 10.0
    dashboard_hours: float = 60.0

    @property
    def daily_mb(self) -> float:
        """Megabytes of the exchange's files of one day, of all symbols."""
        return self.day_mb + (self.symbols - 1) * self.other_day_mb
