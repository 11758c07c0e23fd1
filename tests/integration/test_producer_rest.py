"""The producer's REST calls against a server that counts them."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from producer.rest import SPACING_S, RestClient


async def _answered_at(calls: int) -> list[float]:
    """When each of so many simultaneous calls reached the server, in seconds of the loop's clock."""
    seen: list[float] = []

    async def time(request: web.Request) -> web.Response:
        seen.append(asyncio.get_running_loop().time())
        return web.json_response({"retCode": 0, "result": {"timeNano": "1700000000123456789"}})

    application = web.Application()
    application.add_routes([web.get("/v5/market/time", time)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with RestClient(f"http://127.0.0.1:{runner.addresses[0][1]}") as rest:
            times = await asyncio.gather(*(rest.server_time() for _ in range(calls)))
        assert times == [1_700_000_000_123_456] * calls
    finally:
        await runner.cleanup()
    return seen


def test_many_questions_at_once_stay_below_the_exchanges_limit() -> None:
    seen = asyncio.run(_answered_at(100))
    assert len(seen) == 100
    # The exchange counts in windows of five seconds, so a single call may be late, never the whole early.
    assert seen[-1] - seen[0] >= 90 * SPACING_S


async def _answers(*responses: tuple[int, str]) -> list[int | None]:
    """What the client makes of the server's responses, of status and body, one after the other."""
    left = list(responses)

    async def time(request: web.Request) -> web.Response:
        status, body = left.pop(0)
        return web.Response(status=status, text=body)

    application = web.Application()
    application.add_routes([web.get("/v5/market/time", time)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with RestClient(f"http://127.0.0.1:{runner.addresses[0][1]}") as rest:
            return [await rest.server_time() for _ in responses]
    finally:
        await runner.cleanup()


def test_a_call_that_fails_gives_nothing_and_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    good = (200, '{"retCode": 0, "result": {"timeNano": "1700000000123456789"}}')
    bad = [(500, ""), (204, ""), (200, "{"), (200, '{"retCode": 10006, "retMsg": "Too many visits!"}')]
    assert asyncio.run(_answers(good, *bad, good)) == [1_700_000_000_123_456, *[None] * 4, 1_700_000_000_123_456]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["REST fails", "REST answers again"]
    assert lines[0]["reason"] == "/v5/market/time answers 500"
