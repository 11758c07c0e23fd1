"""The dashboard in Chromium with small inputs: an inverse symbol, few candles, a gap of years, two planes."""

from __future__ import annotations

import csv
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from bitcoin_pipeline.candle import Candle, Source
from bitcoin_pipeline.times import DAY_US, MINUTE_US, SECOND_US, to_datetime
from local.waiting import wait_for
from tests.support.dashboard import NEWEST_US, PATIENCE_MS, TWO_FRAMES, Stores, live_minutes, minute, until, until_feed

pytestmark = pytest.mark.browser

OLD_DAY_US: Final = NEWEST_US - NEWEST_US % DAY_US - 2000 * DAY_US
LEGEND: Final = """[...document.querySelectorAll('#legend *')].filter(part => !part.children.length)
  .map(part => part.textContent).join(' ')"""


def candle(symbol: str, open_us: int, source: Source, **change: Any) -> Candle:
    return replace(minute(open_us, source), symbol=symbol, **change)


@pytest.fixture(scope="module", autouse=True)
def markets(stores: Stores) -> None:
    """Small markets of three symbols.

    BTCUSD: 30 minutes of history from 00:03 on. FEWUSDT: ten hours, and three live minutes 2,000 days after them, the
    first of which the archive has, too. TINYUSDT: three live minutes with very small prices.
    """
    flat = dict.fromkeys(("open", "high", "low", "close"), Decimal(64040))
    amounts = {"volume": Decimal(20_000), "turnover": Decimal("0.312304992")}
    stores.load(
        [
            *(
                candle(
                    "BTCUSD", OLD_DAY_US + n * MINUTE_US, Source.ARCHIVE, **flat, **amounts, buy_volume=Decimal(5_000)
                )
                for n in range(3, 33)
            ),
            *(candle("FEWUSDT", OLD_DAY_US + n * MINUTE_US, Source.ARCHIVE) for n in range(600)),
            candle("FEWUSDT", NEWEST_US - 2 * MINUTE_US, Source.ARCHIVE, trade_count=8),
        ]
    )
    small = dict.fromkeys(("open", "high", "low", "close"), Decimal("4.61E-7"))
    times = range(NEWEST_US - 2 * MINUTE_US, NEWEST_US + 1, MINUTE_US)
    stores.write([candle("FEWUSDT", time, Source.LIVE, trade_count=7) for time in times])
    stores.write([candle("TINYUSDT", time, Source.LIVE, **small, buy_volume=Decimal(0)) for time in times])


def times_of(page: Page) -> list[int]:
    found: list[int] = page.evaluate("candles.chart.bars.map(bar => bar.time)")
    return found


def in_sight(page: Page) -> list[int]:
    """Open times of the bars in sight; further ones may be loaded before and after them."""
    first, last = page.evaluate("(({from, to}) => [Math.ceil(from), Math.floor(to)])(candles.chart.range())")
    return times_of(page)[max(0, first) : last + 1]


def test_the_mean_price_of_an_inverse_symbol(open_page: Callable[..., Page]) -> None:
    page = open_page(f"?symbol=BTCUSD&interval=1m&from={OLD_DAY_US // SECOND_US}&to={OLD_DAY_US // SECOND_US + 3600}")
    expect(page.locator("#legend")).to_contain_text("VWAP")
    text = page.evaluate(LEGEND)
    assert "Volume 20,000 USD Bought 5,000 Delta -10,000 Turnover 0.312304992 BTC VWAP 64,040 Trades" in text
    # No trade came in the day's first three minutes; the study has the whole day all the same.
    lines = page.evaluate("candles.chart.library.panes()[0].getSeries().map(series => series.data())")
    assert [round(point["value"]) for point in lines[1]] == [64040] * 30


def test_an_export_has_plain_decimals(stores: Stores) -> None:
    start = NEWEST_US // SECOND_US - 120
    address = f"{stores.url}/api/export?symbol=TINYUSDT&interval=1m&start={start}&end={start + 180}"

    def exported() -> str | None:
        try:
            with urllib.request.urlopen(address) as answer:  # noqa: S310  # our own server
                text: str = answer.read().decode()
                return text
        except urllib.error.HTTPError as error:
            if error.code != 503:  # a busy machine's history may come too late for one request
                raise
            return None

    rows = list(csv.DictReader(io.StringIO(wait_for("an export", exported, PATIENCE_MS / 1000, 0.5))))
    assert [(row["open"], row["buy_volume"]) for row in rows] == [("0.000000461", "0")] * 3
    assert rows[0]["open_time"] == "2026-08-09T21:24:00Z"


@pytest.mark.parametrize(("interval", "step"), [("15m", 900), ("auto", 60)])
def test_all_is_all_across_a_gap_of_years(open_page: Callable[..., Page], interval: str, step: int) -> None:
    page = open_page(f"?symbol=FEWUSDT&interval={interval}&range=All")
    old = range(OLD_DAY_US, OLD_DAY_US + 600 * MINUTE_US, MINUTE_US)
    minutes = [*old, *range(NEWEST_US - 2 * MINUTE_US, NEWEST_US + 1, MINUTE_US)]
    assert times_of(page) == sorted({time // SECOND_US // step * step for time in minutes})
    assert page.evaluate("candles.chart.range().from") <= 0
    expect(page.locator("#hint")).to_be_hidden()


def test_a_link_across_a_gap_opens_in_its_interval(open_page: Callable[..., Page]) -> None:
    start, end = OLD_DAY_US // SECOND_US + 300 * 60, NEWEST_US // SECOND_US + 60
    page = open_page(f"?symbol=FEWUSDT&interval=1m&from={start}&to={end}")
    assert page.evaluate("candles.store.shown.interval") == "1m"
    page.evaluate(TWO_FRAMES)
    assert in_sight(page) == [*range(start, start + 300 * 60, 60), end - 180, end - 120, end - 60]


def test_room_is_not_filled_from_across_years_until_one_pans(open_page: Callable[..., Page]) -> None:
    page = open_page("?symbol=FEWUSDT&interval=1m&range=1D")
    newest = NEWEST_US // SECOND_US
    until(page, "!candles.store.isBusy && candles.chart.range().from < -1")
    page.evaluate(TWO_FRAMES)
    assert times_of(page) == [newest - 120, newest - 60, newest]
    page.focus("#chart")
    page.keyboard.press("ArrowLeft")
    old = OLD_DAY_US // SECOND_US
    until(page, f"candles.chart.bars[0].time === {old}")
    page.evaluate(TWO_FRAMES)
    assert times_of(page) == [*range(old, old + 600 * 60, 60), newest - 120, newest - 60, newest]


def test_a_range_that_does_not_fit_says_so(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1M")
    expect(page.locator("#hint")).to_have_text("Only the newest bars of 1M fit in 1m. Show all in longer bars")
    page.click("#hint")
    until(page, "candles.store.shown.interval === '1h' && !candles.store.isBusy")
    expect(page.locator("#hint")).to_be_hidden()


def test_three_candles_are_no_slabs(open_page: Callable[..., Page]) -> None:
    page = open_page("?symbol=TINYUSDT&interval=1m")
    page.evaluate(TWO_FRAMES)
    assert len(times_of(page)) == 3
    assert page.evaluate("candles.chart.library.timeScale().options().barSpacing") <= 24


def test_the_texts_of_gaps_do_not_overlap(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    page.route("**/api/candles*", lambda route: None)  # no further bars arrive
    page.evaluate(
        """() => {
          window.texts = [];
          const draw = CanvasRenderingContext2D.prototype.fillText;
          CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
            if (text.startsWith('no candles')) window.texts.push([x, x + this.measureText(text).width]);
            return draw.call(this, text, x, ...rest);
          };
          const bars = candles.chart.bars.slice(-12).map((bar, i) => ({ ...bar, time: bar.time + i * 86400 }));
          candles.chart.set(bars, 60);
          candles.chart.show(-40, 11.5);
        }"""
    )
    page.evaluate(TWO_FRAMES)
    texts = page.evaluate("window.texts")
    drawn = {tuple(text) for text in texts}
    assert len(drawn) >= 2
    assert all(a == b or a[1] <= b[0] or b[1] <= a[0] for a in drawn for b in drawn)


def test_the_legend_is_of_the_last_bar_in_sight(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    # In one call: older bars that come in between would take these places.
    time = page.evaluate("(candles.chart.show(100, 200.5), candles.chart.bars[200].time)")
    until(page, f"document.querySelector('#legend').textContent.includes(candles.format.minute({time}))")


def test_the_legend_has_both_planes(open_page: Callable[..., Page]) -> None:
    start = NEWEST_US // SECOND_US - 120
    page = open_page(f"?symbol=FEWUSDT&interval=1m&from={start}&to={start + 60}")
    expect(page.locator("#legend")).to_contain_text("archive")
    text = page.evaluate(LEGEND)
    assert "final archive" in text
    assert text.endswith("Trades 8 in live 7")


def test_only_a_gap_that_goes_on_needs_attention(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page()
    first_us = live_minutes()[0].open_time_us
    stores.gap("joined", first_us, first_us + 20 * SECOND_US)
    proven = to_datetime(stores.advance(SECOND_US))
    expect(page.locator("#health")).to_contain_text(f"Proven until{proven:%H:%M:%S}")  # read together with the gap
    expect(page.locator("#health")).to_contain_text("Open gapsnoneUnfilled gapsnone")
    until_feed(page, stores, "ok")
    stores.gap("away", NEWEST_US - 600 * SECOND_US, None)
    expect(page.locator("#health")).to_contain_text("Open gaps1 since 2026-08-09 21:16")
    until_feed(page, stores, "warn")
    stores.gap("away", NEWEST_US - 600 * SECOND_US, NEWEST_US - 540 * SECOND_US)
    expect(page.locator("#health")).to_contain_text("Open gapsnoneUnfilled gaps1, the last 2026-08-09 21:16")
    until_feed(page, stores, "ok")
    stores.gap("away", NEWEST_US - 600 * SECOND_US, NEWEST_US - 540 * SECOND_US, "closed")
    stores.gap("joined", first_us, first_us + 20 * SECOND_US, "closed")


def test_the_chart_has_the_screen_of_a_phone(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    boxes = {name: page.locator(name).bounding_box() for name in ("header", "#legend", "#chart")}
    header, legend, chart = (boxes[name] for name in ("header", "#legend", "#chart"))
    assert header and legend and chart
    assert header["height"] <= 844 / 8
    assert legend["y"] + legend["height"] <= chart["y"] + 1
    assert chart["height"] >= 844 * 0.45
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
