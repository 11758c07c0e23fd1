"""The producer's REST calls against a server that counts them."""

from __future__ import annotations

import asyncio

from aiohttp import web

from producer.rest import SPACING_S, RestClient


async def _answered_at(calls: int) -> list[float]:
    """When each of so many calls, all wanted at once, reached the server."""
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
