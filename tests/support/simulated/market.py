"""A market of some minutes that is made from a seed: its trades, the exchange's klines, and REST's answers at a time.

For the simulation. All that it states is true; faults are added where its statements are sent.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from bitcoin_pipeline.amounts import plain
from tests.support.simulated.judge import Made

BASE_MS: Final = 1_786_310_760_000
"""2026-08-09T21:26:00Z."""
MINUTE_MS: Final = 60_000
PAGE: Final = 1000
"""Upper bound on the trades in an answer to recent-trade."""
_FRAME_TRADES: Final = 1024
_FRAME_SPAN_MS: Final = 5
_PRICE_DECIMALS: Final = 2
_SIZE_DECIMALS: Final = 3


@dataclass(slots=True)
class SymbolMarket:
    """The trades of one symbol, in the exchange's order, which ascends by time.

    `items`: as in a frame's `data`. `times`: the `T` of each. `volumes`, `turnovers`: the sums of the trades before
    each place, in the smallest units.
    """

    symbol: str
    phase_ms: int
    items: list[dict[str, Any]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    volumes: list[int] = field(default_factory=lambda: [0])
    turnovers: list[int] = field(default_factory=lambda: [0])

    def append(self, time_ms: int, price: int, size: int, trade_id: str, seq: int) -> None:
        """Make the next trade, a Buy; price and size in the smallest units."""
        self.items.append(
            {
                "T": time_ms,
                "s": self.symbol,
                "S": "Buy",
                "v": _text(size, _SIZE_DECIMALS),
                "p": _text(price, _PRICE_DECIMALS),
                "L": "PlusTick",
                "i": trade_id,
                "BT": False,
                "RPI": False,
                "seq": seq,
            }
        )
        self.times.append(time_ms)
        self.volumes.append(self.volumes[-1] + size)
        self.turnovers.append(self.turnovers[-1] + size * price)

    def frames(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """The frames: the time at which each is sent, and its trades, which have nearly the same time."""
        group: list[dict[str, Any]] = []
        for item in self.items:
            if group and (len(group) == _FRAME_TRADES or item["T"] > group[0]["T"] + _FRAME_SPAN_MS):
                yield group[-1]["T"] + 1, group
                group = []
            group.append(item)
        if group:
            yield group[-1]["T"] + 1, group

    def kline(self, open_ms: int, until_ms: int) -> tuple[str, str]:
        """Volume and turnover of the minute's trades up to `until_ms`."""
        first = bisect_left(self.times, open_ms)
        last = max(first, bisect_right(self.times, min(until_ms, open_ms + MINUTE_MS - 1)))
        return (
            _text(self.volumes[last] - self.volumes[first], _SIZE_DECIMALS),
            _text(self.turnovers[last] - self.turnovers[first], _PRICE_DECIMALS + _SIZE_DECIMALS),
        )

    def page(self, until_ms: int, limit: int) -> list[dict[str, Any]]:
        """REST's `list` of the last trades up to `until_ms`, newest first."""
        last = bisect_right(self.times, until_ms)
        return [
            {
                "execId": item["i"],
                "symbol": self.symbol,
                "price": item["p"],
                "size": item["v"],
                "side": item["S"],
                "time": str(item["T"]),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(item["seq"]),
            }
            for item in reversed(self.items[max(0, last - min(limit, PAGE)) : last])
        ]

    def klines(self, from_ms: int, to_ms: int, until_ms: int, limit: int) -> list[list[str]]:
        """REST's `list` of klines that begin between two times, as of `until_ms`, newest first."""
        newest_ms = min(to_ms, until_ms) // MINUTE_MS * MINUTE_MS
        opens = range(newest_ms, from_ms - 1, -MINUTE_MS)[: max(0, limit)]
        return [[str(open_ms), *("1",) * 4, *self.kline(open_ms, until_ms)] for open_ms in opens]

    def made(self) -> Iterator[Made]:
        """All trades, for the judge."""
        for item in self.items:
            size = Decimal(item["v"])
            yield Made(item["i"], self.symbol, item["T"] * 1000, size, size * Decimal(item["p"]))


def make_market(symbols: Iterable[str], minutes: int, rng: random.Random) -> dict[str, SymbolMarket]:
    """The trades of `symbols` in `minutes` from BASE_MS on.

    Each symbol has a rate of its own that changes from time to time: from a trade a minute to ten a second, no trade at
    all for a while, and bursts of up to 1,500 trades within a second.
    """
    return {symbol: _make_symbol(symbol, minutes, rng) for symbol in symbols}


def steady_market(symbols: Iterable[str], minutes: int, pause_ms: int, rng: random.Random) -> dict[str, SymbolMarket]:
    """A trade of each symbol every `pause_ms`, from BASE_MS on, those of different symbols at different times."""
    markets = {}
    for place, symbol in enumerate(symbols):
        market = markets[symbol] = SymbolMarket(symbol, 400 + 100 * place)
        for seq, time_ms in enumerate(range(BASE_MS + 7 * place, BASE_MS + minutes * MINUTE_MS, pause_ms)):
            trade_id = str(UUID(int=rng.getrandbits(128), version=4))
            market.append(time_ms, 6_511_420 + seq % 7, 1 + seq % 5, trade_id, seq)
    return markets


def _make_symbol(symbol: str, minutes: int, rng: random.Random) -> SymbolMarket:
    market = SymbolMarket(symbol, rng.randrange(100, 1000))
    price, seq = rng.randrange(100, 10**7), rng.randrange(10**9)
    busy = rng.choice((0.3, 1.0, 3.0))
    rate, changes_at = busy, 0
    for second in range(minutes * 60):
        if second >= changes_at:
            rate = rng.choice((0.0, 0.02, 0.2, busy, busy, busy, 3 * busy))
            changes_at = second + rng.randrange(5, 120)
        count = _poisson(rate, rng)
        if rng.random() < 0.002:
            count += rng.choice((50, 300, 1500))
        for time_ms in sorted(BASE_MS + second * 1000 + rng.randrange(1000) for _ in range(count)):
            seq += rng.randrange(1, 50)
            price = max(1, price + rng.randrange(-5, 6))
            for sweep in range(rng.choice((1, 1, 1, 2, 3))):
                trade_id = str(UUID(int=rng.getrandbits(128), version=4))
                market.append(time_ms, price + sweep, rng.choice((1, 1, 2, 10, 137, 5000)), trade_id, seq)
    return market


def _poisson(rate: float, rng: random.Random) -> int:
    count, passed = 0, rng.expovariate(1.0)
    while passed < rate:
        count += 1
        passed += rng.expovariate(1.0)
    return count


def _text(units: int, decimals: int) -> str:
    return plain(Decimal(units).scaleb(-decimals))
