"""The tools of the chart in Chromium: a second chart, percent, log, measure, profile, big trades, zones, the tape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.times import DAY_US, MINUTE_US, SECOND_US
from tests.support.dashboard import NEWEST_US, TWO_FRAMES, Stores, live_minutes, minute, until, until_feed

pytestmark = pytest.mark.browser

OTHER: Final = "ETHUSDT"
SEEN: Final = "(() => { const { from, to } = %s.times; return [from, to]; })()"


def other_minutes() -> list[Candle]:
    """Another symbol with as many live minutes: those of the first a month ago, at a twentieth of the price."""
    return [
        replace(
            candle,
            symbol=OTHER,
            open_time_us=candle.open_time_us + 30 * DAY_US,
            **{name: getattr(candle, name) / 20 for name in ("open", "high", "low", "close", "turnover")},
        )
        for candle in (minute(one.open_time_us - 30 * DAY_US, Source.LIVE) for one in live_minutes())
    ]


@pytest.fixture(scope="module", autouse=True)
def other_market(stores: Stores) -> None:
    stores.write(other_minutes())


def second_ready(page: Page) -> None:
    until(page, "candles.second.store?.shown && !candles.second.store.isBusy && candles.second.chart.bars.length > 0")
    page.evaluate(TWO_FRAMES)


def test_two_symbols_side_by_side(
    open_page: Callable[..., Page], picture: Callable[[Page, str], None], stores: Stores
) -> None:
    page = open_page("?interval=1m&range=1D")
    until(page, f"fetch('/api/symbols').then(a => a.json()).then(a => a.live.includes('{OTHER}'))")
    with page.expect_response("**/api/symbols*"):
        page.reload()
    until(page, "candles.store.shown && !candles.store.isBusy")
    page.click("#split")
    until(page, f"candles.second.store?.shown?.symbol === '{OTHER}'")  # the first other symbol with live candles
    page.locator("#second-head select").first.select_option("1000PEPEUSDT")
    expect(page.locator("#second-state")).to_have_text("No candles of 1000PEPEUSDT here")
    page.locator("#second-head select").first.select_option(OTHER)
    until(page, f"candles.second.store.shown?.symbol === '{OTHER}'")
    second_ready(page)
    closes = page.evaluate("candles.second.chart.bars.slice(-3).map(bar => bar.close)")
    assert closes == pytest.approx([float(candle.close) for candle in other_minutes()[-3:]])
    assert page.evaluate("location.search").endswith(f"second={OTHER}.same")
    # In one interval both show the same time, whichever is moved.
    page.focus("#chart")
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowLeft")
    page.evaluate(TWO_FRAMES)
    until(page, f"`${{{SEEN % 'candles.chart'}}}` === `${{{SEEN % 'candles.second.chart'}}}`")
    box = page.locator("#second-chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.wheel(0, 200)
    page.evaluate(TWO_FRAMES)
    until(page, f"`${{{SEEN % 'candles.chart'}}}` === `${{{SEEN % 'candles.second.chart'}}}`")
    # The bar that is pointed at in one chart is pointed at in both.
    page.mouse.move(box["x"] + 220, box["y"] + 200)
    until(page, "candles.second.chart.hovered !== null && candles.chart.hovered === candles.second.chart.hovered")
    page.keyboard.press("End")
    page.mouse.move(5, 5)
    until_feed(page, stores, "ok")
    second_ready(page)
    picture(page, "side-by-side")
    page.locator("#second-head button").click()
    expect(page.locator("#second")).to_be_hidden()
    assert "second" not in page.evaluate("location.search")


def test_two_intervals_side_by_side(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D&second=BTCUSDT.1h")
    second_ready(page)
    assert page.evaluate("[candles.store.shown.interval, candles.second.store.shown.interval]") == ["1m", "1h"]
    before = page.evaluate(SEEN % "candles.second.chart")
    page.focus("#chart")
    page.keyboard.press("Shift+ArrowLeft")
    page.evaluate(TWO_FRAMES)
    assert page.evaluate(SEEN % "candles.second.chart") == before


def test_two_symbols_are_compared_in_percent(open_page: Callable[..., Page]) -> None:
    page = open_page(f"?interval=1m&range=1D&second={OTHER}.same&scale=percent")
    second_ready(page)
    expect(page.locator("[data-scale=percent]")).to_have_attribute("aria-pressed", "true")
    series = "candles.chart.library.panes()[0].getSeries()"
    until(page, f"{series}.at(-1).options().title === '{OTHER}' && {series}.at(-1).data().length > 1000")
    assert page.evaluate(f"{series}[0].priceScale().options().mode") == 2
    last = page.evaluate(f"{series}.at(-1).data().at(-1)")["value"]
    assert last == pytest.approx(float(other_minutes()[-1].close))
    # Where the other symbol has risen by so much, its line is as high as the first one would be.
    first, other = page.evaluate(
        "[candles.chart, candles.second.chart].map(one => one.bars[Math.max(0, Math.floor(one.range().from))].close)"
    )
    same, line = page.evaluate(
        f"[{series}[0].priceToCoordinate({first * last / other}), {series}.at(-1).priceToCoordinate({last})]"
    )
    assert same == pytest.approx(line, abs=6)  # the first bar in sight may differ by one
    page.click("[data-scale=percent]")
    until(page, f"{series}.every(one => one.options().title !== '{OTHER}')")
    assert page.evaluate(f"{series}[0].priceScale().options().mode") == 0


def test_a_logarithmic_scale(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1h&range=1M")
    page.click("[data-scale=log]")
    page.evaluate(TWO_FRAMES)
    assert "scale=log" in page.evaluate("location.search")
    series = "candles.chart.library.panes()[0].getSeries()[0]"
    low, middle, high = (page.evaluate(f"{series}.priceToCoordinate({price})") for price in (59_000, 60_500, 62_000))
    share = (low - middle) / (low - high)
    assert share == pytest.approx(math.log(60_500 / 59_000) / math.log(62_000 / 59_000), abs=2e-3)


def test_a_drag_measures(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    page.click("#measure")
    box = page.locator("#chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 250)
    page.mouse.up()
    first, last, change = page.evaluate(
        "(() => { const a = candles.chart.pointAt(300, 150), b = candles.chart.pointAt(500, 250);"
        " return [Math.round(a.place), Math.round(b.place), b.price - a.price]; })()"
    )
    volume = page.evaluate(f"candles.chart.bars.slice({first}, {last + 1}).reduce((sum, bar) => sum + bar.volume, 0)")
    text = page.locator(".measured-text").inner_text()
    assert f"{last - first + 1} bars" in text
    assert text.startswith(f"-{abs(round(change, 1)):,.1f} (")
    assert f"volume {page.evaluate(f'candles.format.short({volume})')} BTC" in text
    page.keyboard.press("Escape")
    expect(page.locator(".measured-text")).to_be_hidden()
    expect(page.locator("#measure")).to_have_attribute("aria-pressed", "false")


def test_times_in_the_reader_s_zone(open_page: Callable[..., Page], stores: Stores) -> None:
    page = open_page("?interval=1m&range=1D", timezone_id="Asia/Kolkata")
    expect(page.locator("#legend")).to_contain_text("UTC")
    before = page.evaluate("location.search")
    page.click("#zone")
    expect(page.locator("#zone")).to_have_text("UTC+05:30")
    expected = page.evaluate(
        "new Date(candles.chart.bars.at(-1).time * 1000 + 19800000).toISOString().slice(0, 16).replace('T', ' ')"
    )
    expect(page.locator("#legend")).to_contain_text(f"{expected} UTC+05:30")
    assert page.evaluate("location.search") == before
    stores.trade(700, NEWEST_US - SECOND_US, "Buy", "62764.5", "0.7")
    expect(page.locator("#trades .row").first).to_contain_text("02:55:59")
    page.keyboard.press("z")
    expect(page.locator("#trades .row").first).to_contain_text("21:25:59")


def test_the_profile_is_drawn(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D&studies=")
    page.evaluate(
        """() => {
          window.rows = 0;
          const fill = CanvasRenderingContext2D.prototype.fillRect;
          const colour = getComputedStyle(document.documentElement).getPropertyValue('--profile').trim();
          const probe = document.createElement('canvas').getContext('2d');
          probe.fillStyle = colour;
          CanvasRenderingContext2D.prototype.fillRect = function (...given) {
            if (this.fillStyle === probe.fillStyle) window.rows++;
            return fill.apply(this, given);
          };
        }"""
    )
    page.click("[data-study=profile]")
    until(page, "window.rows >= 40")


def test_big_trades_are_marked_and_the_tape_is_filtered_and_paused(
    stores: Stores, open_page: Callable[..., Page]
) -> None:
    page = open_page("?interval=1m&studies=big")
    newest = page.evaluate("candles.chart.bars.at(-1).time")
    close = page.evaluate("candles.chart.bars.at(-1).close")
    page.evaluate(
        """() => {
          window.arcs = [];
          const arc = CanvasRenderingContext2D.prototype.arc;
          CanvasRenderingContext2D.prototype.arc = function (x, y, r, ...given) {
            window.arcs.push([x, y, r]);
            return arc.call(this, x, y, r, ...given);
          };
        }"""
    )
    page.fill("#big-from", "40")
    for number, size in ((800, "39"), (801, "80")):
        stores.trade(number, newest * SECOND_US + number, "Buy", f"{close}", size)
    expect(page.locator("#trades .row").first).to_contain_text("80")
    place = "candles.chart.library.timeScale().logicalToCoordinate(candles.chart.bars.length - 1)"
    until(page, f"window.arcs.some(([x, y, r]) => r === 6 && Math.abs(x - {place}) < 1)")
    page.fill("#least", "79")
    expect(page.locator("#trades .row")).to_have_count(1)
    page.fill("#least", "")
    page.click("#pause")
    shown = page.locator("#trades .row").first.inner_text()
    stores.trade(802, newest * SECOND_US + 802, "Buy", f"{close}", "0.802")
    expect(page.locator("#pause")).to_have_text("Resume (1)")
    assert page.locator("#trades .row").first.inner_text() == shown
    page.click("#pause")
    expect(page.locator("#trades .row").first).to_contain_text("0.802")
    stores.write([minute(newest * SECOND_US + MINUTE_US, Source.LIVE, Status.FORMING)])
