"""Part of `make bench-dashboard`: the dashboard's page and the usual one, one viewer each, on the same stores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import requests
from playwright.sync_api import Browser, Page
from rich.console import Console
from rich.table import Table

from bitcoin_pipeline.times import SECOND_US
from local.checkout import ROOT
from local.stack.ports import free_ports
from local.waiting import wait_for
from tests.bench.dashboard_market import VIEWPORT, Market, Wire, bar_delays, opened, painted, trade_delays
from tests.bench.measuring import Goal, cores, cpu_seconds, quantile
from tests.support.dashboard import Stores

PLOTLY_BARS: Final = (60, 1440)
COMPARED_MINUTES: Final = 1440
COMPARED: Final = ("time", "open", "high", "low", "close", "volume", "turnover", "count", "bought")


@dataclass(frozen=True, slots=True)
class PageCost:
    """The cost of one viewer per update, which is a commit with its trade. Delays in ms, to the painted frame."""

    name: str
    bytes: float
    cpu_ms: float
    painted_share: float
    bar_ms: list[float]
    trade_ms: list[float]


def compare_pages(stores: Stores, browser: Browser, seconds: float, console: Console) -> list[Goal]:
    """Measure both pages with one viewer each. Raises AssertionError where ours differs from Postgres."""
    pid = stores.stack.processes["dashboard"].pid
    with Wire(stores.url) as wire:
        with Market(stores) as market:
            page, _ = opened(browser, f"{wire.url}/?range=1D&interval=1m")
            ours = _cost("ours, 1,440 candles", page, wire, market, pid, seconds)
        compared = _compare(page, stores)
        page.context.close()
    costs = [ours]
    for bars in PLOTLY_BARS:
        with _plotly(stores, bars) as (url, plotly_pid), Wire(url) as wire, Market(stores) as market:
            page = browser.new_context(viewport=VIEWPORT).new_page()
            page.goto(wire.url)
            costs.append(_cost(f"whole Plotly figure, {bars:,} candles", page, wire, market, plotly_pid, seconds))
            page.context.close()
    console.print(_table(costs))
    console.print(f"{compared} candles of the chart compared with Postgres: equal")
    bar_p95, trade_p95 = quantile(ours.bar_ms, 0.95), quantile(ours.trade_ms, 0.95)
    return [
        Goal("commit to pixel, p95", "<= 200 ms", f"{bar_p95:.0f} ms", bar_p95 <= 200),
        Goal("trade in the topic to pixel, p95", "<= 500 ms", f"{trade_p95:.0f} ms", trade_p95 <= 500),
    ]


def _cost(  # noqa: PLR0917  # one of each
    name: str, page: Page, wire: Wire, market: Market, pid: int, seconds: float
) -> PageCost:
    painted(page, 0)  # warm-up
    carried, cpu, commits = wire.carried, cpu_seconds(pid), len(market.forms)
    events = painted(page, seconds)
    carried, cpu, commits = wire.carried - carried, cpu_seconds(pid) - cpu, len(market.forms) - commits
    delays = bar_delays(events)
    return PageCost(name, carried / commits, 1000 * cpu / commits, len(delays) / commits, delays, trade_delays(events))


def _compare(page: Page, stores: Stores) -> int:
    """The number of candles compared with Postgres. Raises AssertionError for those that stay different."""
    end = page.evaluate("candles.store.newest") + 60
    start = end - COMPARED_MINUTES * 60
    rows = stores.candles(start * SECOND_US, end * SECOND_US)
    expected = [[float(row[name]) for name in COMPARED] for row in rows]
    values = f"bar => {list(COMPARED)}.map(name => bar[name])"
    shown: list[list[float]] = []

    def are_equal() -> bool:
        shown[:] = page.evaluate(f"candles.chart.bars.filter(bar => bar.time >= {start}).map({values})")
        return shown == expected

    with suppress(TimeoutError):
        wait_for("the newest update", are_equal, 10)
    different = [pair for pair in zip_longest(shown, expected) if pair[0] != pair[1]]
    assert not different, f"{len(different)} candles of the chart differ from Postgres: {different[:3]}"
    return len(expected)


@contextmanager
def _plotly(stores: Stores, bars: int) -> Iterator[tuple[str, int]]:
    """Run the page of the usual shape; yields its URL and process id."""
    port = free_ports(["plotly"])["plotly"]
    command = [sys.executable, "-m", "tests.bench.dashboard_plotly", f"--port={port}", f"--bars={bars}"]
    process = subprocess.Popen(command, cwd=ROOT, env=stores.stack.environ, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for("the Plotly page", lambda: _answers(url), 60)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def _table(costs: list[PageCost]) -> Table:
    ours = costs[0]
    table = Table(
        "",
        "bytes",
        "ours = 1",
        "server CPU ms",
        "ours = 1",
        "painted",
        "commit to pixel p50, p95",
        "trade to pixel",
        title=f"one viewer, per update, {cores()}",
    )
    for cost in costs:
        table.add_row(
            cost.name,
            f"{cost.bytes:,.0f}",
            f"{cost.bytes / ours.bytes:.1f}",
            f"{cost.cpu_ms:.2f}",
            f"{cost.cpu_ms / ours.cpu_ms:.1f}",
            f"{100 * cost.painted_share:.0f} %",
            in_short(cost.bar_ms),
            in_short(cost.trade_ms) if cost.trade_ms else "-",
        )
    return table


def in_short(delays_ms: list[float]) -> str:
    """The median and the 95th percentile of the delays."""
    return ", ".join(f"{quantile(delays_ms, share):.0f}" for share in (0.5, 0.95)) + " ms"
