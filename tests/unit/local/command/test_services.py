"""The calls of a backfill to Google's services."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from bitcoin_pipeline.schemas import function_timeout_s
from local.command.services import CloudServices

URL = "https://fetch-archive.example"


def test_a_call_has_the_token_of_its_function_and_outwaits_the_functions_own_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []
    response = requests.Response()
    no_progress: Any = SimpleNamespace()

    def post(url: str, **options: Any) -> requests.Response:
        calls.append((url, options))
        return response

    monkeypatch.setattr(requests, "post", post)
    settings = SimpleNamespace(fetch_archive_url=URL, concurrent_fetches=1)
    cloud: Any = SimpleNamespace(backfill_settings=lambda: settings, id_token=lambda audience: f"token for {audience}")
    with CloudServices(cloud, no_progress) as services:
        assert asyncio.run(services.call({"symbol": "BTCUSDT"})) is response
    [(url, options)] = calls
    assert (url, options["json"]) == (URL, {"symbol": "BTCUSDT"})
    assert options["headers"] == {"Authorization": f"Bearer token for {URL}"}
    assert function_timeout_s("fetch_archive") < options["timeout"][1] < function_timeout_s("fetch_archive") + 60
