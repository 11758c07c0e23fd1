"""The bill of a month, item by item, and the prices that stand in the README."""

from __future__ import annotations

import pytest

from local.checkout import ROOT
from local.command.costs.monthly import UnknownPriceError, monthly_items, price_table
from local.command.costs.shapes import SHAPES, Environment, Work

REGION = "europe-west1"


def items_of(environment: Environment, work: Work = Work(), region: str = REGION) -> dict[str, float]:  # noqa: B008
    return {item.name: item.dollars for item in monthly_items(SHAPES[environment], work, region, price_table())}


def test_history_of_one_symbol_costs_less_than_five_dollars() -> None:
    items = items_of(Environment.HISTORY)
    gib = 50 * 2440 / 1073.741824
    recent = 50 * 30 / 1073.741824
    assert items["lake: the exchange's files"] == pytest.approx(recent * 0.02 + (gib - recent) * 0.01)
    assert items["lake: trades as Parquet"] == pytest.approx(gib * 0.75 * 0.02)
    assert items["daily batch (Dataproc Serverless)"] == pytest.approx(30.4 * (0.6 + 50 * 0.0006) * 0.06)
    assert sum(items.values()) < 5


def test_the_live_plane_adds_its_machines() -> None:
    items = items_of(Environment.SMALL)
    assert items["Redpanda: machine"] == pytest.approx(12.23 * 1.1)
    assert items["Flink: machines"] == pytest.approx(730 * (2 * 0.0229022 + 4 * 0.0030697) * 1.1)
    assert items["Flink: disks"] == pytest.approx(40 * 0.04 * 1.1)
    assert items["Flink: Dataproc's fee"] == pytest.approx(2 * 730 * 0.01)
    assert items["producer (worker pool)"] == pytest.approx(
        (730 * 3600 - 240_000) * 0.0000112 + (730 * 3600 / 2 - 450_000) * 0.00000124
    )
    runs_s = 30.4 * 12 * 60  # Google's free seconds are the producer's
    assert items["daily schedule (Cloud Scheduler, Cloud Run job)"] == pytest.approx(runs_s * (0.000018 + 0.000002))
    assert sum(items.values()) < 125


def test_composer_replaces_the_daily_job() -> None:
    items = items_of(Environment.FULL)
    assert items["Composer 3"] == 390
    assert not any(name.startswith("daily schedule") for name in items)


def test_more_days_and_symbols_cost_storage() -> None:
    one = items_of(Environment.HISTORY, Work(days=30))
    two = items_of(Environment.HISTORY, Work(symbols=2, days=30))
    assert one["lake: the exchange's files"] == pytest.approx(30 * 50 / 1073.741824 * 0.02)
    assert two["lake: the exchange's files"] == pytest.approx(30 * 60 / 1073.741824 * 0.02)


def test_an_environment_without_a_producer_runs_the_daily_job_for_free() -> None:
    assert items_of(Environment.HISTORY)["daily schedule (Cloud Scheduler, Cloud Run job)"] == 0


def test_a_region_without_prices_is_named() -> None:
    with pytest.raises(UnknownPriceError, match="no price of the region mars-north1; it has asia-northeast1, "):
        items_of(Environment.SMALL, region="mars-north1")


@pytest.mark.parametrize("environment", Environment)
def test_the_readme_states_the_price(environment: Environment) -> None:
    total = f"{sum(items_of(environment).values()):.2f}"
    [row] = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| `{environment}` |")]
    assert row.split("|")[3].strip() == total
