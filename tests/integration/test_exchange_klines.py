"""Klines of the exchange simulator, their faults, and the faults of REST and of clocks, over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from tests.support.exchange import (
    FIRST_MS,
    KLINE_LINES,
    LINES,
    Exchange,
    capture,
    capture_with_klines,
    is_quiet,
    market,
    play,
    receive,
    receive_trades,
    request,
)

KLINES = tuple(json.loads(line)["data"][0]["volume"] for line in KLINE_LINES)
"""The volume of the first kline of each real frame."""


async def received(socket: ClientConnection, count: int) -> list[str]:
    """The next messages, after which no other one comes."""
    texts = [await receive(socket) for _ in range(count)]
    assert await is_quiet(socket)
    return texts


def volumes(texts: list[str]) -> tuple[str, ...]:
    """The volume of the first kline of each frame of klines among `texts`."""
    messages = map(json.loads, texts)
    return tuple(message["data"][0]["volume"] for message in messages if message["topic"].startswith("kline"))


def test_a_capture_with_klines_is_played_unchanged_and_rest_has_its_klines(tmp_path: Path) -> None:
    path = tmp_path / "capture.jsonl"
    lines = capture_with_klines(path)

    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT", klines=("BTCUSDT",)) as socket:
            assert await received(socket, len(lines)) == lines
        answer = await exchange.rest("kline", symbol="BTCUSDT", interval=1, end=1786310820000)
        # The exchange's own kline of the first minute, which has trades from before the capture.
        assert answer["result"]["list"] == [
            ["1786310820000", "65114.2", "65114.3", "65113.1", "65114.3", "7.035", "458078.3588"],
            ["1786310760000", "65119.9", "65119.9", "65114.2", "65114.2", "3.712", "241712.1394"],
        ]

    play(capture(tmp_path, 0, path), body)


def test_klines_are_subscribed_as_trades_are(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected() as socket:
            topics = ["publicTrade.BTCUSDT", "kline.1.BTCUSDT", "kline.1.XUSDT"]
            refused = await request(socket, op="subscribe", args=topics, req_id="7")
            assert refused["ret_msg"] == "error:handler not found,topic:kline.1.XUSDT"
            assert (refused["success"], refused["req_id"]) == (False, "7")
            await exchange.fault("refuse", symbol="ETHUSDT", what="klines")
            refused = await request(socket, op="subscribe", args=["publicTrade.ETHUSDT", "kline.1.ETHUSDT"])
            assert refused["ret_msg"] == "error:handler not found,topic:kline.1.ETHUSDT"
            assert (await request(socket, op="subscribe", args=["publicTrade.ETHUSDT"]))["success"]
            assert (await request(socket, op="subscribe", args=topics[1:2]))["success"]
            again = await request(socket, op="subscribe", args=topics[:2])
            assert again["ret_msg"] == "error:already subscribed,topic:kline.1.BTCUSDT"
            while "kline" not in (text := await receive(socket)):
                pass
            (kline,) = json.loads(text)["data"][-1:]
            assert (json.loads(text)["topic"], kline["interval"]) == ("kline.1.BTCUSDT", "1")
            assert abs(kline["timestamp"] - time.time() * 1000) < 5000

    play(market(tmp_path), body)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({"fault": "silence", "what": "klines"}, ()),
        ({"fault": "duplicate", "what": "klines"}, tuple(volume for volume in KLINES for _ in range(2))),
        ({"fault": "kline_wrong", "what": "more"}, ("2.576", "4.708", "4.712", "1.012")),
        ({"fault": "kline_wrong", "what": "less"}, ("0.788", "1.854", "1.856", "0.006")),
        ({"fault": "late", "what": "klines", "milliseconds": 300}, KLINES),
        ({"fault": "hold", "what": "klines", "seconds": 0.5}, KLINES),
    ],
)
def test_klines_are_missing_double_wrong_or_late(tmp_path: Path, fault: dict[str, Any], found: tuple[str, ...]) -> None:
    path = tmp_path / "capture.jsonl"
    capture_with_klines(path)

    async def body(exchange: Exchange) -> None:
        await exchange.fault(**fault)
        async with exchange.connected("BTCUSDT", klines=("BTCUSDT",)) as socket:
            count = len(LINES) + (len(KLINE_LINES) if fault["fault"] == "kline_wrong" else len(found))
            texts = await received(socket, count)
        assert [text for text in texts if "publicTrade" in text] == LINES
        assert volumes(texts)[: len(found)] == found
        if fault["fault"] in ("late", "hold"):
            assert texts[: len(LINES)] == LINES

    play(capture(tmp_path, 0, path), body)


def test_trades_are_lost_or_held_while_klines_and_pongs_go_on(tmp_path: Path) -> None:
    path = tmp_path / "capture.jsonl"
    capture_with_klines(path)

    def body(fault: str, trades: int) -> Callable[[Exchange], Any]:
        async def lose(exchange: Exchange) -> None:
            await exchange.fault(fault, what="trades", symbol="BTCUSDT", seconds=1.5)
            async with exchange.connected("BTCUSDT", klines=("BTCUSDT",)) as socket:
                await socket.send('{"op":"ping"}')
                texts = [await receive(socket) for _ in range(1 + len(KLINE_LINES) + trades)]
            assert sum('"pong"' in text for text in texts) == 1
            assert [text for text in texts if "publicTrade" in text] == LINES[:trades]
            assert len(await exchange.trades("BTCUSDT")) == 56

        return lose

    for fault, trades in (("silence", 0), ("hold", len(LINES))):
        play(capture(tmp_path, 0, path), body(fault, trades))


def test_the_time_of_a_frame_is_wrong_and_its_trades_are_not(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        await exchange.fault("frame_time", milliseconds=900)
        async with exchange.connected("BTCUSDT") as socket:
            frames = [json.loads(await receive(socket)) for _ in LINES]
        whole = [json.loads(line) for line in LINES]
        assert frames == [{**frame, "ts": frame["ts"] + 900} for frame in whole]

    play(capture(tmp_path, 0), body)


@pytest.mark.parametrize(("milliseconds", "first"), [(31_536_000_000, FIRST_MS + 31_536_000_000), (-(10**13), 1)])
def test_the_first_frame_after_a_subscription_has_an_absurd_time(tmp_path: Path, milliseconds: int, first: int) -> None:
    async def body(exchange: Exchange) -> None:
        await exchange.fault("absurd_first", milliseconds=milliseconds)
        async with exchange.connected("BTCUSDT") as socket:
            texts = await received(socket, len(LINES) + 1)
        assert texts[1:] == LINES
        (trade,) = json.loads(texts[0])["data"]
        assert (trade["T"], json.loads(texts[0])["ts"], trade["s"]) == (first, first, "BTCUSDT")

    play(capture(tmp_path, 0), body)


def test_rest_is_stale_in_its_data_or_in_its_whole_answer(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT", "ETHUSDT") as socket:
            await receive_trades(socket, 50)
            for what, behind_ms in (("data", 0), ("answer", 3000)):
                await exchange.fault("rest_stale", milliseconds=3000, what=what)
                answer = await exchange.rest("recent-trade", symbol="BTCUSDT")
                now_ms = time.time() * 1000
                assert abs(now_ms - answer["time"] - behind_ms) < 1500
                assert all(int(trade["time"]) < now_ms - 2500 for trade in answer["result"]["list"])
                assert abs(now_ms - (await exchange.rest("time"))["time"] - behind_ms) < 1500
                await exchange.clear()
            answer = await exchange.rest("recent-trade", symbol="BTCUSDT")
            assert int(answer["result"]["list"][0]["time"]) > now_ms - 1500

    play(market(tmp_path), body)


def test_rests_time_is_two_hours_ahead_and_a_page_has_an_old_trade(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT") as socket:
            await receive_trades(socket, 56)
        await exchange.fault("rest_time", milliseconds=7_200_000)
        answer = await exchange.rest("time")
        assert 7_200_000 <= answer["time"] - json.loads(LINES[-1])["ts"] < 7_260_000
        assert answer["result"]["timeNano"] == str(answer["time"] * 1_000_000)
        await exchange.fault("absurd_page", milliseconds=-86_400_000)
        page = (await exchange.rest("recent-trade", symbol="BTCUSDT", limit=20))["result"]["list"]
        assert len(page) == 20
        assert FIRST_MS - 86_400_000 < int(page[-1]["time"]) < FIRST_MS - 86_300_000
        assert all(int(trade["time"]) > FIRST_MS for trade in page[:-1])

    play(capture(tmp_path, 0), body)


def test_rest_refuses_a_banned_address_and_names_the_time_of_its_release(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        url = f"http://127.0.0.1:{exchange.port}/v5/market/time"
        await exchange.fault("rest_down", what="forbidden", seconds=60)
        async with exchange.client.get(url) as response:
            assert (response.status, response.content_type) == (403, "text/html")
            assert "<h1>403 Forbidden</h1>" in await response.text()
        await exchange.clear()
        await exchange.fault("rest_down", what="too_many_visits", seconds=60)
        async with exchange.client.get(url) as response:
            answer = await response.json()
            assert (response.status, answer["retCode"]) == (200, 10006)
            assert 55_000 < int(response.headers["X-Bapi-Limit-Reset-Timestamp"]) - answer["time"] <= 60_000
        await exchange.clear()
        await exchange.fault("rest_down", what="too_many_visits")
        async with exchange.client.get(url) as response:
            assert "X-Bapi-Limit-Reset-Timestamp" not in response.headers

    play(capture(tmp_path, 1), body)


def test_frames_come_seconds_after_their_time(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT") as socket:
            await receive_trades(socket, 1)
            await exchange.fault("late", milliseconds=2000)
            await asyncio.wait_for(_late(socket, 1900), 10)

    async def _late(socket: ClientConnection, milliseconds: int) -> None:
        while time.time() * 1000 - json.loads(await receive(socket))["ts"] < milliseconds:
            pass

    play(market(tmp_path), body)
