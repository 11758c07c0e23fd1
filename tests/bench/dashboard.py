"""`make bench-dashboard`: the dashboard beside a page of the usual shape; many viewers, a year behind it, a cold start.

`python -m tests.bench.dashboard [--only pages|viewers|history|start] [--seconds N] [--viewers N]`. All real: Kafka,
Postgres, BigQuery's stand-in, Chromium; only what Flink writes is written by this program. Everything printed was
measured in this run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import psutil
import requests
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.times import DAY_US, MINUTE_US, floor_us
from local.services import ROOT
from local.waiting import free_ports, wait_for
from tests.bench.measuring import Goal, await_word, cores, cpu_seconds, goals_table, quantile, resident_mib
from tests.support.dashboard import SYMBOL, Stores, chromium, minute

PAGES, VIEWERS, HISTORY, START = PARTS = ("pages", "viewers", "history", "start")
UPDATES_PER_SECOND: Final = 5
"""Commits to Postgres, each with a trade in the topic; the page of the usual shape asks as often."""
YEAR_DAYS: Final = 365
LIVE_MINUTES: Final = 1500
PLOTLY_BARS: Final = (60, 1440)
DELAYS: Final = "(window.delays || window.candles?.delays?.bar || [])"
"""Where a page keeps its delays: the peer's, or ours."""


class Market(threading.Thread):
    """What Flink and the producer write: the minute at hand grows, a trade for each change."""

    def __init__(self, stores: Stores) -> None:
        super().__init__(daemon=True)
        self._stores = stores
        self._stop = threading.Event()
        self.commits = 0

    def run(self) -> None:
        """Write until stopped, in step with the clock."""
        # No id comes twice, in whatever order markets follow each other.
        number, due, candle = int(time.time() * UPDATES_PER_SECOND), time.monotonic(), self._minute()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += 1 / UPDATES_PER_SECOND
            number += 1
            fresh = self._minute()
            if fresh.open_time_us != candle.open_time_us:
                self._stores.write([replace(candle, status=Status.FINAL)])
                candle = fresh
            price = Decimal(620_000 + number * 7919 % 1000) / 10
            # Milliseconds into the minute: it grows, as the table's guard demands.
            count = (time.time_ns() // 1000 - candle.open_time_us) // 1000
            candle = replace(candle, close=price, high=max(price, candle.high), trade_count=count)
            self._stores.trade(number, time.time_ns() // 1000, "Buy", str(price), "0.042")
            self._stores.write([candle])
            self.commits += 1

    def stop(self) -> None:
        """End; the minute at hand stays as it is."""
        self._stop.set()
        self.join(10)

    @staticmethod
    def _minute() -> Candle:
        return minute(floor_us(time.time_ns() // 1000), Source.LIVE, Status.FORMING)


@contextmanager
def filled(archive_days: int) -> Iterator[Stores]:
    """Stores whose live minutes end now, with `archive_days` before them."""
    now_us = floor_us(time.time_ns() // 1000)
    live = [minute(at, Source.LIVE) for at in range(now_us - LIVE_MINUTES * MINUTE_US, now_us, MINUTE_US)]
    end = now_us - now_us % DAY_US - DAY_US
    archive = [minute(at, Source.ARCHIVE) for at in range(end - archive_days * DAY_US, end, MINUTE_US)]
    with tempfile.TemporaryDirectory() as folder, Stores(Path(folder) / "home", live, archive) as stores:
        yield stores


@contextmanager
def trading(stores: Stores) -> Iterator[Market]:
    """The market, as long as the context lasts."""
    market = Market(stores)
    market.start()
    try:
        yield market
    finally:
        market.stop()


@dataclass(frozen=True, slots=True)
class PageCost:
    """What one viewer's page took. CPU: of the server. Delays: from the commit to the screen, ms."""

    name: str
    bytes_an_update: float
    cpu_ms_an_update: float
    painted_share: float
    delays_ms: list[float]


def measured_page(  # noqa: PLR0917  # one of each
    browser: Browser, market: Market, name: str, url: str, pid: int, seconds: float
) -> PageCost:
    """Look at a page for a while."""
    page = browser.new_page(viewport={"width": 1360, "height": 760})
    page.goto(url)
    wait_for(f"four updates of {name}", lambda: page.evaluate(f"{DELAYS}.length") > 3, 120)
    received = 0

    def count(event: dict[str, Any]) -> None:
        nonlocal received
        received += int(event["encodedDataLength"])

    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.dataReceived", count)
    page.evaluate(f"{DELAYS}.length = 0")
    cpu, commits = cpu_seconds(pid), market.commits
    page.wait_for_timeout(seconds * 1000)
    cpu, commits = cpu_seconds(pid) - cpu, market.commits - commits
    delays: list[float] = page.evaluate(DELAYS)
    page.close()
    return PageCost(name, received / commits, 1000 * cpu / commits, len(delays) / commits, delays)


def compare_pages(stores: Stores, browser: Browser, seconds: float, console: Console) -> list[Goal]:
    """Our page and the usual one, each with one viewer."""
    costs = []
    with trading(stores) as market:
        pid = stores.stack.processes["dashboard"].pid
        costs.append(measured_page(browser, market, "ours, 1,440 candles", f"{stores.url}/?range=1D", pid, seconds))
        for bars in PLOTLY_BARS:
            with plotly_page(stores, bars) as (url, plotly_pid):
                name = f"whole Plotly figure, {bars:,} candles"
                costs.append(measured_page(browser, market, name, url, plotly_pid, seconds))
    table = Table("", "bytes", "server CPU ms", "painted", "commit to pixel p50", "p95 ms", title="a page, per update")
    for cost in costs:
        table.add_row(
            cost.name,
            f"{cost.bytes_an_update:,.0f}",
            f"{cost.cpu_ms_an_update:.2f}",
            f"{100 * cost.painted_share:.0f} %",
            f"{quantile(cost.delays_ms, 0.5):.0f}",
            f"{quantile(cost.delays_ms, 0.95):.0f}",
        )
    console.print(table)
    p95 = quantile(costs[0].delays_ms, 0.95)
    return [Goal("commit to pixel, p95", "200 ms", f"{p95:.0f} ms", p95 <= 200)]


@contextmanager
def plotly_page(stores: Stores, bars: int) -> Iterator[tuple[str, int]]:
    """The page of the usual shape, and its process."""
    port = free_ports(["plotly"])["plotly"]
    command = [sys.executable, "-m", "tests.bench.dashboard_plotly", f"--port={port}", f"--bars={bars}"]
    process = subprocess.Popen(command, cwd=ROOT, env=stores.stack.environ, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for("the Plotly page", lambda: answers_get(url), 60)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(10)


def answers_get(url: str) -> bool:
    """True when the address answers 200."""
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def watch_many(stores: Stores, viewers: int, seconds: float, console: Console) -> list[Goal]:
    """Many streams at once, read by a process of their own."""
    pid = stores.stack.processes["dashboard"].pid
    address = f"{stores.url}/api/stream?symbol={SYMBOL}&interval=1m"
    with trading(stores) as market:
        command = [sys.executable, "-m", "tests.bench.dashboard_viewers", address, str(viewers), str(seconds)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        await_word(process, "reading")
        cpu, commits = cpu_seconds(pid), market.commits
        await_word(process, "over")
        cpu, commits = cpu_seconds(pid) - cpu, market.commits - commits
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        process.wait(30)
    each = viewers * commits
    cpu_ms, size = 1000 * cpu / each, found["bytes"] / each
    p95 = quantile(found["bar_ms"], 0.95)
    table = Table("", "", title=f"{viewers} viewers, {seconds:g} s, {cores()}")
    for name, text in [
        ("server CPU, share of a core", f"{100 * cpu / seconds:.1f} %"),
        ("server CPU per update and viewer", f"{cpu_ms:.4f} ms"),
        ("bytes per update and viewer", f"{size:.0f}"),
        ("commit to viewer p50, p95", f"{quantile(found['bar_ms'], 0.5):.0f}, {p95:.0f} ms"),
        ("trade to viewer p50, p95", " , ".join(f"{quantile(found['trade_ms'], q):.0f} ms" for q in (0.5, 0.95))),
        ("updates seen by a viewer, of those committed", f"{100 * found['bars'] / each:.0f} %"),
        ("errors", str(found["errors"])),
        ("server memory", f"{resident_mib(pid):.0f} MiB"),
    ]:
        table.add_row(name, text)
    console.print(table)
    trade_p95 = quantile(found["trade_ms"], 0.95)
    return [
        Goal("bytes per update and viewer", "250", f"{size:.0f}", size <= 250),
        Goal("server CPU per update and viewer", "0.1 ms", f"{cpu_ms:.4f} ms", cpu_ms <= 0.1),
        Goal(f"errors of {viewers} viewers", "0", str(found["errors"]), found["errors"] == 0),
        Goal("trade to viewer, p95", "500 ms", f"{trade_p95:.0f} ms", trade_p95 <= 500),
    ]


def look_at_a_year(stores: Stores, browser: Browser, seconds: float, console: Console) -> list[Goal]:
    """A year behind the chart: how soon it stands, how panning goes, what the browser holds and whether that grows."""
    first = []
    for _ in range(3):
        page, took = opened(browser, f"{stores.url}/?range=1Y")
        page.context.close()
        first.append(took)
    page, day = opened(browser, f"{stores.url}/?range=1D&interval=1m")
    page.focus("#chart")
    with trading(stores):
        for _ in range(60):
            page.keyboard.press("Shift+ArrowLeft")
            page.wait_for_timeout(250)
        pans: list[float] = page.evaluate("candles.pans")
        page.keyboard.press("End")
        heaps = []
        for _ in range(5):
            page.wait_for_timeout(seconds * 1000 / 5)
            heaps.append(heap_mib(page))
    page.close()
    slope = (heaps[-1] - heaps[0]) / (seconds * 4 / 5) * 600
    table = Table("", "", title=f"{YEAR_DAYS} days of 1m candles behind the page")
    table.add_row("first paint of a year: cold, then warm", ", ".join(f"{value:.2f} s" for value in first))
    table.add_row("first paint of a day", f"{day:.2f} s")
    table.add_row(
        f"a further screen, p50, p95 of {len(pans)}", ", ".join(f"{quantile(pans, q):.0f} ms" for q in (0.5, 0.95))
    )
    table.add_row("browser heap, MiB", ", ".join(f"{value:.1f}" for value in heaps))
    table.add_row("its slope", f"{slope:+.1f} MiB in 10 minutes")
    console.print(table)
    p95 = quantile(pans, 0.95)
    return [
        Goal("first paint with a year behind it", "1.5 s", f"{first[-1]:.2f} s", first[-1] <= 1.5),
        Goal("a further screen of history, p95", "150 ms", f"{p95:.0f} ms", p95 <= 150),
        Goal("browser heap", "60 MiB", f"{max(heaps):.1f} MiB", max(heaps) <= 60),
    ]


def opened(browser: Browser, url: str) -> tuple[Page, float]:
    """A page with its chart, in a fresh profile, and how long that took."""
    page = browser.new_context(viewport={"width": 1360, "height": 760}).new_page()
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("#chart[data-state=ready]", timeout=120_000)
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page, time.perf_counter() - began


def heap_mib(page: Page) -> float:
    """What the page's scripts hold after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = float(session.send("Runtime.getHeapUsage")["usedSize"])
    session.detach()
    return used / 2**20


def start_cold(stores: Stores, console: Console) -> None:
    """From nothing to the first answer with candles in it."""
    took = []
    for _ in range(3):
        stores.stack.kill("dashboard")
        began = time.perf_counter()
        stores.stack.start("dashboard")
        answer = requests.get(f"{stores.url}/api/candles", params={"symbol": SYMBOL}, timeout=60).json()
        assert answer["bars"]["t"]
        took.append(time.perf_counter() - began)
    memory = psutil.Process(stores.stack.processes["dashboard"].pid).memory_info().rss / 2**20
    console.print(f"cold start to the first candles: {', '.join(f'{value:.1f} s' for value in took)}; {memory:.0f} MiB")


def main() -> None:
    """Run the parts, print their tables, and last the goals."""
    parser = argparse.ArgumentParser(prog="bench-dashboard", description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each look lasts")
    parser.add_argument("--heap-seconds", type=float, default=600.0, help="how long the heap is watched")
    parser.add_argument("--viewers", type=int, default=200)
    options = parser.parse_args()
    parts = {options.only} if options.only else set(PARTS)
    console = Console()
    goals: list[Goal] = []
    with filled(YEAR_DAYS if HISTORY in parts else 10) as stores, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        if PAGES in parts:
            goals += compare_pages(stores, browser, options.seconds, console)
        if VIEWERS in parts:
            goals += watch_many(stores, options.viewers, options.seconds, console)
        if HISTORY in parts:
            goals += look_at_a_year(stores, browser, options.heap_seconds, console)
        if START in parts:
            start_cold(stores, console)
        browser.close()
    console.print(goals_table(goals))


if __name__ == "__main__":
    main()
