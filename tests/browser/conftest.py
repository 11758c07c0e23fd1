"""The fixtures of the tests in Chromium: one filled stack and one browser for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.dashboard import PATIENCE_MS, TWO_FRAMES, Stores, chromium, until

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with Stores(tmp_path_factory.mktemp("dashboard")) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = chromium(playwright)
        yield running
        running.close()


@pytest.fixture
def open_page(stores: Stores, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page at a query, dark and of a desktop's size; a page with an error in its console fails the test."""
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
        page.on("pageerror", lambda error: errors.append(error.stack or str(error)))
        page.goto(stores.url + query)
        page.wait_for_selector(f"#chart[data-state={state}]")
        return page

    opened.errors = errors  # type: ignore[attr-defined]  # for tests that stop a server
    yield opened
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Page, str], None]:
    """Saves a picture of a page into the folder DASHBOARD_PICTURES; the README shows four of them."""
    folder = Path(os.environ.get("DASHBOARD_PICTURES") or tmp_path_factory.mktemp("pictures"))

    def keep(page: Page, name: str) -> None:
        until(page, "getComputedStyle(document.querySelector('#chart')).opacity === '1'")
        page.evaluate(TWO_FRAMES)
        page.screenshot(path=folder / f"{name}.png")

    return keep
