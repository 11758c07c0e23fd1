"""Pictures of the DAGs in Airflow's own pages, for the README: their graphs, and a finished run.

`AIRFLOW_PICTURES=tests/airflow/pictures make test-airflow` makes them anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.airflow import AirflowStack
from tests.support.dashboard import chromium

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

PATIENCE_MS = 60_000
TASKS = {
    "bybit_daily": ("archive", "to_compute", "candles", "loaded", "checked"),
    "bybit_backfill": ("periods", "fetch", "candles", "loaded", "summary"),
}


@pytest.fixture(scope="module")
def page(stack: AirflowStack) -> Iterator[Page]:
    """A page of Airflow that shows graphs, with every group of tasks unfolded."""
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        opened = browser.new_page(viewport={"width": 1360, "height": 640}, color_scheme="light")
        opened.set_default_timeout(PATIENCE_MS)
        opened.add_init_script("localStorage.setItem('default_dag_view', '\"graph\"')")
        yield opened
        browser.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of pictures."""
    return Path(os.environ.get("AIRFLOW_PICTURES") or tmp_path_factory.mktemp("pictures"))


def keep(page: Page, path: Path) -> None:
    """Save a picture of a page whose graph has come to rest."""
    nodes = "[...document.querySelectorAll('.react-flow__node')].map(node => node.getBoundingClientRect().toJSON())"
    page.wait_for_function(
        f"""async () => {{
          const before = JSON.stringify({nodes});
          await new Promise(done => setTimeout(done, 500));
          return before !== "[]" && before === JSON.stringify({nodes});
        }}"""
    )
    page.screenshot(path=path)


@pytest.mark.parametrize("dag", list(TASKS))
def test_the_graph_of_a_dag(stack: AirflowStack, page: Page, pictures: Path, dag: str) -> None:
    page.add_init_script(f"""localStorage.setItem('{dag}/open-groups', '["batch"]')""")
    page.goto(f"{stack.running.stack.url('airflow')}/dags/{dag}")
    for task in TASKS[dag]:
        expect(page.locator(".react-flow__node").get_by_text(task).first).to_be_visible(timeout=PATIENCE_MS)
    keep(page, pictures / f"{dag}.png")


def test_the_page_of_a_finished_run(stack: AirflowStack, page: Page, pictures: Path, runs: dict[str, str]) -> None:
    assert stack.ended("bybit_backfill", runs["two days"]) == "success"
    page.goto(f"{stack.running.stack.url('airflow')}/dags/bybit_backfill/runs/{runs['two days']}")
    expect(page.get_by_text("Success").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".react-flow__node").get_by_text("summary").first).to_be_visible(timeout=PATIENCE_MS)
    keep(page, pictures / "finished_run.png")
