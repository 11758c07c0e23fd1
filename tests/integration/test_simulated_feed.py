"""The live feed in virtual time: an exchange, a network, REST and workers that fail, by plan and at random.

A judge reads the topic in its order: no minute is complete that lacks a trade, no gap is closed that lacks one, every
lost trade lies in a gap, and every minute ends. `make chaos-simulated` runs thousands of minutes at random.
"""

from __future__ import annotations

import pytest

from tests.support.simulated.judge import Verdict
from tests.support.simulated.plans import Case, cases
from tests.support.simulated.runs import Run, random_plan

SEEDS = range(17)


@pytest.mark.parametrize(("name", "case"), cases().items(), ids=list(cases()))
def test_what_once_broke_the_feed(name: str, case: Case) -> None:
    run = Run(7, case.plan)
    found = run.result()
    story = "\n".join([*map(str, found.violations), *run.told()])
    assert found.violations == [], story
    assert found.minutes > 0, name
    assert found.minutes - found.complete == case.incomplete, story
    assert case.unconfirmed in (None, found.complete - found.confirmed), story


def test_at_random() -> None:
    total, kills = Verdict(), 0
    for seed in SEEDS:
        run = Run(seed, random_plan(seed))
        found = run.result()
        assert found.violations == [], "\n".join([f"seed {seed}", *map(str, found.violations), *run.told()])
        total.add(found)
        kills += run.kills
    # The runs are not idle: workers are killed and trades are lost, and still most minutes are whole.
    assert kills > 20
    assert total.lost > 100
    assert total.minutes > 200
    assert total.complete > 0.8 * total.minutes
    assert total.confirmed > 0.6 * total.minutes
