"""The dashboard in Chromium, on real stores: the bars on the chart are compared with the rows of the database."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, Route, expect

from bitcoin_pipeline.candle import Candle, Source, Status, merge
from bitcoin_pipeline.times import DAY_US, MINUTE_US, SECOND_US, parse_interval, to_datetime
from local.waiting import wait_for
from tests.support.dashboard import (
    NEWEST_US,
    SYMBOL,
    TWO_FRAMES,
    Stores,
    archive_minutes,
    live_minutes,
    minute,
    until,
    until_feed,
)

pytestmark = pytest.mark.browser

IN_SIGHT: Final = """(() => {
  const { from, to } = candles.chart.range(), bars = candles.chart.bars;
  const at = place => bars[Math.min(bars.length - 1, Math.max(0, place))].time;
  return [at(Math.ceil(from)), at(Math.floor(to)) + candles.store.shown.step];
})()"""
"""JavaScript: where the bars in sight begin and end."""
SERIES: Final = "candles.chart.library.panes().flatMap(pane => pane.getSeries().map(series => series.data()))"
"""JavaScript: points of the candles, day VWAP, MA 20, MA 50, volume, and of the taker delta while it is shown."""
AMOUNTS: Final = ("open", "high", "low", "close", "volume", "turnover")


def bars(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate("candles.chart.bars")
    return found


@functools.cache
def known_minutes() -> tuple[Candle, ...]:
    return (*archive_minutes(), *live_minutes())


def in_sight(page: Page) -> list[int]:
    found: list[int] = page.evaluate(IN_SIGHT)
    return found


def at_rest(page: Page) -> list[int]:
    """Wait until the URL has the range in sight, and return it."""
    until(page, f"!candles.store.isBusy && `${{[candles.state.from, candles.state.to]}}` === `${{{IN_SIGHT}}}`")
    query = page.evaluate("location.search")
    seen = in_sight(page)
    assert f"from={seen[0]}&to={seen[1]}" in query
    return seen


def width(page: Page) -> float:
    """The number of bars that fit into the view."""
    found: float = page.evaluate("candles.chart.range().to - candles.chart.range().from")
    return found


def show(page: Page, time: int, bars_around: int = 30) -> None:
    """Move the bar of this open time into the middle of the view."""
    place = f"candles.chart.bars.findIndex(bar => bar.time === {time})"
    until(page, f"{place} >= 0")
    page.evaluate(f"candles.chart.show({place} - {bars_around}, {place} + {bars_around})")
    page.evaluate(TWO_FRAMES)


def hover(page: Page, time: int) -> str:
    """Point at the bar of this open time; returns the text of the legend."""
    show(page, time)
    x = page.evaluate(
        "time => candles.chart.library.timeScale()"
        ".logicalToCoordinate(candles.chart.bars.findIndex(bar => bar.time === time))",
        time,
    )
    box = page.locator("#chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + x, box["y"] + 150)
    page.evaluate(TWO_FRAMES)
    text: str = page.evaluate(
        "[...document.querySelectorAll('#legend *')].filter(part => !part.children.length)"
        ".map(part => part.textContent).join(' ')"
    )
    return text


def legend_of(row: dict[str, Any], source: str) -> str:
    """The text of the legend for a minute of the database."""

    def price(value: Decimal) -> str:
        return f"{value:,.1f}"

    def exact(value: Decimal) -> str:
        return f"{value.normalize():,f}"

    open_, high, low, close, volume, turnover = (row[name] for name in AMOUNTS)
    return (
        f"1m {to_datetime(row['time'] * SECOND_US):%Y-%m-%d %H:%M} UTC O {price(open_)} H {price(high)} L {price(low)}"
        f" C {price(close)} {100 * (close / open_ - 1):+.2f} % {row['status']} {source}"
        f" Volume {exact(volume)} BTC Bought {exact(row['bought'])} Delta {exact(2 * row['bought'] - volume)}"
        f" Turnover {exact(turnover)} USDT VWAP {price(turnover / volume)} Trades {row['count']:,}"
    )


def coloured(page: Page, colour: str) -> set[int]:
    """Open times of the bars at which the chart has pixels of this colour of the style sheet."""
    found = page.evaluate(
        """name => {
          const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
          const wanted = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
          const canvas = candles.chart.library.takeScreenshot(), { width, height } = canvas;
          const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data, times = new Set();
          for (let i = 0; i < pixels.length; i += 4) {
            if (wanted.some((value, k) => pixels[i + k] !== value)) continue;
            const place = candles.chart.library.timeScale().coordinateToLogical((i / 4) % width);
            times.add(candles.chart.bars[Math.round(place)]?.time);
          }
          return [...times];
        }""",
        colour,
    )
    return set(found)


def values(candle: Candle) -> dict[str, Any]:
    """A candle as a bar of the chart."""
    return {
        "time": candle.open_time_us // SECOND_US,
        **{name: float(getattr(candle, name)) for name in AMOUNTS},
        "count": candle.trade_count,
        "bought": None if candle.buy_volume is None else float(candle.buy_volume),
        "doubt": candle.status.doubt,
    }


def held(bar: dict[str, Any]) -> dict[str, Any]:
    return {name: bar[name] for name in ("time", *AMOUNTS, "count", "bought", "doubt")}


def test_the_page_opens_with_the_database_s_candles(
    stores: Stores, open_page: Callable[..., Page], picture: Callable[[Page, str], None]
) -> None:
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
    for n in range(60):
        stores.trade(
            100 + n,
            NEWEST_US - (60 - n) * SECOND_US // 2,
            "Buy" if n % 3 else "Sell",
            f"{62765 + n % 7}.5",
            f"0.{n + 1}",
        )
    expect(page.locator("#trades .row").first).to_have_text("21:25:5962,768.50.6")
    stores.prove(NEWEST_US + 45 * SECOND_US)
    until_feed(page, stores, "ok")
    picture(page, "live")


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "1h", "4h", "1d"])
def test_every_interval_is_the_core_s_merge(
    stores: Stores, open_page: Callable[..., Page], picture: Callable[[Page, str], None], interval: str
) -> None:
    page = open_page(f"?interval={interval}&range=1M")
    shown = bars(page)
    minutes = [replace(candle, source=Source.LIVE) for candle in known_minutes()]
    expected = {candle.open_time_us // SECOND_US: values(candle) for candle in merge(minutes, parse_interval(interval))}
    assert len(shown) >= 30
    for bar in shown:
        wanted = expected[bar["time"]]
        assert held(bar) == pytest.approx(wanted, rel=1e-12), bar["time"]
    times = [bar["time"] for bar in shown]
    assert times == [time for time in sorted(expected) if time >= times[0]]
    if interval == "1h":
        page.click("[data-study=delta]")
        stores.prove(NEWEST_US + 50 * SECOND_US)
        until_feed(page, stores, "ok")
        picture(page, "history")


def test_the_legend_is_the_row_of_the_database(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    minutes_ago = (200, 90, 30, 3)  # final, repaired, partial, final
    for ago in minutes_ago:
        at_us = NEWEST_US - ago * MINUTE_US
        [row] = stores.candles(at_us, at_us + MINUTE_US)
        assert hover(page, row["time"]) == legend_of(row, "live")
    page.mouse.move(1300, 300)
    expect(page.locator("#legend")).to_contain_text(f"{live_minutes()[-1].close:,}")


def test_the_legend_of_history(open_page: Callable[..., Page]) -> None:
    day_us = NEWEST_US - NEWEST_US % DAY_US - 10 * DAY_US
    page = open_page(f"?interval=1m&from={day_us // SECOND_US}&to={(day_us + DAY_US) // SECOND_US}")
    candle = next(candle for candle in known_minutes() if candle.open_time_us == day_us + 500 * MINUTE_US)
    row = {
        "time": candle.open_time_us // SECOND_US,
        **{name: getattr(candle, name) for name in AMOUNTS},
        "count": candle.trade_count,
        "bought": candle.buy_volume,
        "status": candle.status,
    }
    assert hover(page, row["time"]) == legend_of(row, "archive")


def test_time_without_candles_is_seen(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1h&range=1M")
    first_live = live_minutes()[0].open_time_us // SECOND_US // 3600 * 3600
    assert hover(page, first_live).startswith("1h 2026-08-08 19:00 UTC")
    assert "no candles for 43 h before it" in hover(page, first_live)
    assert "no candles" not in hover(page, first_live + 3600)
    show(page, first_live)
    drawn = """place => {
      const scale = candles.chart.library.timeScale(), canvas = candles.chart.library.takeScreenshot();
      const x = Math.floor((scale.logicalToCoordinate(place - 1) + scale.logicalToCoordinate(place)) / 2);
      const pixels = canvas.getContext('2d').getImageData(x, 60, 1, 300).data;
      return [...Array(300).keys()].filter(i => pixels[4 * i] + pixels[4 * i + 1] + pixels[4 * i + 2] > 100).length;
    }"""
    place = page.evaluate("time => candles.chart.bars.findIndex(bar => bar.time === time)", first_live)
    assert page.evaluate(drawn, place) > 80
    assert page.evaluate(drawn, place - 3) < 40


def test_the_studies_follow_from_the_rows(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D&studies=vwap,ma20,ma50,delta")
    midnight_us = NEWEST_US - NEWEST_US % DAY_US
    rows = stores.candles(midnight_us, NEWEST_US + DAY_US)
    _, vwap, ma20, ma50, _, delta = page.evaluate(SERIES)

    def tail(series: list[dict[str, Any]]) -> dict[int, float]:
        return {point["time"]: point["value"] for point in series[-len(rows) :]}

    volume = turnover = Decimal(0)
    expected = {}
    for row in rows:
        volume, turnover = volume + row["volume"], turnover + row["turnover"]
        expected[row["time"]] = float(turnover / volume)
    assert tail(vwap) == pytest.approx(expected, rel=1e-12)
    earlier = stores.candles(midnight_us - 49 * MINUTE_US, midnight_us)
    closes = [row["close"] for row in (*earlier, *rows)]
    for length, series in ((20, ma20), (50, ma50)):
        expected = {
            row["time"]: float(sum(closes[49 + i - length + 1 : 49 + i + 1]) / length) for i, row in enumerate(rows)
        }
        assert tail(series) == pytest.approx(expected, rel=1e-12)
    expected = {row["time"]: float(2 * row["bought"] - row["volume"]) for row in rows}
    assert tail(delta) == pytest.approx(expected, abs=1e-9)

    # A new day begins while the page is open: no line leads to it from yesterday.
    page.evaluate(
        "time => candles.chart.put({...candles.chart.bars.at(-1), time})", (midnight_us + DAY_US) // SECOND_US
    )
    _, vwap, *_ = page.evaluate(SERIES)
    assert vwap[-2]["color"] == "transparent"
    assert vwap[-1]["value"] == pytest.approx(float(rows[-1]["turnover"] / rows[-1]["volume"]), rel=1e-12)

    for name in ("vwap", "ma20", "ma50", "delta"):
        button = page.locator(f"[data-study={name}]")
        expect(button).to_have_attribute("aria-pressed", "true")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "false")
    assert [len(series) for series in page.evaluate(SERIES)][1:4] == [0, 0, 0]
    assert page.evaluate("candles.chart.library.panes().length") == 2
    assert page.evaluate("location.search").endswith("studies=")


@pytest.mark.parametrize("interval", ["1m", "5m", "1h"])
def test_doubtful_candles_are_marked(stores: Stores, open_page: Callable[..., Page], interval: str) -> None:
    step_us = parse_interval(interval)
    page = open_page(f"?interval={interval}&range=5D&studies=")
    worst: dict[int, int] = {}
    for row in stores.candles(NEWEST_US - DAY_US, NEWEST_US + DAY_US):
        bucket = row["time"] * SECOND_US // step_us * step_us // SECOND_US
        worst[bucket] = max(worst.get(bucket, 0), Status(row["status"]).doubt)
    show(page, (NEWEST_US - 60 * MINUTE_US) // step_us * step_us // SECOND_US, 60)
    first, end = in_sight(page)
    for status, colour in ((Status.PARTIAL, "--partial"), (Status.REPAIRED, "--repaired")):
        expected = {time for time, doubt in worst.items() if doubt == status.doubt and first <= time < end}
        assert coloured(page, colour) == expected
    assert Status.PARTIAL.doubt in worst.values()
    expect(page.locator(".marks")).to_contain_text("partial: trades may be missing")


def test_the_wheel_zooms_where_it_points(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    box = page.locator("#chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 500, box["y"] + 200)
    before, pointed = width(page), "candles.chart.library.timeScale().coordinateToLogical(500)"
    time = page.evaluate(f"candles.chart.bars[{pointed}].time")

    def zoomed(by: int, wanted: Callable[[float], bool]) -> Callable[[], bool]:
        def turn() -> bool:
            page.mouse.wheel(0, by)
            page.evaluate(TWO_FRAMES)
            return wanted(width(page))

        return turn

    wait_for("half of the bars", zoomed(-100, lambda bars: bars < before / 2))
    seen = at_rest(page)
    assert abs(page.evaluate(f"candles.chart.bars[{pointed}].time") - time) <= 120
    narrow = width(page)
    wait_for("a fifth more of them", zoomed(100, lambda bars: bars > narrow * 1.2))
    wide = at_rest(page)
    assert wide[0] < seen[0]
    assert wide[1] > seen[1]


def test_a_drag_pans(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    show(page, NEWEST_US // SECOND_US - 3600)
    spacing = page.evaluate("candles.chart.library.timeScale().options().barSpacing")
    before, _ = in_sight(page)
    box = page.locator("#chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    for x in (306, 312, 512):  # the library needs two small moves to recognize a drag
        page.mouse.move(box["x"] + x, box["y"] + 200)
        page.evaluate(TWO_FRAMES)
    page.mouse.up()
    page.evaluate(TWO_FRAMES)
    first, _ = at_rest(page)
    assert abs(before - 60 * 200 / spacing - first) <= 60
    expect(page.locator("#newest")).to_be_visible()
    page.click("#newest")
    expect(page.locator("#newest")).to_be_hidden()
    assert "range=1D" in page.evaluate("location.search")


def test_two_fingers_zoom(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m", viewport={"width": 844, "height": 390}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 844
    before = width(page)
    touches = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 90), ("touchMove", 120), ("touchEnd", 0)):
        points = [{"x": 250 + side * apart, "y": 250, "id": side + 1} for side in (-1, 1)] if apart else []
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.evaluate(TWO_FRAMES)
    until(page, f"candles.chart.range().to - candles.chart.range().from < {0.8 * before}")
    at_rest(page)


def test_the_keys_zoom_and_pan(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    page.focus("#chart")
    wide = width(page)
    beyond = "candles.chart.range().to - candles.chart.bars.length + 1"  # bars of room to the right of the newest
    right = page.evaluate(beyond)
    page.keyboard.press("+")
    page.evaluate(TWO_FRAMES)
    assert width(page) == pytest.approx(0.8 * wide, rel=1e-3)
    assert page.evaluate(beyond) == pytest.approx(0.8 * right, abs=0.1)
    page.keyboard.press("-")
    page.evaluate(TWO_FRAMES)
    assert width(page) == pytest.approx(wide, rel=1e-3)
    until(page, "!candles.store.isBusy")
    newest = page.evaluate("candles.chart.range().to - candles.chart.bars.length")
    page.keyboard.press("ArrowLeft")
    page.evaluate(TWO_FRAMES)
    moved = newest - page.evaluate("candles.chart.range().to - candles.chart.bars.length")
    assert moved == pytest.approx(0.1 * wide, rel=1e-2)
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#newest")).to_be_visible()
    at_rest(page)
    page.keyboard.press("End")
    expect(page.locator("#newest")).to_be_hidden()


def test_every_range_is_shown_in_the_interval_that_fits(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page()
    newest = stores.candles(NEWEST_US, NEWEST_US + DAY_US)[-1]["time"]
    minutes = [candle.open_time_us // SECOND_US for candle in known_minutes()]
    for name, days, interval in (
        ("5D", 5, "5m"),
        ("1M", 30, "1h"),
        ("3M", 91, "1h"),  # the 42 days that there are fit in hours
        ("1Y", 365, "1h"),
        ("All", 2500, "1h"),
        ("1D", 1, "1m"),
    ):
        page.click(f"[data-range='{name}']")
        until(page, f"candles.store.shown?.interval === '{interval}' && !candles.store.isBusy")
        expect(page.locator(f"[data-range='{name}']")).to_have_attribute("aria-pressed", "true")
        step = parse_interval(interval) // SECOND_US
        times = sorted({time // step * step for time in (*minutes, newest)})
        first = (newest + 60 - days * 86_400) // step * step
        assert in_sight(page) == [next(time for time in times if time >= first), times[-1] + step], name
        assert f"interval=auto&range={name}&" in page.evaluate("location.search")


def test_another_interval_keeps_the_place(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    page.focus("#chart")
    for key in ("+", "+", "+", "+", "ArrowLeft"):
        page.keyboard.press(key)
    first, end = at_rest(page)
    for interval in ("5m", "15m", "1m"):
        page.click(f"[data-interval='{interval}']")
        # Bars have a largest width: where they are few, older ones fill the room before them.
        places = page.evaluate("candles.chart.library.timeScale().width()") / 24 - 1
        room = places * parse_interval(interval) // SECOND_US
        older = f"candles.chart.bars[0].time < {min(first, end - room)}"
        until(page, f"candles.store.shown.interval === '{interval}' && {older} && !candles.store.isBusy")
        page.evaluate(TWO_FRAMES)
        seen = in_sight(page)
        assert abs(seen[0] - min(first, end - room)) <= 900, interval
        assert abs(seen[1] - end) <= 900, interval
        assert page.evaluate("[candles.state.from, candles.state.to]") == [first, end]
    assert seen == [first, end]
    expect(page.locator("[data-range='1D']")).to_have_attribute("aria-pressed", "false")


def test_back_and_forward(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m")
    page.click("[data-range='5D']")
    until(page, "candles.store.shown.interval === '5m' && !candles.store.isBusy")
    page.click("[data-interval='1h']")
    until(page, "candles.store.shown.interval === '1h' && !candles.store.isBusy")
    five_days = "?symbol=BTCUSDT&interval=auto&range=5D&studies=vwap"
    for step, interval in (
        (page.go_back, "5m"),
        (page.go_back, "1m"),
        (page.go_forward, "5m"),
        (page.go_forward, "1h"),
    ):
        step()
        until(page, f"candles.store.shown.interval === '{interval}' && !candles.store.isBusy")
        assert {bar["time"] % (parse_interval(interval) // SECOND_US) for bar in bars(page)} == {0}
        assert (page.evaluate("location.search") == five_days) is (interval == "5m")


def test_what_is_no_state_in_the_address_is_left(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=toString&range=constructor&studies=valueOf,ma20&from=9&to=3")
    assert page.evaluate("location.search") == "?symbol=BTCUSDT&interval=auto&range=1D&studies=ma20"
    page = open_page("?symbol=---", state="failed")
    expect(page.locator("#state")).to_contain_text("symbol: a symbol is 3 to 30 capital letters")
    errors = open_page.errors  # type: ignore[attr-defined]  # the browser reports every refusal
    assert [text for text in errors if "400" not in text] == []
    errors.clear()


def test_numbers_have_the_digits_that_they_have(open_page: Callable[..., Page]) -> None:
    page = open_page()
    assert page.evaluate(
        "[1530000000.12345, 7008600000, 0.0000123, 0.1 + 0.2].map(value => candles.format.number(value))"
    ) == ["1,530,000,000.12345", "7,008,600,000", "0.0000123", "0.3"]
    assert page.evaluate("candles.format.price(0.0123, 7)") == "0.0123000"
    assert page.evaluate("[-0.00001, 0.0123].map(candles.format.percent)") == ["+0.00 %", "+1.23 %"]
    # A price with more decimals than those before it is written with all of them.
    page.evaluate("candles.chart.put({...candles.chart.bars.at(-1), close: 61000.125})")
    assert page.evaluate("candles.chart.digits") == 3


def test_sixty_symbols(open_page: Callable[..., Page]) -> None:
    page = open_page()
    symbols = sorted([SYMBOL, *(f"COIN{n}USDT" for n in range(59))])
    page.route("**/api/symbols*", lambda route: route.fulfill(json={"symbols": symbols, "live": [SYMBOL]}))
    page.reload()
    page.wait_for_selector("#chart[data-state=ready]")
    page.keyboard.press("/")
    expect(page.locator("#symbols button")).to_have_count(60)
    box = page.locator("#symbols").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 760
    page.keyboard.type("coin42")
    assert page.evaluate("document.activeElement.textContent") == "COIN42USDT"
    page.keyboard.press("Escape")
    expect(page.locator("#symbols")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "symbol"


def test_older_history_comes_as_one_pans(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    page.focus("#chart")
    first = NEWEST_US // SECOND_US - 4 * 86_400

    def reached() -> bool:
        page.keyboard.press("Shift+ArrowLeft")
        return bool(bars(page)[0]["time"] < first)

    wait_for("bars of four days ago", reached, 30)
    shown = bars(page)
    known = {candle.open_time_us // SECOND_US: values(candle) for candle in known_minutes()}
    assert [held(bar) for bar in shown] == [
        known[time] for time in sorted(known) if shown[0]["time"] <= time <= shown[-1]["time"]
    ]


def test_a_link_opens_what_was_seen(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=15m&range=1M&studies=vwap,ma20")
    page.focus("#chart")
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("+")
    seen = at_rest(page)
    query = page.evaluate("location.search")
    other = open_page(query)
    assert other.evaluate("location.search") == query
    assert other.evaluate("[candles.state.from, candles.state.to]") == seen
    assert in_sight(other) == seen
    assert other.locator("[data-study=ma20]").get_attribute("aria-pressed") == "true"


def test_an_export_is_what_is_in_sight(stores: Stores, open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page("?interval=1m&range=1D")
    page.focus("#chart")
    for key in ("+", "+", "+", "ArrowLeft"):
        page.keyboard.press(key)
    first, end = at_rest(page)
    with page.expect_download() as waiting:
        page.click("[data-export=csv]")
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    named = {"count": "trade_count", "bought": "buy_volume"}
    rows = stores.candles(first * SECOND_US, end * SECOND_US)
    assert len(rows) == (end - first) // 60
    for exported, row in zip(csv.DictReader(io.StringIO(file.read_text())), rows, strict=True):
        assert exported["open_time"] == f"{to_datetime(row.pop('time') * SECOND_US):%Y-%m-%dT%H:%M:%SZ}"
        assert exported["status"] == row.pop("status")
        assert {name: Decimal(exported[named.get(name, name)]) for name in row} == row


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


def test_the_calendar_tells_what_became_of_each_day(
    open_page: Callable[..., Page], picture: Callable[[Page, str], None]
) -> None:
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
    expected = [values(candle) for candle in known_minutes() if first_us <= candle.open_time_us < first_us + DAY_US]
    until(page, f"candles.chart.bars.some(bar => bar.time === {first_us // SECOND_US})")
    shown = {bar["time"]: held(bar) for bar in bars(page)}
    assert [shown[bar["time"]] for bar in expected] == expected


def test_a_trade_is_in_the_list_of_trades(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page()
    top = page.locator("#trades .row").first
    stores.trade(1, NEWEST_US + SECOND_US, "Buy", "61234.5", "0.042")
    expect(top).to_contain_text("61,234.5")
    stores.trade(2, NEWEST_US + 2 * SECOND_US, "Sell", "61234.4", "1.5")
    stores.trade(2, NEWEST_US + 2 * SECOND_US, "Sell", "61234.4", "1.5")  # twice in the topic, once in the list
    expect(top).to_contain_text("61,234.4")
    stores.trade(3, NEWEST_US + SECOND_US, "Buy", "99999.9", "1")  # late: in the list, but not the last price
    expect(top).to_contain_text("99,999.9")
    rows = page.locator("#trades .row").evaluate_all("rows => rows.map(row => row.innerText.split('\\n').join(' '))")
    assert rows[:3] == [
        "21:26:01 99,999.9 1",
        "21:26:02 61,234.4 1.5",
        "21:26:01 61,234.5 0.042",
    ]
    expect(page.locator("#last")).to_have_text("61,234.4")
    expect(page.locator("#trades .row").nth(1)).to_have_class("row down")
    expect(page.locator("#health")).to_contain_text("Last trade21:26:02 UTC")


def test_the_forming_candle_grows_and_becomes_final(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m")
    hour = open_page("?interval=1h&range=5D")
    newest = live_minutes()[-1]
    assert newest.trade_count is not None
    grown = replace(newest, close=Decimal("62999.9"), high=Decimal("62999.9"), trade_count=newest.trade_count + 1)
    stores.write([grown])
    until(page, "candles.chart.bars.at(-1).close === 62999.9")
    assert held(bars(page)[-1]) == values(grown)
    final = replace(grown, status=Status.FINAL)
    following = minute(NEWEST_US + MINUTE_US, Source.LIVE, Status.FORMING)
    stores.write([final, following])
    until(page, f"candles.chart.bars.at(-1).time === {following.open_time_us // SECOND_US}")
    assert [held(bar) for bar in bars(page)[-2:]] == [values(final), values(following)]
    # The hour on the other page is made of the same minutes.
    minutes = [*live_minutes()[:-1], final, following]
    [*_, expected] = merge(minutes, 60 * MINUTE_US)
    until(hour, f"candles.chart.bars.at(-1).close === {float(expected.close)}")
    assert held(bars(hour)[-1]) == pytest.approx(values(expected), rel=1e-12)
    # A minute behind is amended.
    amended = replace(live_minutes()[-5], volume=Decimal("123.456"), trade_count=5000)
    stores.write([amended])
    until(page, "candles.chart.bars.at(-6).volume === 123.456")


def test_a_minute_that_comes_late_takes_its_place(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    newest = bars(page)[-1]["time"]
    stores.write([minute((newest + 120) * SECOND_US, Source.LIVE, Status.FORMING)])
    until(page, f"candles.chart.bars.at(-1).time === {newest + 120}")
    late = minute((newest + 60) * SECOND_US, Source.LIVE, Status.REPAIRED)
    stores.write([late])
    until(page, f"candles.chart.bars.at(-2).time === {newest + 60}")
    assert [bar["time"] for bar in bars(page)[-3:]] == [newest, newest + 60, newest + 120]
    assert held(bars(page)[-2]) == values(late)


def test_zoom_survives_what_comes(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    page.focus("#chart")
    for key in ("+", "+", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    before = at_rest(page)
    newest = bars(page)[-1]["time"]
    stores.write([minute((newest + 60) * SECOND_US, Source.LIVE, Status.FORMING)])
    until(page, f"candles.chart.bars.at(-1).time === {newest + 60}")
    assert in_sight(page) == before


def test_what_comes_before_the_first_drawing_does_not_move_the_chart(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    until(page, "candles.chart.bars[0].time < candles.chart.bars.at(-1).time - 86400 && !candles.store.isBusy")
    page.route("**/api/candles*", lambda route: None)  # no further bars arrive
    page.evaluate(
        """() => {
          const bars = candles.chart.bars.slice(), first = bars[0].time;
          const more = Array.from({ length: 100 }, (_, i) => ({ ...bars[0], time: first - (100 - i) * 60 }));
          candles.chart.set(bars, 60);
          candles.chart.show(10, 300);
          candles.chart.extend(bars, 0, true);
          candles.chart.extend(more.concat(bars), 100);
        }"""
    )
    page.evaluate(TWO_FRAMES)
    seen = page.evaluate("(() => { const { from, to } = candles.chart.range(); return [from, to]; })()")
    assert seen == pytest.approx([110, 400], abs=1)


def test_a_gap_in_sight_changes_no_interval(open_page: Callable[..., Page]) -> None:
    page = open_page("?range=1D")
    gap = "candles.chart.bars.findIndex((bar, i, all) => i && bar.time - all[i - 1].time > 86400)"
    until(page, f"{gap} > 200 && !candles.store.isBusy")
    page.evaluate(f"candles.chart.show({gap} - 100, {gap} + 100)")
    page.focus("#chart")
    page.keyboard.press("ArrowLeft")
    until(page, "location.search.includes('from=')")
    page.evaluate(TWO_FRAMES)
    assert page.evaluate("candles.state.to - candles.state.from") > 2000 * 60
    assert page.evaluate("[candles.store.shown.interval, candles.store.isBusy]") == ["1m", False]


def test_a_bar_cut_by_the_edge_does_not_flatten_the_others(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D&studies=")  # a study takes room of its own
    page.route("**/api/candles*", lambda route: None)  # no further bars arrive
    page.evaluate(
        """() => {
          const low = { open: 1, high: 1, low: 1, close: 1 };
          const isSeen = (i) => i >= 100 && i < 200;
          const bars = candles.chart.bars.slice(-300).map((bar, i) => (isSeen(i) ? bar : { ...bar, ...low }));
          candles.chart.set(bars, 60);
          candles.chart.show(99.5, 199.5); // enough bars to fill the chart, for each has a largest width
        }"""
    )
    page.evaluate(TWO_FRAMES)
    seen = page.evaluate("candles.chart.library.panes()[0].getSeries()[0].priceScale().getVisibleRange()")
    hundred = live_minutes()[-200:-100]
    low, high = (float(f(getattr(bar, name) for bar in hundred)) for f, name in ((min, "low"), (max, "high")))
    room = 0.5 * (high - low)  # above and below
    assert low - room <= seen["from"] <= low
    assert high <= seen["to"] <= high + room


def test_a_tab_in_the_background_costs_nothing(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m")
    hidden = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
    change = "document.dispatchEvent(new Event('visibilitychange'))"
    until(page, "candles.store.stream && candles.store.stream.readyState === 1")
    page.evaluate(f"{hidden % 'true'}; {change}")
    assert page.evaluate("candles.store.stream") is None
    newest = bars(page)[-1]["time"]
    stores.write([minute((newest + 60) * SECOND_US, Source.LIVE, Status.FORMING)])
    page.evaluate(f"{hidden % 'false'}; {change}")
    until(page, f"candles.chart.bars.at(-1).time === {newest + 60}")


def test_bars_of_the_interval_before_are_not_mixed_in(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m&range=1D")
    until(page, "candles.store.stream?.readyState === 1 && !candles.store.isBusy")
    page.evaluate("candles.store.stream.addEventListener('message', ({ data }) => (window.came = data))")
    waiting: list[Route] = []
    page.route("**/api/candles*", lambda route: waiting.append(route))  # noqa: PLW0108  # Playwright sets attributes on the function
    page.click("[data-interval='1h']")
    wait_for("the request for hours", lambda: page.evaluate("1") and waiting)
    newest = bars(page)[-1]["time"]
    stores.write([minute((newest + 60) * SECOND_US, Source.LIVE, Status.FORMING)])
    until(page, f"window.came?.includes('\"bar\":[{newest + 60}')")
    waiting.pop().continue_()
    until(page, "candles.store.shown.interval === '1h'")
    page.evaluate(TWO_FRAMES)
    assert [bar["time"] for bar in bars(page) if bar["time"] % 3600] == []


def test_a_connection_that_only_looks_open_heals(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m")
    expect(page.locator("#feed")).not_to_have_text("connecting")
    newest = bars(page)[-1]["time"]
    process = psutil.Process(stores.stack.processes["dashboard"].pid)
    process.suspend()
    try:
        expect(page.locator("#feed")).to_have_text("reconnecting")
    finally:
        process.resume()
    stores.write([minute((newest + 60) * SECOND_US, Source.LIVE, Status.FORMING)])
    until(page, f"candles.chart.bars.at(-1).time === {newest + 60}")
    expect(page.locator("#feed")).not_to_have_text("reconnecting")


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
    until(page, f"candles.chart.bars.at(-1).time === {newest + 60}")
    expect(page.locator("#feed")).not_to_contain_text("live data")


def test_the_server_may_be_killed(stores: Stores, open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=1m")
    newest = bars(page)[-1]["time"]
    stores.trade(4, newest * SECOND_US, "Buy", "62764.5", "6")
    expect(page.locator("#trades .row").first).to_contain_text("62,764.5")
    stores.stack.kill("dashboard")
    expect(page.locator("#feed")).to_have_text("reconnecting")
    stores.write([minute((newest + 60) * SECOND_US, Source.LIVE, Status.FORMING)])
    stores.stack.start("dashboard")
    until(page, f"candles.chart.bars.at(-1).time === {newest + 60}")
    # The new server sends its recent trades from the beginning; the page shows none of them twice.
    stores.trade(5, (newest + 60) * SECOND_US, "Buy", "62765.5", "7")
    expect(page.locator("#trades .row").first).to_contain_text("62,765.5")
    rows = page.locator("#trades .row").all_text_contents()
    assert sorted(rows) == sorted(set(rows))
    errors = open_page.errors  # type: ignore[attr-defined]  # the browser reports every lost connection
    errors[:] = [text for text in errors if "net::ERR_" not in text]


def test_without_history_the_live_candles_stay(
    stores: Stores, open_page: Callable[..., Page], picture: Callable[[Page, str], None]
) -> None:
    stores.stack.kill("dashboard")
    stores.stack.kill("bigquery")
    stores.stack.start("dashboard")
    page = open_page("?interval=1m&range=1D")
    expect(page.locator("#notice")).to_have_text(
        "History: not available; the page retries. (BigQuery cannot be reached (ConnectionError))"
    )
    assert len(bars(page)) >= 1440
    picture(page, "broken-upstream")
    stores.stack.start("bigquery")
    expect(page.locator("#notice")).to_be_hidden(timeout=60_000)


def test_a_symbol_without_data_says_so(open_page: Callable[..., Page], picture: Callable[[Page, str], None]) -> None:
    page = open_page("?symbol=ADAUSDT", state="empty")
    expect(page.locator("#state")).to_have_text("No candles of ADAUSDT yet")
    picture(page, "empty")


def test_another_symbol_and_theme_by_the_keyboard(open_page: Callable[..., Page]) -> None:
    page = open_page("?interval=5m&range=5D", color_scheme="light")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    until(page, "candles.store.stream && candles.store.stream.readyState === 1")
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


def test_it_fits_a_phone(open_page: Callable[..., Page], picture: Callable[[Page, str], None]) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#chart").bounding_box()
    assert box is not None
    assert box["height"] >= 250
    assert SYMBOL in (page.locator("#symbol").text_content() or "")
    picture(page, "phone")
