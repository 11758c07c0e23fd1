"""Part of `make bench-dashboard`: the chart with a year of minutes of history."""

from __future__ import annotations

import functools
import statistics
import time
from typing import Final

from google.cloud import bigquery
from playwright.sync_api import Browser, Page
from rich.console import Console
from rich.table import Table

from bitcoin_pipeline import names
from local.waiting import wait_for
from tests.bench.dashboard_market import Market, opened
from tests.bench.dashboard_pages import in_short
from tests.bench.measuring import Goal, quantile
from tests.support.dashboard import Stores

YEAR_DAYS: Final = 365
REPEATS: Final = 3
SCREENS: Final = 30
READING_MS: Final = 1000
"""Time for which a viewer reads a screen."""
HEAP_SAMPLES: Final = 40
WARM_S: Final = 60
"""Time before the heap is measured: code is compiled, and caches fill, in the first minute."""
SLOPE_MIB: Final = 0.2
"""Upper bound on the heap's growth in ten minutes: a tab that is open all day then gains 29 MiB."""

_ROWS: Final = f"""
SELECT DIV(UNIX_SECONDS(open_time), @step) * @step AS time, MAX(high) AS high, MIN(low) AS low, SUM(volume) AS volume,
  SUM(trade_count) AS trades
FROM `{names.CANDLES_BEST}` WHERE UNIX_SECONDS(open_time) >= @first GROUP BY time
"""


def measure_a_year(stores: Stores, browser: Browser, heap_seconds: float, console: Console) -> list[Goal]:
    """Measure the first paint, panning, and the size and growth of the browser's heap."""
    cold = []
    for _ in range(REPEATS):
        stores.stack.kill("dashboard")
        stores.stack.start("dashboard")
        cold.append(_first_paint(stores, browser))
    warm = [_first_paint(stores, browser) for _ in range(REPEATS)]
    page, _ = opened(browser, f"{stores.url}/?range=1Y")
    compared = _compare(page, stores)
    page.context.close()
    page, _ = opened(browser, f"{stores.url}/?range=1D&interval=1m")
    hurried = _further_screens(page, 0)
    screens = _further_screens(page, READING_MS)
    compared += _compare(page, stores)
    most = _heap_mib(page)
    heaps = _heaps(page, stores, heap_seconds)
    page.context.close()
    slope = statistics.linear_regression(*zip(*heaps, strict=True)).slope * 600
    largest = max(most, *(mib for _, mib in heaps))
    p95 = quantile(screens, 0.95)
    table = Table("", "", title=f"{YEAR_DAYS} days of 1m candles behind the page, a fresh browser profile each time")
    for name, text in [
        ("first paint of a year, server just started", _list(cold, "s", 2)),
        ("first paint of a year, server warm", _list(warm, "s", 2)),
        ("a further screen, request to pixel, p50, p95", in_short(screens)),
        ("the same, each as soon as the last is painted", in_short(hurried)),
        ("candles of the charts compared with BigQuery", f"{compared:,}: equal"),
        ("browser heap with all these screens", f"{most:.1f} MiB"),
        (f"browser heap live, {heap_seconds:g} s, begin, end", _list([heaps[0][1], heaps[-1][1]], "MiB", 2)),
        ("its slope", f"{slope:+.2f} MiB in 10 minutes"),
    ]:
        table.add_row(name, text)
    console.print(table)
    return [
        Goal("first paint with a year behind it", "<= 1.5 s", f"{max(warm):.2f} s", max(warm) <= 1.5),
        Goal("the same, server just started", "<= 1.5 s", f"{max(cold):.2f} s", max(cold) <= 1.5),
        Goal("a further screen of history, p95", "<= 150 ms", f"{p95:.0f} ms", p95 <= 150),
        Goal("browser heap", "<= 60 MiB", f"{largest:.1f} MiB", largest <= 60),
        Goal("its slope", f"<= {SLOPE_MIB} MiB in 10 min", f"{slope:+.2f} MiB", slope <= SLOPE_MIB),
    ]


def _list(values: list[float], unit: str, digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values) + f" {unit}"


def _first_paint(stores: Stores, browser: Browser) -> float:
    """Seconds from the navigation to the painted chart, in a fresh profile."""
    page, took = opened(browser, f"{stores.url}/?range=1Y")
    page.context.close()
    return took


def _further_screens(page: Page, reading_ms: int) -> list[float]:
    """Milliseconds from each request for a further screen to its painting; `reading_ms`: the pause between two."""
    page.focus("#chart")
    page.evaluate("candles.painted.length = 0")
    for number in range(SCREENS):
        page.keyboard.press("Shift+ArrowLeft")
        wait_for(
            f"screen {number + 1}", functools.partial(page.evaluate, f"candles.painted.length > {number}"), 60, 0.01
        )
        page.wait_for_timeout(reading_ms)
    return [at - began for kind, began, at in page.evaluate("candles.painted") if kind == "older"]


def _heaps(page: Page, stores: Stores, seconds: float) -> list[tuple[float, float]]:
    """(Seconds, MiB) of a page that follows the market, after it has warmed up."""
    page.evaluate("candles.painted = null")  # the record is not part of the page's heap
    page.keyboard.press("End")
    with Market(stores):
        page.wait_for_timeout(WARM_S * 1000)
        began = time.monotonic()
        heaps = [(0.0, _heap_mib(page))]
        while heaps[-1][0] < seconds:
            page.wait_for_timeout(1000 * seconds / HEAP_SAMPLES)
            heaps.append((time.monotonic() - began, _heap_mib(page)))
    return heaps


def _heap_mib(page: Page) -> float:
    """The memory of the page's scripts after a collection, with arrays outside of V8's heap and the DOM."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")
    session.detach()
    return sum(float(used[name]) for name in ("usedSize", "embedderHeapUsedSize", "backingStorageSize")) / 2**20


def _compare(page: Page, stores: Stores) -> int:
    """The number of the chart's bars that BigQuery has. Raises AssertionError when one of them differs there."""
    bars, step = page.evaluate("[candles.chart.bars, candles.store.shown.step]")
    values = {"step": step, "first": bars[0]["time"]}
    parameters = [bigquery.ScalarQueryParameter(name, "INT64", value) for name, value in values.items()]
    job = stores.stack.bigquery().query(_ROWS, bigquery.QueryJobConfig(query_parameters=parameters))
    rows = {
        row["time"]: (float(row["high"]), float(row["low"]), float(row["volume"]), row["trades"])
        for row in job.result().to_arrow(create_bqstorage_client=False).to_pylist()
    }
    shown = {bar["time"]: (bar["high"], bar["low"], bar["volume"], bar["count"]) for bar in bars}
    compared = [time for time in rows if time <= max(shown)]
    different = [(time, shown.get(time), rows[time]) for time in compared if shown.get(time) != rows[time]]
    assert compared and not different, f"chart and BigQuery differ: {different[:3]}"
    return len(compared)
