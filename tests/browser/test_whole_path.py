"""From the exchange simulator to the screen through every real component, started by `pipeline up` alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from bitcoin_pipeline.candle import Status
from bitcoin_pipeline.times import SECOND_US
from local.waiting import wait_for
from tests.support.command import Pipeline
from tests.support.whole_path import WholeStack

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

SYMBOL: Final = "ETHUSDT"
PATIENCE_MS: Final = 180_000
AMOUNTS: Final = ("open", "high", "low", "close", "volume", "turnover")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path_factory.mktemp("whole") / "home")
    try:
        output = pipeline.done("up").err
        assert "The dashboard: http://127.0.0.1:" in output
        yield pipeline
    finally:
        pipeline.done("down", "--remove-data")


@pytest.fixture
def page(pipeline: Pipeline, browser: Browser) -> Iterator[Page]:
    address = next(item["address"] for item in pipeline.status()["services"] if item["name"] == "dashboard")
    errors: list[str] = []
    page = browser.new_page(viewport={"width": 1360, "height": 760})
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/?symbol={SYMBOL}&interval=1m")
    page.wait_for_selector("#chart[data-state=ready]")
    yield page
    page.close()
    assert errors == []


def newest(page: Page) -> dict[str, Any]:
    bar: dict[str, Any] = page.evaluate("candles.chart.bars.at(-1)")
    return bar


def test_a_trade_of_the_exchange_changes_the_candle_on_screen_until_it_is_final(pipeline: Pipeline, page: Page) -> None:
    first = newest(page)

    def has_moved() -> bool:
        now = newest(page)
        return bool(now["time"] > first["time"] or now["count"] > first["count"])

    wait_for("a trade to change the newest candle", has_moved, 60)
    expect(page.locator("#trades .row").first).to_be_visible()
    expect(page.locator("#feed")).to_have_text("live")  # a slow start may leave a gap, which changes its colour only
    # The forming minute ends and the next one is on the screen; then the database and the screen agree.
    time = newest(page)["time"]
    ended = f"time => candles.chart.bars.some(bar => bar.time === time && bar.doubt !== {Status.FORMING.doubt})"
    wait_for("the minute to end on the screen", lambda: page.evaluate(ended, time), 120)

    def agree() -> bool:
        [shown] = page.evaluate("time => candles.chart.bars.filter(bar => bar.time === time)", time)
        stored = WholeStack(pipeline.home).candles()[SYMBOL, time * SECOND_US]
        return [shown[name] for name in (*AMOUNTS, "count", "doubt")] == [
            *(float(getattr(stored, name)) for name in AMOUNTS),
            stored.trade_count,
            stored.status.doubt,
        ]

    wait_for("the screen to show what the database holds", agree, 30)
