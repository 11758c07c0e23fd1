"""Part of `make bench-dashboard`: the whole live path under the synthetic market, from the exchange to the pixel.

Exchange simulator -> producer -> Kafka -> Flink -> Postgres -> dashboard -> Chromium. A trade's time runs from its T at
the exchange to the painted frame whose list of trades shows it, and to the one whose candle counts it: the k-th trade
of a minute counts as seen once the candle's trades have reached k. All clocks are this machine's.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser
from rich.console import Console
from rich.table import Table

from local.backing.warehouse import create_warehouse
from local.stack.options import SyntheticMarket
from tests.bench.dashboard_market import bar_delays, opened, painted, trade_delays
from tests.bench.dashboard_pages import in_short
from tests.bench.measuring import Goal, quantile
from tests.support.dashboard import SYMBOL
from tests.support.live import FLINK, STORES
from tests.support.processes import RunningStack

RATE: Final = 20
"""Trades a second. The page counts trades by its list, which leaves some out above 300 a second."""
WARM_S: Final = 60
"""Time before the measurement: a JVM that has just started is slow."""
LEAST_SECONDS: Final = 130
"""Least duration of the measurement, so that it holds a whole minute."""

Event = tuple[str, Any, int]


def follow_trades(browser: Browser, seconds: float, console: Console) -> list[Goal]:
    """Measure the way of trades and commits to the screen, whose candles must count the trades in its list."""
    with tempfile.TemporaryDirectory() as folder:
        names = ("metadata", "bigquery", "exchange", *STORES)
        with RunningStack(Path(folder), names, market=SyntheticMarket(symbols=(SYMBOL,), rate=RATE)) as stack:
            stack.set_up("topics", "tables")
            create_warehouse(stack.bigquery())
            for name in (*FLINK, "producer", "dashboard"):
                stack.start(name)
            page, _ = opened(browser, stack.stack.url("dashboard"))
            painted(page, WARM_S)
            events = painted(page, max(seconds, LEAST_SECONDS))
            page.context.close()
    candle_ms = candle_delays(events)
    tape_ms, bar_ms = trade_delays(events), bar_delays(events)
    table = Table("", "measured", "p50, p95", title=f"the whole live path at {RATE} trades/s")
    table.add_row("trade to pixel, tape", f"{len(tape_ms):,}", in_short(tape_ms))
    table.add_row("trade to pixel, candle that counts it", f"{len(candle_ms):,}", in_short(candle_ms))
    table.add_row("commit to pixel", f"{len(bar_ms):,}", in_short(bar_ms))
    console.print(table)
    return [
        Goal(f"trade to pixel, p95, {name}", "<= 500 ms", f"{p95:.0f} ms", p95 <= 500)
        for name, p95 in (("tape", quantile(tape_ms, 0.95)), ("candle", quantile(candle_ms, 0.95)))
    ]


def candle_delays(events: list[Event]) -> list[float]:
    """Milliseconds from each trade to the first painted candle that counts it, over the minutes seen whole.

    Raises AssertionError when a whole minute's candle counts other trades than the list has shown.
    """
    traded: dict[int, list[int]] = defaultdict(list)
    grown: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for kind, what, at in events:
        if kind == "bar":
            grown[what[0]].append((what[7], at))
        else:
            for time_ms, *_ in what:
                traded[time_ms // 60_000 * 60].append(time_ms)
    whole = sorted(traded)[1:-1]  # the first and the last minute are incomplete
    assert whole, f"no whole minute in {len(events)} events"
    delays = []
    for minute in whole:
        times, forms = sorted(traded[minute]), iter(grown[minute])
        assert grown[minute][-1][0] == len(times), f"{minute}: candle {grown[minute][-1][0]}, tape {len(times)} trades"
        count = at = 0
        for number, time_ms in enumerate(times, 1):
            while count < number:
                count, at = next(forms)
            delays.append(float(at - time_ms))
    return delays
