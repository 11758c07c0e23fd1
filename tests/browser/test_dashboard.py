"""The dashboard in Chromium, on real stores: what the chart holds is compared with what the database holds."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bitcoin_pipeline.candle import Candle, Source, Status, merge
from bitcoin_pipeline.times import DAY_US, MINUTE_US, SECOND_US, parse_interval
from local.waiting import wait_for
from tests.support.dashboard import (
    NEWEST_US,
    SYMBOL,
    Stores,
    archive_minutes,
    chromium,
    live_minutes,
    minute,
)

pytestmark = pytest.mark.browser

PATIENCE_MS: Final = 30_000
"""What a busy machine may take for what else takes a moment."""
expect.set_options(timeout=PATIENCE_MS)
AMOUNTS: Final = ("open", "high", "low", "close", "volume", "turnover")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with Stores(tmp_path_factory.mktemp("dashboard")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_page(stores: Stores, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page at a query, dark and of a desk's size; no page may have an error in its console."""
    errors: list[str] = []
    contexts = []

    def opened(query: str = "", state: str = "ready", **options: Any) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 1360, "height": 760}, "color_scheme": "dark", "accept_downloads": True, **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(stores.url + query)
        page.wait_for_selector(f"#chart[data-state={state}]")
        return page

    opened.errors = errors  # type: ignore[attr-defined]  # for the tests that take a server away
    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def bars(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate("candles.bars()")
    return found


def picture(page: Page, name: str) -> None:
    """Keep a picture of the page, where DASHBOARD_PICTURES says so; the README shows two of them."""
    folder = os.environ.get("DASHBOARD_PICTURES")
    if folder:
        page.wait_for_timeout(500)  # the chart's own animation
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def until(page: Page, expression: str) -> None:
    """Wait until it is true in the page. The page's own policy forbids what Playwright's `wait_for_function` needs."""
    wait_for(expression, lambda: bool(page.evaluate(expression)), PATIENCE_MS / 1000)


def values(candle: Candle) -> dict[str, Any]:
    """A candle as the chart holds it."""
    return {
        "time": candle.open_time_us // SECOND_US,
        **{name: float(getattr(candle, name)) for name in AMOUNTS},
        "count": candle.trade_count,
        "bought": None if candle.buy_volume is None else float(candle.buy_volume),
        "doubt": candle.status.doubt,
    }


def held(bar: dict[str, Any]) -> dict[str, Any]:
    return {name: bar[name] for name in ("time", *AMOUNTS, "count", "bought", "doubt")}


def test_the_page_opens_with_the_database_s_candles(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page()
    shown = bars(page)
    assert [held(bar) for bar in shown[-1440:]] == [values(candle) for candle in live_minutes()[-1440:]]
    rows = stores.candles(NEWEST_US - 60 * MINUTE_US, NEWEST_US + MINUTE_US)
    for bar, row in zip(shown[-len(rows) :], rows, strict=True):
        assert [bar[name] for name in AMOUNTS] == [float(row[name]) for name in AMOUNTS]
    expect(page.locator("#legend")).to_contain_text("forming")
    day = live_minutes()[-1440:]
    expect(page.locator("#change")).to_have_text(f"{100 * (day[-1].close / day[0].open - 1):+.2f} %")
    expect(page.locator("#last")).to_have_text(f"{day[-1].close:,}")
    picture(page, "live")


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "1h", "4h", "1d"])
def test_every_interval_is_the_core_s_merge(open_page: Callable[..., Page], interval: str) -> None:
    page = open_page(f"?interval={interval}&range=1M")
    shown = bars(page)
    minutes = [replace(candle, source=Source.LIVE) for candle in (*archive_minutes(), *live_minutes())]
    expected = {candle.open_time_us // SECOND_US: values(candle) for candle in merge(minutes, parse_interval(interval))}
    assert len(shown) >= 30
    for bar in shown:
        wanted = expected[bar["time"]]
        assert held(bar) == pytest.approx(wanted, rel=1e-12), bar["time"]
    times = [bar["time"] for bar in shown]
    assert times == [time for time in sorted(expected) if time >= times[0]]
    if interval == "1h":
        page.click("[data-study=delta]")
        picture(page, "history")


def test_older_history_comes_as_one_pans(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    page.focus("#chart")
    first = NEWEST_US // SECOND_US - 4 * 86_400

    def reached() -> bool:
        page.keyboard.press("Shift+ArrowLeft")
        return bool(bars(page)[0]["time"] < first)

    wait_for("bars of four days ago", reached, 30)
    shown = bars(page)
    known = {candle.open_time_us // SECOND_US: values(candle) for candle in (*archive_minutes(), *live_minutes())}
    assert [held(bar) for bar in shown] == [
        known[time] for time in sorted(known) if shown[0]["time"] <= time <= shown[-1]["time"]
    ]


def test_a_link_opens_what_was_seen(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=15m&range=1M&studies=vwap,ma20")
    page.focus("#chart")
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("+")
    page.wait_for_url(re.compile("from="))
    page.wait_for_timeout(500)  # the address follows when the chart has come to rest
    query = page.evaluate("location.search")
    seen = page.evaluate("[candles.state.from, candles.state.to]")
    other = open_page(query)
    assert other.evaluate("location.search") == query
    assert other.evaluate("[candles.state.from, candles.state.to]") == seen
    visible = other.evaluate(
        "(() => { const r = candleChart.range(), b = candles.bars();"
        " return [b[Math.max(0, Math.round(r.from))].time, b[Math.min(b.length - 1, Math.floor(r.to))].time]; })()"
    )
    assert visible[0] >= seen[0] - 900
    assert visible[1] <= seen[1]
    assert other.locator("[data-study=ma20]").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_export_holds_the_exact_values(open_page: Callable[..., Page], tmp_path: Path, kind: str) -> None:
    page = open_page("?interval=1m&range=1D")
    with page.expect_download() as waiting:
        page.click(f"[data-export={kind}]")
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    assert file.name.endswith(kind)
    rows = list(csv.DictReader(io.StringIO(file.read_text()))) if kind == "csv" else pq.read_table(file).to_pylist()
    found = [[Decimal(row[name]) for name in AMOUNTS] for row in rows]
    expected = [[getattr(candle, name) for name in AMOUNTS] for candle in live_minutes()[-len(found) :]]
    assert len(found) >= 1400
    assert found == expected
    assert {row["status"] for row in rows} == {"final", "partial", "repaired", "forming"}


def test_the_calendar_tells_what_became_of_each_day(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.keyboard.press("c")
    page.wait_for_selector("#calendar .day")
    titles = page.locator("#calendar .day").evaluate_all("cells => cells.map(cell => cell.title)")
    states = [title.split(": ")[1].split(",")[0] for title in titles]
    assert states.count("loaded") == 38
    assert states.count("failed") == 1
    assert states.count("live") == 2
    assert states.count("missing") == 2
    picture(page, "coverage")
    assert "truncated file" in next(title for title in titles if "failed" in title)
    day = titles[3].split(":")[0]
    page.click(f"#calendar .day[title^='{day}']")
    until(page, "candles.state.from > 0 && document.querySelector('#chart').dataset.state === 'ready'")
    first_us = (NEWEST_US // DAY_US - 2 - 40 + 3) * DAY_US
    expected = [values(candle) for candle in archive_minutes() if first_us <= candle.open_time_us < first_us + DAY_US]
    until(page, f"candles.bars().some(bar => bar.time === {first_us // SECOND_US})")
    shown = {bar["time"]: held(bar) for bar in bars(page)}
    assert [shown[bar["time"]] for bar in expected] == expected


def test_a_trade_is_on_the_tape(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page()
    top = page.locator("#tape .row").first
    stores.trade(1, NEWEST_US + SECOND_US, "Buy", "61234.5", "0.042")
    expect(top).to_contain_text("61,234.5")
    stores.trade(2, NEWEST_US + 2 * SECOND_US, "Sell", "61234.4", "1.5")
    stores.trade(2, NEWEST_US + 2 * SECOND_US, "Sell", "61234.4", "1.5")  # twice in the topic, once on the tape
    expect(top).to_contain_text("61,234.4")
    stores.trade(3, NEWEST_US + SECOND_US, "Buy", "99999.9", "1")  # late: on the tape, not the last price
    expect(top).to_contain_text("99,999.9")
    assert page.locator("#tape .row").evaluate_all("rows => rows.map(row => row.innerText.split('\\n').join(' '))") == [
        "21:26:01 99,999.9 1",
        "21:26:02 61,234.4 1.5",
        "21:26:01 61,234.5 0.042",
    ]
    expect(page.locator("#last")).to_have_text("61,234.4")
    expect(page.locator("#tape .row").nth(1)).to_have_class("row down")


def test_the_forming_candle_grows_and_becomes_final(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m")
    hour = open_page("?interval=1h&range=5D")
    newest = live_minutes()[-1]
    assert newest.trade_count is not None
    grown = replace(newest, close=Decimal("70000.1"), high=Decimal("70000.1"), trade_count=newest.trade_count + 1)
    stores.write([grown])
    until(page, "candles.bars().at(-1).close === 70000.1")
    assert held(bars(page)[-1]) == values(grown)
    final = replace(grown, status=Status.FINAL)
    following = minute(NEWEST_US + MINUTE_US, Source.LIVE, Status.FORMING)
    stores.write([final, following])
    until(page, f"candles.bars().at(-1).time === {following.open_time_us // SECOND_US}")
    assert [held(bar) for bar in bars(page)[-2:]] == [values(final), values(following)]
    # The hour on the other page is made of the same minutes.
    minutes = [*live_minutes()[:-1], final, following]
    [*_, expected] = merge(minutes, 60 * MINUTE_US)
    until(hour, f"candles.bars().at(-1).close === {float(expected.close)}")
    assert held(bars(hour)[-1]) == pytest.approx(values(expected), rel=1e-12)
    # A minute behind is amended.
    amended = replace(live_minutes()[-5], volume=Decimal("123.456"), trade_count=5000)
    stores.write([amended])
    until(page, "candles.bars().at(-6).volume === 123.456")


def test_zoom_survives_what_comes(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    page.focus("#chart")
    for key in ("+", "+", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.wait_for_timeout(800)  # older bars may still come
    newest = bars(page)[-1]["time"]

    def visible() -> Any:
        return page.evaluate(
            "(() => { const r = candleChart.range(), b = candles.bars();"
            " return [b[Math.round(r.from)].time, b[Math.min(b.length - 1, Math.round(r.to))].time]; })()"
        )

    before = visible()
    stores.write([minute((newest + 60) * SECOND_US, Source.LIVE, Status.FORMING)])
    until(page, f"candles.bars().at(-1).time === {newest + 60}")
    assert visible() == before


def test_what_comes_before_the_first_drawing_does_not_move_the_chart(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    until(page, "candles.bars()[0].time < candles.bars().at(-1).time - 86400 && !candles.data.isBusy")
    page.evaluate(
        """() => {
          const bars = candles.bars().slice(), first = bars[0].time;
          const more = Array.from({ length: 100 }, (_, i) => ({ ...bars[0], time: first - (100 - i) * 60 }));
          candleChart.set(bars, 60);
          candleChart.show(10, 300);
          candleChart.extend(bars, 0, true);
          candleChart.extend(more.concat(bars), 100);
        }"""
    )
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    seen = page.evaluate("(() => { const { from, to } = candleChart.range(); return [from, to]; })()")
    assert seen == pytest.approx([110, 400], abs=1)


def test_a_tab_in_the_background_costs_nothing(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m")
    hidden = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
    change = "document.dispatchEvent(new Event('visibilitychange'))"
    until(page, "candles.data.stream && candles.data.stream.readyState === 1")
    page.evaluate(f"{hidden % 'true'}; {change}")
    assert page.evaluate("candles.data.stream") is None
    newest = bars(page)[-1]["time"]
    stores.write([minute((newest + 60) * SECOND_US, Source.LIVE, Status.FORMING)])
    page.evaluate(f"{hidden % 'false'}; {change}")
    until(page, f"candles.bars().at(-1).time === {newest + 60}")


def test_postgres_may_be_killed(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m")
    newest = bars(page)[-1]["time"]
    stores.stack.kill("postgres")
    expect(page.locator("#feed")).to_have_class("feed bad")
    expect(page.locator("#feed")).to_contain_text("live data")
    assert len(bars(page)) >= 1440
    stores.stack.start("postgres")
    stores.prove((newest + 80) * SECOND_US)
    stores.write([minute((newest + 60) * SECOND_US, Source.LIVE, Status.FORMING)])
    until(page, f"candles.bars().at(-1).time === {newest + 60}")
    expect(page.locator("#feed")).not_to_contain_text("live data")


def test_the_server_may_be_killed(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m")
    newest = bars(page)[-1]["time"]
    stores.stack.kill("dashboard")
    expect(page.locator("#feed")).to_have_text("reconnecting")
    stores.write([minute((newest + 60) * SECOND_US, Source.LIVE, Status.FORMING)])
    stores.stack.start("dashboard")
    until(page, f"candles.bars().at(-1).time === {newest + 60}")
    errors = open_page.errors  # type: ignore[attr-defined]  # the browser tells of every refused connection
    errors[:] = [text for text in errors if "ERR_CONNECTION_REFUSED" not in text and "ERR_INCOMPLETE" not in text]


def test_without_history_the_live_candles_stay(stores: Stores, open_page: Callable[..., Page]) -> None:
    stores.stack.kill("dashboard")
    stores.stack.kill("bigquery")
    stores.stack.start("dashboard")
    page = open_page("?interval=1m&range=1D")
    expect(page.locator("#notice")).to_contain_text("History: not available")
    assert len(bars(page)) >= 1440
    picture(page, "broken-upstream")
    stores.stack.start("bigquery")
    expect(page.locator("#notice")).to_be_hidden(timeout=60_000)


def test_a_symbol_without_data_says_so(open_page: Callable[..., Page]) -> None:
    page = open_page("?symbol=ADAUSDT", state="empty")
    expect(page.locator("#state")).to_have_text("No candles of ADAUSDT yet")
    picture(page, "empty")


def test_another_symbol_and_theme_by_the_keyboard(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=5m&range=5D", color_scheme="light")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    until(page, "candles.data.stream && candles.data.stream.readyState === 1")
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    other = page.evaluate("document.activeElement.textContent")
    assert other != SYMBOL
    page.keyboard.press("Enter")
    expect(page.locator("#symbol")).to_have_text(other)
    expect(page.locator("#state")).to_have_text(f"No candles of {other} yet")
    assert f"symbol={other}&interval=5m&range=5D" in page.evaluate("location.search")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_it_fits_a_phone(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#chart").bounding_box()
    assert box is not None
    assert box["height"] >= 250
    assert SYMBOL in (page.locator("#symbol").text_content() or "")
    picture(page, "phone")
