"""Runs of the simulation by a plan: the sequences that once broke the feed, each alone in a steady market.

For tests only. In every plan each symbol has a trade every quarter of a second, a worker starts at 20 s, and from 100 s
on there is what the case states; the end is calm.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.support.simulated.exchange import Kind
from tests.support.simulated.market import SymbolMarket, steady_market
from tests.support.simulated.runs import Plan, Run

MINUTES: Final = 7
PAUSE_MS: Final = 250
BTC, ETH = PAIR = ("BTCUSDT", "ETHUSDT")
_EVENT_S: Final = 125.0
"""When the connection or the worker ends in the cases in which it does."""

_INCOMPLETE: Final = {"REST reaches back 5 s": 4, "the first frame is a year ahead": 3}
"""Incomplete minutes of the cases without klines where they are not the first one of each symbol alone."""

Part = Callable[[Plan], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A plan, and what follows from it.

    `incomplete`: how many minutes of all symbols are not complete at the end; the first one of each symbol, into which
    the worker comes, is. `unconfirmed`: how many of the complete ones no kline of the exchange confirms; None: any.
    """

    plan: Plan
    incomplete: int = 0
    unconfirmed: int | None = 0


def cases() -> dict[str, Case]:
    """Every case by its name."""
    drop, killed = _drop(), _killed()
    behind, ahead = _fault(Kind.LATE, 0, 400, ETH, 600), _fault(Kind.FRAME_TIME, 100, 150, None, 900)
    cached = _fault(Kind.REST_CACHED, 100, 150, None, 3000)
    alone = {
        "a stall, then a drop": (_stall(), drop),
        "a stall, then a kill": (_stall(), killed),
        "a symbol 0.6 s behind, then a drop": (behind, drop),
        "a symbol 0.6 s behind, then a kill": (behind, killed),
        "REST answers from a cache, then a drop": (cached, drop),
        "REST answers from a cache, then a kill": (cached, killed),
        "the first frame is a year ahead": (_phantom(31_536_000_000), drop),
        "a trade has the time 1": (_phantom(-(10**13)), drop),
        "the ts of frames is 0.9 s ahead": (ahead, drop),
        "a page has an old trade": (_fault(Kind.REST_ODD, 100, 150, None, -(10**13)), drop),
        "REST reaches back 5 s": (_fault(Kind.REST_SHORT, 0, 200, None, 20), _fault(Kind.UNREACHABLE, 125, 140), drop),
        "a symbol leaves the list and returns": (_deploy(125, 135, [BTC]), _deploy(185, 195, PAIR)),
    }
    return {
        **{
            f"no klines: {name}": _case(_no_klines, *parts, incomplete=_INCOMPLETE.get(name, 2), unconfirmed=None)
            for name, parts in alone.items()
        },
        "no fault": _case(),
        "a stall with pongs answered, then a drop": _case(_stall(), drop),
        "a stall with pongs answered, then a kill": _case(_stall(), killed),
        "a symbol 0.6 s behind, then a drop": _case(behind, drop),
        "a symbol 0.6 s behind, then a kill": _case(behind, killed),
        "a symbol leaves the list and returns": _case(_deploy(125, 135, [BTC]), _deploy(185, 195, PAIR)),
        "a symbol leaves the list": _case(_deploy(125, 135, [BTC]), incomplete=1),
        "a symbol leaves the list at a kill": _case(_at(_EVENT_S, "kill", Run.kill), _start(130, [BTC]), incomplete=1),
        "a symbol comes to the list": _case(_deploy(125, 135, (*PAIR, "SOLUSDT"))),
        "workers overlap, one without a part": _case(_fault(Kind.LOSE, 105, 125, ETH), _deploy(115, 135, PAIR)),
        "REST's first time is two hours ahead": _case(_fault(Kind.REST_TIME, 0, 21, None, 7_200_000, times=1)),
        "REST's times are two hours ahead for a second and a half": _case(
            _fault(Kind.REST_TIME, 0, 22, None, 7_200_000, times=3)
        ),
        "a time of REST is two hours ahead": _case(_fault(Kind.REST_TIME, 100, 180, None, 7_200_000, times=1)),
        "REST's first time after a kill is two hours ahead": _case(
            _fault(Kind.REST_TIME, 100, 135, None, 7_200_000, times=1), killed
        ),
        "the first frame is a year ahead": _case(_phantom(31_536_000_000), drop),
        "a trade is 48 h ahead": _case(_phantom(172_800_000), killed),
        "a trade has the time 1": _case(_phantom(-(10**13)), drop),
        "the ts of frames is 0.9 s ahead": _case(ahead, drop),
        "a page has an old trade": _case(_fault(Kind.REST_ODD, 100, 150, None, -(10**13)), drop),
        "the part of the topic that is read is short": _case(_killed(window=20)),
        "a silence within a minute": _case(_fault(Kind.LOSE, 130, 150)),
        "a silence over a minute's end": _case(_fault(Kind.LOSE, 110, 130)),
        "REST lags": _case(_fault(Kind.REST_LAG, 100, 150, None, 3000), drop),
        "REST answers from a cache": _case(cached, drop),
        "REST is banned": _case(_fault(Kind.REST_BAN, 100, 170), drop, _drop(150)),
        "REST is down": _case(_fault(Kind.REST_DOWN, 100, 170), drop),
        "klines are late": _case(_fault(Kind.KLINE_LATE, 0, 400, None, 3000)),
        "klines are missing": _case(_fault(Kind.KLINE_MISSING, 0, 300)),
        "klines are refused": _case(_fault(Kind.REFUSE_KLINES, 0, 300), unconfirmed=8),
        "klines have more volume": _case(_fault(Kind.KLINE_MORE, 100, 300), unconfirmed=6),
        "klines have less volume": _case(_fault(Kind.KLINE_LESS, 100, 300), unconfirmed=6),
        "frames come twice": _case(_fault(Kind.TWICE, 0, 400)),
        "a symbol is refused for minutes": _case(_fault(Kind.REFUSE, 100, 230, ETH), _drop(110)),
        "the connection is mute": _case(_fault(Kind.MUTE, 110, 150)),
        "the broker stalls, then a kill": _case(_at(121, "stall", lambda run: run.stall_broker(9000)), killed),
    }


def _case(*parts: Part, incomplete: int = 0, unconfirmed: int | None = 0) -> Case:
    plan = Plan(PAIR, MINUTES, market=_market)
    plan.at(20, "start", lambda run: run.start(PAIR))
    for part in parts:
        part(plan)
    return Case(plan, incomplete, unconfirmed)


def _market(rng: random.Random) -> dict[str, SymbolMarket]:
    return steady_market((*PAIR, "SOLUSDT"), MINUTES, PAUSE_MS, rng)


def _fault(  # noqa: PLR0917  # they make a line of a table
    kind: Kind, from_s: float, to_s: float, symbol: str | None = None, value: int = 0, times: int | None = None
) -> Part:
    return lambda plan: plan.fault(kind, from_s, to_s, symbol, value, times)


def _no_klines(plan: Plan) -> None:
    plan.fault(Kind.KLINE_MISSING, 0, 300)
    plan.fault(Kind.REST_NO_KLINES, 0, 300)


def _stall() -> Part:
    return _fault(Kind.LOSE, _EVENT_S - 20, _EVENT_S)


def _phantom(milliseconds: int) -> Part:
    return _fault(Kind.PHANTOM, 0, 150, ETH, milliseconds)


def _at(seconds: float, name: str, action: Callable[[Run], None]) -> Part:
    return lambda plan: plan.at(seconds, name, action)


def _drop(seconds: float = _EVENT_S) -> Part:
    return _at(seconds, "drop", lambda run: run.exchange.drop_all())


def _killed(window: int | None = None) -> Part:
    def killed(plan: Plan) -> None:
        plan.at(_EVENT_S, "kill", Run.kill)
        plan.at(_EVENT_S + 1, "restart", lambda run: run.start(PAIR, window))

    return killed


def _start(seconds: float, symbols: Sequence[str]) -> Part:
    return _at(seconds, "start", lambda run: run.start(symbols))


def _deploy(from_s: float, to_s: float, symbols: Sequence[str]) -> Part:
    def deploy(plan: Plan) -> None:
        plan.at(from_s, "deploy", lambda run: run.start(symbols))
        plan.at(to_s, "deployed", Run.stop_old)

    return deploy
