"""Runs of the simulation: what happens in each, from a seed or by a plan, and what the judge finds.

For tests only. A run has a market of some minutes, faults of the exchange, and workers that are killed, stopped and
replaced. Its last minutes are calm, so that whatever can be completed is complete at its end.

What an exchange can hide from everyone is not simulated: a run has either klines that are right, and then trades may be
kept back in silence and REST may lag, or klines that are wrong or missing, and then the trades arrive within
LONGEST_MS and REST has them with a time that is right or older.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.support.simulated.exchange import LONGEST_MS, Exchange, Fault, Kind
from tests.support.simulated.judge import Verdict, Violation, judge
from tests.support.simulated.market import BASE_MS, MINUTE_MS, SymbolMarket, make_market
from tests.support.simulated.worker import Worker
from tests.support.simulated.world import Topic, World

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT", "XRPUSDT")
CALM_MS: Final = 200_000
"""Length of the calm end of a run."""
MOST_REQUESTS: Final = 100
"""Upper bound on the REST calls within five seconds."""

_EITHER: Final = (
    Kind.LATE,
    Kind.MUTE,
    Kind.TWICE,
    Kind.FRAME_TIME,
    Kind.PHANTOM,
    Kind.REFUSE,
    Kind.UNREACHABLE,
    Kind.REST_DOWN,
    Kind.REST_SLOW,
    *(Kind.REST_CACHED,) * 3,
    Kind.REST_TIME,
    Kind.REST_ODD,
    Kind.REST_BAN,
)
_RIGHT_KLINES: Final = (*_EITHER, Kind.LOSE, Kind.LOSE, Kind.STALL, Kind.STALL, Kind.KLINE_LATE, Kind.REST_LAG)
"""Faults of an exchange whose klines are right and are sent."""
_WRONG_KLINES: Final = (
    *_EITHER,
    Kind.KLINE_MISSING,
    Kind.KLINE_MISSING,
    Kind.KLINE_MORE,
    Kind.KLINE_LESS,
    Kind.REFUSE_KLINES,
)
"""Faults of an exchange whose klines are wrong or missing."""
_OF_ALL: Final = frozenset(kind for kind in Kind if kind.name.startswith("REST")) | {Kind.MUTE, Kind.UNREACHABLE}
"""Faults that no single symbol has."""
_AHEAD_MS: Final = (172_800_000, 31_536_000_000, -86_400_000, -(10**13))


@dataclass(slots=True)
class Plan:
    """What happens in a run: times are milliseconds after BASE_MS. `actions`: on a Run, each at its time."""

    symbols: Sequence[str]
    minutes: int
    faults: list[Fault] = field(default_factory=list)
    actions: list[tuple[int, str, Callable[[Run], None]]] = field(default_factory=list)
    market: Callable[[random.Random], dict[str, SymbolMarket]] | None = None

    def at(self, seconds: float, name: str, action: Callable[[Run], None]) -> None:
        """Add an action."""
        self.actions.append((round(seconds * 1000), name, action))

    def fault(  # noqa: PLR0917  # they make a line of a table
        self,
        kind: Kind,
        from_s: float,
        to_s: float,
        symbol: str | None = None,
        value: int = 0,
        times: int | None = None,
    ) -> None:
        """Add a fault."""
        from_ms, to_ms = (BASE_MS + round(seconds * 1000) for seconds in (from_s, to_s))
        self.faults.append(Fault(kind, from_ms, to_ms, symbol, value, times))


class Run:
    """One run. `worker`: the one that was started last."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.seed: Final = seed
        self.plan: Final = plan
        rng = random.Random(seed)
        self.world: Final = World(rng, BASE_MS)
        markets = (plan.market or (lambda rng: make_market(plan.symbols, plan.minutes, rng)))(rng)
        self.exchange: Final = Exchange(self.world, markets, plan.faults)
        self.topic: Final = Topic(self.world)
        self.workers: Final[list[Worker]] = []
        self.kills = 0
        for at_ms, name, action in plan.actions:
            self.world.at(BASE_MS + at_ms, lambda name=name, action=action: self._act(name, action))  # type: ignore[misc]

    @property
    def worker(self) -> Worker:
        """The worker that was started last."""
        return self.workers[-1]

    def start(self, symbols: Sequence[str], window: int | None = None) -> None:
        """Start a further worker."""
        self.workers.append(Worker(self.world, self.exchange, self.topic, f"w{len(self.workers) + 1}"))
        self.worker.start(symbols, window)

    def kill(self) -> None:
        """Kill every worker."""
        for worker in self._alive():
            worker.kill()
            self.kills += 1

    def stop_old(self) -> None:
        """Stop every worker but the last."""
        for worker in self._alive():
            if worker is not self.worker:
                worker.stop()

    def pause(self, milliseconds: int) -> None:
        """Let every worker do nothing for so long, as a machine without free CPU."""
        for worker in self._alive():
            worker.pause(milliseconds)

    def stall_broker(self, milliseconds: int) -> None:
        """Let the broker take no records for so long."""
        for worker in self._alive():
            worker.stall_broker(milliseconds)

    def result(self) -> Verdict:
        """Let everything happen, and judge the topic."""
        end_ms = BASE_MS + self.plan.minutes * MINUTE_MS
        self.world.run(end_ms)
        made = [made for market in self.exchange.markets.values() for made in market.made()]
        verdict = judge(self.topic.partitions, made, end_ms)
        requests = self.exchange.requests
        most = max((sum(1 for at in requests if begin <= at < begin + 5000) for begin in requests), default=0)
        if most > MOST_REQUESTS:
            verdict.violations.append(Violation(end_ms, "REST", f"{most} calls within five seconds"))
        return verdict

    def told(self) -> list[str]:
        """The faults of the run, and all that happened in it."""
        return [*map(str, self.plan.faults), *self.world.trace]

    def trades(self) -> int:
        """The number of trades that the exchange made."""
        return sum(len(market.items) for market in self.exchange.markets.values())

    def _alive(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.is_alive]

    def _act(self, name: str, action: Callable[[Run], None]) -> None:
        self.world.note(name)
        action(self)


def random_plan(seed: int, minutes: int = 9) -> Plan:
    """A plan at random: faults, kills, restarts, deploys that overlap, and a list of symbols that changes."""
    rng = random.Random(~seed)
    symbols = tuple(rng.sample(SYMBOLS, rng.randint(1, 4)))
    plan = Plan(symbols, minutes)
    chaos_s = (minutes * MINUTE_MS - CALM_MS) / 1000
    chosen = list(symbols if rng.random() < 0.7 else rng.sample(symbols, max(1, len(symbols) - 1)))
    plan.at(rng.uniform(0, 50), "first start", lambda run: run.start(chosen))
    kinds = rng.choice((_RIGHT_KLINES, _RIGHT_KLINES, _WRONG_KLINES, _EITHER, _EITHER))
    if kinds is _EITHER:  # there are no klines at all, so that the feed's own proof decides
        plan.fault(rng.choice((Kind.KLINE_MISSING, Kind.REFUSE_KLINES)), 0, chaos_s)
        plan.fault(Kind.REST_NO_KLINES, 0, chaos_s)
    if rng.random() < 0.5:
        plan.fault(Kind.REST_SHORT, 0, chaos_s, None, rng.choice((20, 100, 300)))
    for _ in range(rng.choice((0, 1, 2, 4, 8))):
        _add_fault(plan, rng.choice(kinds), rng, chaos_s)
    at_s = 60.0
    while (at_s := at_s + rng.expovariate(1 / rng.choice((10, 40)))) < chaos_s - 30:
        _add_event(plan, rng, at_s, symbols)
    # The calm end begins with a worker for all symbols.
    if rng.random() < 0.5:
        plan.at(chaos_s - 1.5, "last kill", Run.kill)
    plan.at(chaos_s - 1, "last start", lambda run: run.start(symbols))
    plan.at(chaos_s, "only the last goes on", Run.stop_old)
    return plan


def _add_fault(plan: Plan, kind: Kind, rng: random.Random, chaos_s: float) -> None:
    from_s = rng.uniform(0, chaos_s - 5)
    length_s = rng.choice((0.5, 3, 10, 20, 45, 100))
    symbol = None if kind in _OF_ALL else rng.choice((None, *plan.symbols))
    value, times = 0, None
    match kind:
        case Kind.LATE:
            value = rng.choice((300, 600, LONGEST_MS - 700))
        case Kind.FRAME_TIME:
            value = 900
        case Kind.PHANTOM:
            value, symbol = rng.choice(_AHEAD_MS), rng.choice(plan.symbols)
        case Kind.REST_TIME:
            value, times = rng.choice((7_200_000, -7_200_000, 1_800_000, 900)), rng.choice((1, 2, 3, None))
        case Kind.REST_ODD:
            value = rng.choice((-86_400_000, -(10**13)))
        case Kind.KLINE_LATE | Kind.REST_SLOW:
            value = rng.choice((500, 3000))
        case Kind.REST_LAG | Kind.REST_CACHED:
            value = rng.choice((1000, 3000))
        case Kind.REST_BAN:
            length_s = rng.choice((20, 600))
        case Kind.KLINE_MISSING | Kind.KLINE_MORE | Kind.KLINE_LESS | Kind.REFUSE_KLINES:
            length_s = rng.choice((20, 130))
        case _:
            pass
    plan.fault(kind, from_s, min(from_s + length_s, chaos_s), symbol, value, times)


def _add_event(plan: Plan, rng: random.Random, at_s: float, symbols: Sequence[str]) -> None:
    match rng.randrange(7):
        case 0 | 1:
            plan.at(at_s, "drop", lambda run: run.exchange.drop_all())
        case 2 | 3:
            plan.at(at_s, "kill", Run.kill)
            pause_s, window = rng.choice((0.3, 2, 15, 70)), rng.choice((None, None, 2000, 200, 20))
            plan.at(at_s + pause_s, "restart", lambda run: run.start(symbols, window))
        case 4:
            listed = list(rng.sample(list(symbols), rng.randint(1, len(symbols))))
            plan.at(at_s, "deploy", lambda run: run.start(listed))
            plan.at(at_s + rng.uniform(1, 25), "deployed", Run.stop_old)
        case 5:
            length_ms = rng.choice((500, 3000, 15_000, 40_000))
            plan.at(at_s, "the worker pauses", lambda run: run.pause(length_ms))
        case _:
            length_ms = rng.choice((300, 2000, 5000))
            plan.at(at_s, "broker stalls", lambda run: run.stall_broker(length_ms))
