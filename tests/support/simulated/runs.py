"""Runs of the simulation: what happens in each, from a seed or by a plan, and what the judge finds.

For tests only. A run has a market of some minutes, faults of the exchange, and workers that are killed, stopped and
replaced. Its last minutes are calm, so that whatever can be completed is complete at its end.

What an exchange can hide from everyone is not simulated: a run has either klines that are right, and then trades may be
kept back in silence and REST may lag, or klines that are wrong or missing, and then the trades arrive within
LONGEST_MS and REST has them.
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

_TRUTHFUL: Final = (
    Kind.LOSE, Kind.STALL, Kind.LATE, Kind.MUTE, Kind.TWICE, Kind.FRAME_TIME, Kind.PHANTOM, Kind.REFUSE,
    Kind.REFUSE_KLINES, Kind.UNREACHABLE, Kind.KLINE_LATE, Kind.REST_DOWN, Kind.REST_SLOW, Kind.REST_LAG,
    Kind.REST_CACHED, Kind.REST_TIME, Kind.REST_ODD, Kind.REST_BAN,
)  # fmt: skip
"""Faults of an exchange whose klines are right."""
_UNTRUTHFUL: Final = (
    Kind.KLINE_MISSING, Kind.KLINE_MORE, Kind.KLINE_LESS, Kind.LATE, Kind.MUTE, Kind.TWICE, Kind.PHANTOM,
    Kind.UNREACHABLE, Kind.REST_DOWN, Kind.REST_SLOW, Kind.REST_ODD,
)  # fmt: skip
"""Faults of an exchange whose klines are wrong or missing."""
_AHEAD_MS: Final = (900, 7_200_000, 172_800_000, 31_536_000_000, -86_400_000, -(10**13))


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

    def fault(self, kind: Kind, from_s: float, to_s: float, symbol: str | None = None, value: int = 0) -> None:
        """Add a fault."""
        self.faults.append(Fault(kind, BASE_MS + round(from_s * 1000), BASE_MS + round(to_s * 1000), symbol, value))


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
        if self.exchange.requests_during_ban:
            text = f"{self.exchange.requests_during_ban} calls of a banned address"
            verdict.violations.append(Violation(end_ms, "REST", text))
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
    kinds = _TRUTHFUL if rng.random() < 0.75 else _UNTRUTHFUL
    for _ in range(rng.choice((0, 1, 2, 4, 8))):
        _add_fault(plan, rng.choice(kinds), rng, chaos_s, is_truthful=kinds is _TRUTHFUL)
    at_s = 60.0
    while (at_s := at_s + rng.expovariate(1 / 40)) < chaos_s - 30:
        _add_event(plan, rng, at_s, symbols)
    # The calm end begins with a worker for all symbols.
    if rng.random() < 0.5:
        plan.at(chaos_s - 1.5, "last kill", Run.kill)
    plan.at(chaos_s - 1, "last start", lambda run: run.start(symbols))
    plan.at(chaos_s, "only the last goes on", Run.stop_old)
    return plan


def _add_fault(plan: Plan, kind: Kind, rng: random.Random, chaos_s: float, *, is_truthful: bool) -> None:
    from_s = rng.uniform(0, chaos_s - 5)
    length_s = rng.choice((0.5, 3, 10, 20, 45, 100))
    symbol = rng.choice((None, *plan.symbols))
    value = 0
    match kind:
        case Kind.LATE:
            value = rng.choice((300, 600, LONGEST_MS - 700))
        case Kind.FRAME_TIME:
            value = 900
        case Kind.PHANTOM:
            value = rng.choice(_AHEAD_MS[2:])
        case Kind.REST_TIME:
            value, length_s = rng.choice((7_200_000, -7_200_000, 900)), min(length_s, 3)
        case Kind.REST_ODD:
            value = rng.choice((-86_400_000, -(10**13)))
        case Kind.KLINE_LATE | Kind.REST_SLOW:
            value = rng.choice((500, 3000))
        case Kind.REST_LAG | Kind.REST_CACHED:
            value = rng.choice((1000, 3000))
        case Kind.REST_BAN:
            value = rng.choice((0, 1))
            length_s = 600 if value == 0 else length_s
        case Kind.KLINE_MISSING | Kind.KLINE_MORE | Kind.KLINE_LESS:
            length_s = rng.choice((20, 130))
        case _:
            pass
    plan.fault(kind, from_s, min(from_s + length_s, chaos_s), symbol, value)


def _add_event(plan: Plan, rng: random.Random, at_s: float, symbols: Sequence[str]) -> None:
    match rng.randrange(6):
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
        case _:
            length_ms = rng.choice((300, 2000, 5000))
            plan.at(at_s, "broker stalls", lambda run: run.stall_broker(length_ms))
