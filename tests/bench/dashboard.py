"""`make bench-dashboard`: the dashboard beside a page of the usual shape; trade to pixel; many viewers; a year.

`python -m tests.bench.dashboard [--only pages|path|viewers|history|start] [--seconds N] [--viewers N]`. All real:
Kafka, Flink, Postgres, BigQuery's stand-in, Chromium; the exchange is the simulator. Outside of the part `path` this
program writes what Flink and the producer would. Everything printed was measured in this run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import ExitStack

import requests
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from local.checkout import ROOT
from tests.bench.dashboard_history import YEAR_DAYS, measure_a_year
from tests.bench.dashboard_market import Market, filled
from tests.bench.dashboard_pages import compare_pages, in_short
from tests.bench.dashboard_path import follow_trades
from tests.bench.measuring import Goal, await_word, cores, cpu_seconds, goals_table, quantile, resident_mib
from tests.support.dashboard import SYMBOL, Stores, chromium

PAGES, PATH, VIEWERS, HISTORY, START = PARTS = ("pages", "path", "viewers", "history", "start")
STARTS = 3


def watch_many(stores: Stores, viewers: int, seconds: float, console: Console) -> list[Goal]:
    """Measure many streams at once, read by another process. Raises AssertionError for a bar never committed."""
    pid = stores.stack.processes["dashboard"].pid
    address = f"{stores.url}/api/stream?symbol={SYMBOL}&interval=1m"
    with Market(stores) as market:
        command = [sys.executable, "-m", "tests.bench.dashboard_viewers", address, str(viewers), str(seconds)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        await_word(process, "reading")
        cpu, commits = cpu_seconds(pid), len(market.forms)
        await_word(process, "over")
        cpu, commits = cpu_seconds(pid) - cpu, len(market.forms) - commits
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        process.wait(30)
    unknown = {tuple(form) for form in found["forms"]} - set(market.forms)
    assert found["forms"] and not unknown, f"bars that were never committed: {sorted(unknown)[:3]}"
    each = viewers * commits
    cpu_ms, size = 1000 * cpu / each, found["bytes"] / each
    trade_p95 = quantile(found["trade_ms"], 0.95)
    table = Table("", "", title=f"{viewers} viewers, {seconds:g} s, {commits} updates, {cores()}")
    for name, text in [
        ("server CPU, share of a core", f"{100 * cpu / seconds:.1f} %"),
        ("server CPU per update and viewer", f"{cpu_ms:.4f} ms"),
        ("bytes per update and viewer", f"{size:.0f}"),
        ("commit to viewer p50, p95", in_short(found["bar_ms"])),
        ("trade to viewer p50, p95", in_short(found["trade_ms"])),
        ("updates seen by a viewer, of those committed", f"{100 * len(found['bar_ms']) / each:.1f} %"),
        ("forms of bars seen, all of them committed", str(len(found["forms"]))),
        ("errors", str(found["errors"])),
        ("server memory", f"{resident_mib(pid):.0f} MiB"),
    ]:
        table.add_row(name, text)
    console.print(table)
    return [
        Goal("bytes per update and viewer", "<= 250", f"{size:.0f}", size <= 250),
        Goal("server CPU per update and viewer", "<= 0.05 ms", f"{cpu_ms:.4f} ms", cpu_ms <= 0.05),
        Goal(f"errors of {viewers} viewers", "0", str(found["errors"]), found["errors"] == 0),
        Goal(f"trade to {viewers} viewers, p95", "<= 500 ms", f"{trade_p95:.0f} ms", trade_p95 <= 500),
    ]


def start_cold(stores: Stores, console: Console) -> None:
    """Print the time from the start of the server to its first answer with candles."""
    took = []
    for _ in range(STARTS):
        stores.stack.kill("dashboard")
        began = time.perf_counter()
        stores.stack.start("dashboard")
        answer = requests.get(f"{stores.url}/api/candles", params={"symbol": SYMBOL}, timeout=60).json()
        took.append(time.perf_counter() - began)
        assert answer["bars"]["t"], answer
    memory = resident_mib(stores.stack.processes["dashboard"].pid)
    console.print(f"cold start to the first candles: {', '.join(f'{value:.1f} s' for value in took)}; {memory:.0f} MiB")


def main() -> None:
    """Run the parts, print their tables, and last the goals."""
    parser = argparse.ArgumentParser(prog="bench-dashboard", description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of each measurement")
    parser.add_argument("--heap-seconds", type=float, default=600.0, help="how long the heap is watched")
    parser.add_argument("--viewers", type=int, default=1000)
    options = parser.parse_args()
    parts = {options.only} if options.only else set(PARTS)
    console = Console()
    goals: list[Goal] = []
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        browser = chromium(playwright)
        stack.callback(browser.close)
        if PATH in parts:
            goals += follow_trades(browser, options.seconds, console)
        if parts != {PATH}:
            stores = stack.enter_context(filled(YEAR_DAYS))
        if PAGES in parts:
            goals += compare_pages(stores, browser, options.seconds, console)
        if VIEWERS in parts:
            goals += watch_many(stores, options.viewers, options.seconds, console)
        if HISTORY in parts:
            goals += measure_a_year(stores, browser, options.heap_seconds, console)
        if START in parts:
            start_cold(stores, console)
    console.print(goals_table(goals))


if __name__ == "__main__":
    main()
