"""kill -9 of every part of the live path while trades come: at the end the candles are those of the exchange's trades.

Deploys overlap meanwhile: a second producer runs beside the first, at times without one of the symbols. `make chaos` is
the same for ten minutes at 1,000 trades a second.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import psutil
import pytest

from bitcoin_pipeline.candle import Candle, Source, Status, minute_candles
from bitcoin_pipeline.times import MINUTE_US, floor_us, iso
from bitcoin_pipeline.trade import Trade
from local.stack.deployables import artifact_of
from local.stack.ports import free_ports
from local.waiting import wait_for
from tests.e2e.synthetic import CLOCK_OFFSET_US
from tests.support.command import Pipeline
from tests.support.containers import kill_container
from tests.support.runs import in_containers
from tests.support.whole_path import ServedPage, StoredGap, TopicContent, WholeStack

TARGETS: Final = (
    *("producer", "kafka", "postgres"),
    *(("dashboard",) if in_containers() else ("taskmanager", "jobmanager")),
)
"""What is killed; in a stack of containers, these alone."""
PAUSE: Final = 20.0
"""Seconds between two kills."""
SECONDS: Final = float(os.environ.get("CHAOS_SECONDS", PAUSE * len(TARGETS) + 5))
"""Duration of the kills; trades come before and after, too."""
FORMING: Final = Status.FORMING


@pytest.fixture
def stack(synthetic_stack: Pipeline) -> WholeStack:
    return WholeStack(synthetic_stack.home)


# trades   ||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||||
# killed      kafka   producer   jobmanager   postgres   taskmanager   ... and the connection is dropped in between
# deployed  ......second producer......   ......second producer with a symbol less......
# rows     partial (joined late) | final or, where REST could not reach back, partial with its gap | ...
@pytest.mark.timeout(SECONDS + 1200)
def test_candles_survive_kills(stack: WholeStack, tmp_path: Path) -> None:
    wait_for("the first candles", lambda: len(stack.candles()) >= len(stack.symbols), 180, 0.5)
    killed = harass(stack)
    closing_us = floor_us(stack.exchange_us()) + MINUTE_US

    def closed() -> dict[tuple[str, int], Candle]:
        found = stack.candles()
        past = {
            key[0] for key, item in found.items() if item.status is not FORMING and key[1] >= closing_us - MINUTE_US
        }
        found = {key: item for key, item in found.items() if key[1] < closing_us}
        is_forming = any(item.status is FORMING for item in found.values())
        return {} if is_forming or past != set(stack.symbols) else found

    found = wait_for("every minute to be closed", closed, 600, 1)
    figures, wrong = judged(stack, found, closing_us)
    text = json.dumps({"killed": killed, **asdict(figures)}, indent=2)
    (tmp_path / "figures.json").write_text(text)
    show(text)
    assert wrong == []
    assert min(killed[target] for target in TARGETS) >= SECONDS // (PAUSE * len(TARGETS))
    assert figures.minutes_after_the_first > 0
    assert figures.of_these_whole * 2 >= figures.minutes_after_the_first


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of a run. `minutes...` count each symbol's minutes; `partial_minutes` have their gaps."""

    trades_sent: int
    of_these_not_in_the_topic: int
    candles_compared: int
    differences: int
    duplicates: int
    minutes_after_the_first: int
    of_these_whole: int
    repeated_in_the_topic: int
    partial_minutes: dict[str, list[str]]


def harass(stack: WholeStack) -> Counter[str]:
    """Kill the targets and drop connections for SECONDS, in rounds of random order; returns the kills by target."""
    rng = random.Random(7)
    killed: Counter[str] = Counter()
    deployed: Deployed | None = None
    waiting: list[str] = []
    begin = due = time.monotonic()
    while due < begin + SECONDS:
        waiting = waiting or rng.sample(TARGETS, len(TARGETS))
        target = waiting.pop()
        kill(stack, target)
        killed[target] += 1
        show(f"{time.monotonic() - begin:6.1f} s: killed {target}")
        if deployed is None:
            deployed = Deployed(stack, stack.symbols[killed.total() // 2 % 2 :])
        else:
            deployed.stop()
            deployed = None
        drop_at = due + rng.uniform(0, PAUSE)
        due += PAUSE
        if rng.random() < 0.5:
            until(drop_at)
            stack.fault("drop")
            show(f"{time.monotonic() - begin:6.1f} s: dropped the connection")
        until(due)
    if deployed is not None:
        deployed.stop()
    return killed


class Deployed:
    """A second producer beside the stack's own, as while a deploy lasts; it receives `symbols`."""

    def __init__(self, stack: WholeStack, symbols: list[str]) -> None:
        environ = {
            **os.environ,
            **stack.environ,
            "PIPELINE_SYMBOLS": ",".join(symbols),
            "HOST": "127.0.0.1",
            "PORT": str(free_ports(("second",))["second"]),
        }
        command = (sys.executable, str(artifact_of(stack.home, "producer") / "main.py"))
        self._log = stack.home / "logs" / "second_producer.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        show(f"deployed a second producer of {' '.join(symbols)}")

    def stop(self) -> None:
        """End it as a deploy does: it sends what it has, within the time that the cloud gives it."""
        self._process.terminate()  # it may have ended by itself, as the broker was killed
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"the second producer did not end:\n{self._log.read_text()[-3000:]}") from None
        show("the second producer has ended")


def until(moment: float) -> None:
    """Wait until a moment of the monotonic clock."""
    wait_for("the next kill or drop", lambda: time.monotonic() >= moment, 2 * PAUSE, 0.1)


def kill(stack: WholeStack, target: str) -> None:
    """Kill a service and its children, or its container, with SIGKILL."""
    if kill_container(stack.home, target):
        return
    service = psutil.Process(wait_for(f"{target} to run", lambda: stack.pid(target), 60))
    for process in (service, *service.children(recursive=True)):
        with suppress(ProcessLookupError):  # a child that has ended by itself
            os.kill(process.pid, signal.SIGKILL)


def judged(stack: WholeStack, found: Mapping[tuple[str, int], Candle], closing_us: int) -> tuple[Figures, list[str]]:
    """The figures of a run, and its faults.

    Every candle is held to the trades in the topic, and one that claims to be whole to all that the exchange has made,
    to its record in the topic, and to the exchange's confirmation.
    What is missing of the others must lie in recorded gaps; and a gap must be where REST did not reach.
    """
    topic, gaps = stack.topic(), stack.gaps()
    first_us = min(time_us for _, time_us in found)
    whole = {key for key, candle in found.items() if candle.status in (Status.FINAL, Status.REPAIRED)}
    differences: list[str] = []
    duplicates: list[str] = []
    unexplained: list[str] = []
    minutes: set[tuple[str, int]] = set()
    sent = lost = 0
    for symbol in stack.symbols:
        trades = [trade for trade in stack.traded(symbol, closing_us) if trade.time_us >= first_us]
        truth = candles_of(trades)
        in_topic = candles_of(trade for trade in trades if trade.trade_id in topic.ids[symbol])
        for key in sorted(set(truth) | {key for key in found if key[0] == symbol}):
            expected, candle = truth.get(key) if key in whole else in_topic.get(key), found.get(key)
            # A minute of which there is no trade in the topic has no row.
            if (candle and replace(candle, status=FORMING)) != (expected and replace(expected, status=FORMING)):
                differences.append(f"{spelled(*key)}: {candle} should be {expected}")
            if candle and key in whole and candle.trade_count != topic.counted.get(key):
                differences.append(f"{spelled(*key)}: {candle.trade_count} trades, of {topic.counted.get(key)} counted")
            if candle and key in whole and not candle.confirmed:
                differences.append(f"{spelled(*key)} is whole and not confirmed")
            if candle and key in truth and (candle.trade_count or 0) > (truth[key].trade_count or 0):
                duplicates.append(f"{spelled(*key)}: {candle.trade_count} of {truth[key].trade_count} trades")
        minutes |= set(truth)
        missing = [trade for trade in trades if trade.trade_id not in topic.ids[symbol]]
        unexplained += [f"{symbol} {trade.trade_id} is missing" for trade in missing if not in_gap(gaps, trade)]
        sent, lost = sent + len(trades), lost + len(missing)
    partial = {key: gaps_of(gaps, *key) for key in sorted(minutes - whole)}
    unexplained += [f"{spelled(*key)} is partial without a gap" for key, its in partial.items() if not its]
    later = [gap for gap in gaps if first_us < floor_us(gap.from_us) < closing_us and gap.state == "opened"]
    # A producer without the symbol leaves a gap without an end, which the next one that receives it ends.
    later = [gap for gap in later if gap.to_us is not None]
    pages = stack.pages()
    unexplained += [f"REST reached back, yet there is {gap}" for gap in later if reached_back(pages, topic, gap)]
    after_first = [key for key in minutes if key[1] > first_us]
    figures = Figures(
        trades_sent=sent,
        of_these_not_in_the_topic=lost,
        candles_compared=len(found),
        differences=len(differences),
        duplicates=len(duplicates),
        minutes_after_the_first=len(after_first),
        of_these_whole=sum(key in whole for key in after_first),
        repeated_in_the_topic=topic.repeated,
        partial_minutes={
            spelled(*key): [f"{iso(gap.from_us)} to {'?' if gap.to_us is None else iso(gap.to_us)}" for gap in its]
            for key, its in partial.items()
        },
    )
    return figures, [*differences, *duplicates, *unexplained]


def candles_of(trades: Iterable[Trade]) -> dict[tuple[str, int], Candle]:
    """Exact candles by symbol and open time."""
    return {(candle.symbol, candle.open_time_us): candle for candle in minute_candles(trades, Source.LIVE)}


def gaps_of(gaps: list[StoredGap], symbol: str, minute_us: int) -> list[StoredGap]:
    """The gaps that touch a minute; one without an end touches the minute in which it begins."""
    return [
        gap
        for gap in gaps
        if gap.symbol == symbol and floor_us(gap.from_us) <= minute_us <= max(gap.to_us or 0, gap.from_us)
    ]


def in_gap(gaps: list[StoredGap], trade: Trade) -> bool:
    """True for a trade that lies in a recorded gap."""
    return any(gap.symbol == trade.symbol and gap.state == "opened" and gap.holds(trade.time_us) for gap in gaps)


def reached_back(pages: list[ServedPage], topic: TopicContent, gap: StoredGap) -> bool:
    """True when the page of recent trades that the producer had at the gap's record held all missing trades."""
    opened_us = topic.gap_opened_us[gap.gap_id] + CLOCK_OFFSET_US
    had = [page for page in pages if page.symbol == gap.symbol and page.at_us <= opened_us]
    return not had or not had[-1].is_full or had[-1].oldest_us <= gap.from_us


def spelled(symbol: str, minute_us: int) -> str:
    """The name of a candle in messages."""
    return f"{symbol} {iso(minute_us)}"


def show(text: str) -> None:
    """Print a line, which `make chaos` and a failing test show."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
