"""The producer's REST calls against a server that counts them."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from bitcoin_pipeline.live.actions import AskServerTime
from bitcoin_pipeline.times import Instant
from producer.rest import SPACING_S, RestClient, ban_seconds


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
            times = await asyncio.gather(*(rest.answer(AskServerTime(Instant(0))) for _ in range(calls)))
        assert times == [1_700_000_000_123_456] * calls
    finally:
        await runner.cleanup()
    return seen


def test_many_questions_at_once_stay_below_the_exchanges_limit() -> None:
    seen = asyncio.run(_answered_at(41))
    assert len(seen) == 41
    # The exchange counts in windows of five seconds, so a single call may be late, never the whole early.
    assert seen[-1] - seen[0] >= 36 * SPACING_S


Response = tuple[int, str] | tuple[int, str, dict[str, str]]


async def _answers(*responses: Response, calls: int | None = None) -> tuple[list[int | None], int, int]:
    """What the client makes of the server's responses, of status, body and headers, one after the other.

    `calls`: their number, if it is not that of the responses. The other values are the requests that reached the server
    and the seconds of a ban that are left.
    """
    left = list(responses)

    async def time(request: web.Request) -> web.Response:
        status, body, *headers = left.pop(0)
        return web.Response(status=status, text=body, headers=headers[0] if headers else None)

    application = web.Application()
    application.add_routes([web.get("/v5/market/time", time)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with RestClient(f"http://127.0.0.1:{runner.addresses[0][1]}") as rest:
            found = [await rest.answer(AskServerTime(Instant(0))) for _ in range(calls or len(responses))]
            return found, len(responses) - len(left), rest.banned_s
    finally:
        await runner.cleanup()


GOOD = (200, '{"retCode": 0, "result": {"timeNano": "1700000000123456789"}}')
TIME_US = 1_700_000_000_123_456


def test_a_call_that_fails_gives_nothing_and_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    bad = [(500, ""), (204, ""), (200, "{"), (200, '{"retCode": 10016, "retMsg": "Server error."}')]
    found, _, banned_s = asyncio.run(_answers(GOOD, *bad, GOOD))
    assert found == [TIME_US, *[None] * 4, TIME_US]
    assert banned_s == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["REST fails", "REST answers again"]
    assert lines[0]["reason"] == "/v5/market/time answers 500"


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        ((403, "<html>"), 600),
        ((200, '{"retCode": 10006, "retMsg": "Too many visits!"}'), 600),
        ((429, "", {"Retry-After": "7"}), 7),
    ],
)
def test_a_ban_is_respected_and_told(capsys: pytest.CaptureFixture[str], refusal: Response, seconds: int) -> None:
    found, requests, banned_s = asyncio.run(_answers(GOOD, refusal, calls=5))
    assert found == [TIME_US, *[None] * 4]
    assert requests == 2
    assert seconds - 3 <= banned_s <= seconds
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["message"], line["seconds"]) == ("banned by the exchange", seconds)


def test_calls_go_on_after_a_ban() -> None:
    found, requests, _ = asyncio.run(_answers((429, "", {"Retry-After": "0"}), GOOD))
    assert (found, requests) == ([None, TIME_US], 2)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 600),
        ({"Retry-After": "soon"}, 600),
        ({"Retry-After": "99999"}, 3600),
        ({"X-Bapi-Limit-Reset-Timestamp": "1700000005500"}, 5.5),
        ({"X-Bapi-Limit-Reset-Timestamp": "1600000005500"}, 600),
    ],
)
def test_the_length_of_a_ban(headers: dict[str, str], seconds: float) -> None:
    assert ban_seconds(headers, 1_700_000_000.0) == seconds
