"""The move of staged objects to the lake, beside another batch that publishes the same day at any step of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed

from bitcoin_pipeline import names
from bitcoin_pipeline.ingests import parse_symbol_day
from candles_batch.finishing import finish
from candles_batch.task import Outcome

DAYS = [parse_symbol_day(text) for text in ("BTCUSDT:2024-01-01", "ETHUSDT:2024-01-02")]
TRADES = {item: names.trades_object(item.symbol, item.day) for item in DAYS}
QUARANTINE = {item: names.quarantine_object(item.symbol, item.day) for item in DAYS}


@dataclass
class World:
    """Cloud Storage, whose objects have generations, and the table `ingests`.

    `lake`: name to generation and content. `staging`: name to content. `rows`: day to batch and `unfinished`.
    `before`: is called with the number of each request before it is served.
    """

    lake: dict[str, tuple[int, str]] = field(default_factory=dict)
    staging: dict[str, str] = field(default_factory=dict)
    rows: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)
    before: Callable[[int], None] = lambda _: None
    requests: int = 0
    generation: int = 0

    def request(self) -> None:
        self.requests += 1
        self.before(self.requests)

    def match(self, name: str, generation: int) -> None:
        if self.lake.get(name, (0, ""))[0] != generation:
            raise PreconditionFailed(name)

    def publish(self, batch_id: str, version: str | None) -> list[Outcome]:
        """The transaction of a batch with this version of every day; None for days without trades."""
        outcomes = []
        for item in DAYS:
            staged = f"{batch_id}/{item}" if version else ""
            if version:
                self.staging[staged] = version
            objects = {TRADES[item]: staged and f"staging/{staged}", QUARANTINE[item]: ""}
            outcomes.append(Outcome({"symbol": item.symbol, "date": str(item.day)}, objects=objects))
            self.rows[item.symbol, str(item.day)] = (batch_id, True)
        return outcomes

    def finish(self, batch_id: str, outcomes: list[Outcome]) -> None:
        warehouse: Any = Warehouse(self)
        finish(warehouse, Bucket(self), batch_id, outcomes)

    def contents(self) -> dict[str, str]:
        return {name: content for name, (_, content) in self.lake.items()}


class Bucket:
    """The lake, with the methods of google.cloud.storage that the job calls."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.client = self

    def bucket(self, name: str) -> SimpleNamespace:
        assert name == "staging"
        return SimpleNamespace(blob=lambda staged: staged)

    def blob(self, name: str) -> Blob:
        return Blob(self._world, name)

    def list_blobs(self, _: Bucket, prefix: str, start_offset: str, end_offset: str, **__: str) -> list[Any]:
        self._world.request()
        found = sorted(name for name in self._world.lake if name.startswith(prefix))
        return [
            SimpleNamespace(name=name, generation=self._world.lake[name][0])
            for name in found
            if start_offset <= name < end_offset
        ]


@dataclass
class Blob:
    """An object of the lake."""

    world: World
    name: str
    generation: int = 0

    def rewrite(self, source: str, token: str | None, if_generation_match: int) -> tuple[str | None, int, int]:
        self.world.request()
        self.world.match(self.name, if_generation_match)
        if token is None:
            return "the second half is missing", 1, 2
        self.world.generation += 1
        self.generation = self.world.generation
        self.world.lake[self.name] = (self.generation, self.world.staging[source])
        return None, 2, 2

    def delete(self, if_generation_match: int) -> None:
        self.world.request()
        if self.name not in self.world.lake:
            raise NotFound(self.name)
        self.world.match(self.name, if_generation_match)
        del self.world.lake[self.name]


class Warehouse:
    """BigQuery with the two statements of `finish`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def query_and_wait(self, query: str, job_config: Any) -> Iterator[dict[str, Any]]:
        assert query.startswith("SELECT symbol, date")
        self._world.request()
        rows = [day for day, (run, _) in self._world.rows.items() if run == self._run(job_config)]
        return iter([{"symbol": symbol, "date": dt.date.fromisoformat(date)} for symbol, date in rows])

    def query(self, query: str, job_config: Any, **_: str) -> SimpleNamespace:
        assert query.startswith("UPDATE `market.ingests` SET unfinished = NULL")
        self._world.request()
        for day, (run, _unfinished) in self._world.rows.items():
            if run == self._run(job_config):
                self._world.rows[day] = (run, False)
        return SimpleNamespace(result=lambda: None)

    def _run(self, job_config: Any) -> str:
        values = {each.name: getattr(each, "value", None) for each in job_config.query_parameters}
        assert (values["first"], values["last"]) == (DAYS[0].day, DAYS[1].day)
        return str(values["run"])


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request after the other, so that their numbers mean the same in every run."""
    monkeypatch.setattr("candles_batch.finishing.THREADS", 1)


def finished(run: str) -> dict[tuple[str, str], tuple[str, bool]]:
    return {(item.symbol, str(item.day)): (run, False) for item in DAYS}


def test_published_objects_replace_those_of_the_lake() -> None:
    world = World(lake={QUARANTINE[DAYS[0]]: (7, "old rows"), TRADES[DAYS[1]]: (8, "old trades")}, generation=8)
    world.finish("a", world.publish("a", "new"))
    assert world.contents() == {TRADES[item]: "new" for item in DAYS}
    assert world.rows == finished("a")
    world.finish("b", world.publish("b", None))
    assert (world.contents(), world.rows) == ({}, finished("b"))


def test_a_batch_without_objects_sends_no_request() -> None:
    world = World()
    world.finish("a", [Outcome({"symbol": "BTCUSDT", "date": "2024-01-01", "status": "failed"})])
    assert world.requests == 0


def test_a_kill_at_any_request_leaves_the_days_unfinished() -> None:
    number = 0
    while True:
        number += 1
        world = World(lake={TRADES[DAYS[0]]: (1, "old")}, generation=1)
        outcomes = world.publish("a", "new")
        world.before = stop_at(number)
        try:
            world.finish("a", outcomes)
        except KeyboardInterrupt:
            assert world.rows == dict.fromkeys(world.rows, ("a", True))
        else:
            break
        world.before = lambda _: None
        world.finish("b", world.publish("b", "new"))
        assert (world.contents(), world.rows) == ({TRADES[item]: "new" for item in DAYS}, finished("b"))
    assert number > 8


# a   publish ── 1 2 3|     |4 5| 6 7 ...
# b                   |publish  |finish
@pytest.mark.parametrize("version", ["newer", None])
@pytest.mark.parametrize("publishes", range(1, 12))
def test_the_batch_that_publishes_last_has_the_lake(version: str | None, publishes: int) -> None:
    for finishes in range(publishes, 12):
        world = World(lake={TRADES[DAYS[0]]: (1, "old"), QUARANTINE[DAYS[1]]: (2, "old")}, generation=2)
        outcomes = world.publish("a", "new")
        other = Other(world, version, publishes, finishes)
        world.before = other
        world.finish("a", outcomes)
        other.end()
        expected = {TRADES[item]: version for item in DAYS} if version else {}
        assert (world.contents(), world.rows) == (expected, finished("b")), finishes


@dataclass
class Other:
    """The batch b, which publishes and finishes before the requests of those numbers."""

    world: World
    version: str | None
    publishes: int
    finishes: int
    outcomes: list[Outcome] = field(default_factory=list)
    has_finished: bool = False

    def __call__(self, number: int) -> None:
        if number == self.publishes:
            self.outcomes = self.world.publish("b", self.version)
        if number == self.finishes:
            self.end()

    def end(self) -> None:
        """Do what is left to do, as when the batch a has sent fewer requests."""
        self.world.before = lambda _: None
        if not self.has_finished:
            self.world.finish("b", self.outcomes or self.world.publish("b", self.version))
            self.has_finished = True


def stop_at(number: int) -> Callable[[int], None]:
    def before(request: int) -> None:
        if request == number:
            raise KeyboardInterrupt

    return before
