"""The simulation of a backfill on Google Cloud, at a size at which its result can be computed by hand."""

from __future__ import annotations

import pytest

from local.command.backfill import Limits
from tests.bench.backfill_cloud import Delays, Prices, simulate

DELAYS = Delays(
    listing_s=0.9,
    instance_start_s=0,
    fetch_s=1,
    fetch_mb_s=10,
    batch_start_s=60,
    publish_s=30,
    day_cpu_s=1,
    mb_cpu_s=0.1,
    vcpu_factor=1,
)
"""A listing takes 1 s with the lake's; a file of 10 MB is fetched in 2 s and computed in 2 CPU seconds."""


# time      0         1    1.5  2    2.5                  4.5     6.5     96.5             188.5
# listing   |---------|
# fetches             |----|----|----|----|--- 8 calls at 2 a second, each of 2 s -------|
# batch 1                                                 |---------------|
# batch 2                                                                 |----------------|
def test_the_next_days_are_fetched_while_a_batch_computes() -> None:
    seconds, bill, summary = simulate(1, 8, lambda _: 10, Limits(2, 48, 4), DELAYS)
    assert seconds == pytest.approx(188.5)
    assert bill.first_candles_s == pytest.approx(96.5)
    assert (bill.calls, bill.bans, bill.batches) == (9, 0, 2)
    assert bill.fetched_mb == pytest.approx(80)
    assert (bill.function_s, bill.batch_s, bill.task_s) == pytest.approx((17 / 1.6, 184, 4))
    # 184 s of 12 DCU at 6 cents an hour, the 17 s of calls by 1.6 an instance, 24 writes, and 240 MiB of queries.
    assert bill.dollars(Prices()) == pytest.approx(0.0368 + 17 / 1.6 * 0.0000185 + 0.00012 + 0.0014305, abs=1e-6)
    assert len(summary.ingests) == 8
    assert set(bill.computed.values()) == {1}


def test_days_are_computed_on_all_cores_of_the_executors() -> None:
    # 20 days of 2 s on 8 cores: three rounds.
    _, bill, _ = simulate(2, 10, lambda _: 10, Limits(20, 48, 100), DELAYS)
    assert (bill.batches, bill.task_s) == pytest.approx((1, 6))


def test_the_default_pace_is_never_banned_and_one_above_the_exchange_s_limit_is() -> None:
    fast = Delays(fetch_s=0.1, fetch_mb_s=1000)
    _, bill, summary = simulate(3, 100, lambda _: 10, delays=fast)
    assert (bill.bans, bill.calls, len(summary.ingests)) == (0, 303, 300)
    seconds, bill, summary = simulate(3, 100, lambda _: 10, Limits(40, 48, 1500), fast)
    assert bill.bans > 0
    assert seconds > 600
    assert len(summary.ingests) == 300
    assert set(bill.computed.values()) == {1}
