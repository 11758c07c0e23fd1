"""The order of a backfill's steps, in virtual time: what goes on at the same time, and what is done after a stop."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest
import requests

from bitcoin_pipeline.ingests import Ingest, IngestStatus, Recorded, SymbolDay
from bitcoin_pipeline.planning import BackfillError
from bitcoin_pipeline.summary import Summary
from local.command.backfill import Backfill, Limits
from tests.bench.backfill_cloud import Delays, SimulatedCloud
from tests.support.virtual_time import run

START = dt.date(2024, 1, 1)
DELAYS = Delays(
    listing_s=0.9,
    instance_start_s=0,
    fetch_s=1,
    fetch_mb_s=10,
    batch_start_s=60,
    publish_s=30,
    day_cpu_s=2,
    mb_cpu_s=0,
    vcpu_factor=1,
)
"""A listing takes 1 s, a day's file of 10 MB 2 s, and a batch of up to 8 days 92 s."""


class Shown:
    """Progress that keeps its steps and notes."""

    def __init__(self) -> None:
        self.steps: dict[str, list[int | None]] = {}
        self.notes: list[str] = []

    def step(self, title: str, total: int | None) -> None:
        self.steps[title] = [0, total]

    def advance(self, title: str, count: int = 1) -> None:
        done, total = self.steps[title]
        self.steps[title] = [(done or 0) + count, total]

    def note(self, text: str) -> None:
        self.notes.append(text)


class Cloud(SimulatedCloud):
    """The simulated cloud with failures: `answers` by a day's date, and by "listing"."""

    def __init__(self, days_per_batch: int = 4, **answers: tuple[int, dict[str, Any]]) -> None:
        super().__init__(lambda _: 10, Limits(2, 48, days_per_batch), DELAYS)
        self.answers = answers

    async def call(self, body: dict[str, Any]) -> requests.Response:
        name = f"day_{body['date'][-2:]}" if "date" in body else "listing"
        if name not in self.answers:
            return await super().call(body)
        found = requests.Response()
        found.status_code, content = self.answers[name]
        found._content = json.dumps(content).encode()
        return found


def backfill(cloud: Cloud, days: int, shown: Shown) -> Backfill:
    return Backfill(cloud, ["BTCUSDT"], START, START + dt.timedelta(days=days - 1), shown)


async def stopped_after(seconds: float, runs: Backfill) -> None:
    """A backfill that is cancelled, as an interrupt does."""
    task = asyncio.create_task(runs.run())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}  # no fetch is left


# time       0        6.5        96.5   100              second run: 1                93
# batch 1             |----------|
# batch 2                        |------x                             |----------------|
def test_after_a_stop_nothing_is_fetched_or_computed_again() -> None:
    cloud = Cloud()
    run(stopped_after(100, backfill(cloud, 8, Shown())))
    assert (cloud.bill.calls, len(cloud.bill.computed)) == (9, 4)
    shown = Shown()

    async def again() -> tuple[Summary, float]:
        return await backfill(cloud, 8, shown).run(), asyncio.get_running_loop().time()

    summary, seconds = run(again())
    assert seconds == pytest.approx(93)
    assert cloud.bill.calls == 10  # the listing alone
    assert [ingest.item.day.day for ingest in summary.ingests] == [5, 6, 7, 8]
    assert set(cloud.bill.computed.values()) == {1}
    assert shown.steps == {"files fetched": [4, 4], "days done": [4, 4]}
    assert run(backfill(cloud, 8, Shown()).run()) == Summary()
    assert cloud.bill.calls == 10


def test_a_daily_run_loads_what_is_new_and_what_was_revised_and_leaves_failed_days_alone() -> None:
    cloud = Cloud()
    run(backfill(cloud, 4, Shown()).run())
    first, second = (SymbolDay("BTCUSDT", START + dt.timedelta(days=number)) for number in range(2))
    earlier = cloud._rows[first].recorded
    cloud._rows[first] = replace(cloud._rows[first], recorded=replace(earlier, sha256="of the earlier file"))
    failed = replace(cloud._rows[second].recorded, status=IngestStatus.FAILED)
    cloud._rows[second] = replace(cloud._rows[second], recorded=failed)
    summary = run(backfill(cloud, 5, Shown()).run(revised=True))
    assert [ingest.item.day.day for ingest in summary.ingests] == [1, 5]
    assert [item.day.day for item in summary.unchanged] == [3, 4]
    assert [ingest.item.day.day for ingest in summary.still_failed] == [2]
    assert cloud._rows[first].recorded.sha256 == earlier.sha256


class Finishing(Cloud):
    """A cloud in which another run's batch has published its days, and finishes them within 30 s."""

    async def ended(self, batch_id: str) -> None:
        assert batch_id == "candles-left"
        await asyncio.sleep(30)
        self.record(unfinished=False)

    def record(self, *, unfinished: bool) -> None:
        for number in range(4):
            item = SymbolDay("BTCUSDT", START + dt.timedelta(days=number))
            recorded = Recorded(IngestStatus.LOADED, str(item), "e", "candles-left", unfinished)
            self._rows[item] = Ingest(item, recorded, "", 0, 0, 0, 0)


# other run's batch   ── published ──────── finished |
# this run                       |── waits ─────────── plan: days 5 to 8
def test_days_that_a_running_batch_has_published_are_not_computed_again() -> None:
    cloud = Finishing()
    cloud.record(unfinished=True)
    summary = run(backfill(cloud, 8, Shown()).run())
    assert [item.day.day for item in summary.planned] == [5, 6, 7, 8]
    assert len(cloud.bill.computed) == 4


def test_days_done_their_rate_and_the_time_left_are_shown_after_each_batch() -> None:
    shown = Shown()
    run(backfill(Cloud(), 12, shown).run())
    assert shown.notes == [
        "computing candles of 4 days",
        "4 of 12 days done, to 2024-01-04; 0.0419/s, 0:03:11 left",
        "computing candles of 4 days",
        "8 of 12 days done, to 2024-01-08; 0.0427/s, 0:01:34 left",
        "computing candles of 4 days",
    ]
    assert shown.steps == {"files fetched": [12, 12], "days done": [12, 12]}


def test_a_day_that_cannot_be_fetched_keeps_no_other_from_loading() -> None:
    cloud = Cloud(day_02=(502, {"error": "the exchange answers 410"}))
    summary = run(backfill(cloud, 4, Shown()).run())
    assert summary.not_fetched == {
        SymbolDay("BTCUSDT", dt.date(2024, 1, 2)): "fetch_archive answers 502: the exchange answers 410"
    }
    assert [ingest.item.day.day for ingest in summary.ingests] == [1, 3, 4]


def test_without_a_listing_each_day_is_fetched_alone() -> None:
    cloud = Cloud(listing=(503, {"error": "the listing does not answer"}))
    shown = Shown()
    summary = run(backfill(cloud, 4, shown).run())
    assert len(summary.ingests) == 4
    assert shown.notes[0] == (
        "no listing of BTCUSDT, each day is requested alone: fetch_archive answers 503: the listing does not answer"
    )


def test_a_function_that_refuses_the_caller_ends_the_backfill_and_every_fetch() -> None:
    async def refused() -> None:
        with pytest.raises(BackfillError, match="fetch_archive refuses this caller"):
            await backfill(Cloud(day_02=(403, {})), 8, Shown()).run()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(refused())
