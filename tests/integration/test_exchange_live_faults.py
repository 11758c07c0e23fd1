"""The faults of the exchange simulator's live side over real sockets, with the client that the producer uses."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.exchange import (
    FIRST_MS,
    LINES,
    Exchange,
    capture,
    is_quiet,
    market,
    play,
    receive,
    receive_trades,
    request,
    write_frames,
)


def test_connections_drop(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT") as one, exchange.connected() as other:
            await exchange.fault("drop")
            for socket in (one, other):
                with pytest.raises(ConnectionClosed):
                    while True:
                        await receive(socket)
        async with exchange.connected("BTCUSDT") as again:
            await receive_trades(again, 10)

    play(market(tmp_path), body)


def test_half_open_connections_send_nothing_more(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT") as before:
            await receive_trades(before, 1)
            await exchange.fault("half_open")
            async with exchange.connected() as during:
                await during.send('{"op":"subscribe","args":["publicTrade.BTCUSDT"]}')
                assert await is_quiet(during)
                await exchange.clear()
                await during.send('{"op":"ping"}')
                await during.ping()
                assert await is_quiet(during)
            with pytest.raises(TimeoutError):
                while True:
                    await asyncio.wait_for(before.recv(), 0.5)
            async with exchange.connected("BTCUSDT") as after:
                await receive_trades(after, 1)

    play(market(tmp_path), body)


def test_pings_are_not_answered(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected() as socket:
            await exchange.fault("no_pong")
            await socket.send('{"op":"ping"}')
            pong = asyncio.ensure_future(await socket.ping())
            assert await is_quiet(socket)
            assert not pong.done()
            await exchange.clear()
            assert (await request(socket, op="ping"))["ret_msg"] == "pong"

    play(market(tmp_path), body)


def test_a_symbol_is_refused_while_the_fault_lasts(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        await exchange.fault("refuse", symbol="ETHUSDT")
        async with exchange.connected("BTCUSDT") as socket:
            refused = await request(socket, op="subscribe", args=["publicTrade.ETHUSDT"])
            assert refused["ret_msg"] == "error:handler not found,topic:publicTrade.ETHUSDT"
            await exchange.clear()
            assert (await request(socket, op="subscribe", args=["publicTrade.ETHUSDT"]))["success"]

    play(market(tmp_path), body)


def test_garbage_is_sent_between_whole_frames(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT") as socket:
            await exchange.fault("garbage")
            await exchange.fault("garbage", what="malformed", count=2)
            strange: list[str] = []
            while len(strange) < 7:
                text = await receive(socket)
                if '"seq":1' not in text:
                    strange.append(text)
            assert strange[1].startswith("[")
            assert "rumours.BTCUSDT" in strange[2]
            assert strange[6].startswith('{"topic":"publicTrade.BTCUSDT"')
        assert "1" not in {trade["price"] for trade in await exchange.trades("BTCUSDT")}

    play(market(tmp_path, rate=20), body)


def test_frames_are_sent_twice_or_in_parts_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "capture.jsonl"
    lines = write_frames(path, 1, "BTCUSDT")

    async def body(exchange: Exchange) -> None:
        await exchange.fault("duplicate")
        await exchange.fault("split")
        trades = [(trade["i"], json.loads(line)["ts"]) for line in lines for trade in json.loads(line)["data"]]
        async with exchange.connected("BTCUSDT") as socket:
            received = [json.loads(await receive(socket)) for _ in range(2 * len(trades))]
        assert all(len(frame["data"]) == 1 for frame in received)
        assert sorted((frame["data"][0]["i"], frame["ts"]) for frame in received) == sorted(trades * 2)
        assert len(await exchange.trades("BTCUSDT")) == len(trades)

    play(capture(tmp_path, 0, path), body)


def test_frames_are_shuffled_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "capture.jsonl"
    lines = write_frames(path, 1, "BTCUSDT")

    async def body(exchange: Exchange) -> None:
        await exchange.fault("shuffle", milliseconds=300)
        async with exchange.connected("BTCUSDT") as socket:
            received = [await receive(socket) for _ in lines]
        assert received != lines
        assert sorted(received) == sorted(lines)

    play(capture(tmp_path, 0, path), body)


def test_every_message_is_delayed_and_in_order(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected() as socket:
            await exchange.fault("delay", milliseconds=400)
            begun = time.monotonic()
            assert (await request(socket, op="ping"))["ret_msg"] == "pong"
            assert time.monotonic() - begun >= 0.4
            assert (await request(socket, op="subscribe", args=["publicTrade.BTCUSDT"]))["success"]
            assert [await receive(socket) for _ in LINES] == LINES
            assert time.monotonic() - begun >= 0.8

    play(capture(tmp_path, 0), body)


def test_a_silent_symbol_trades_on(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT", "ETHUSDT") as socket:
            await exchange.fault("silence", symbol="ETHUSDT")
            pong = await request(socket, op="ping")  # every frame sent before has been received by now
            assert pong["success"]
            made = exchange.live.as_json()["trades"].get("ETHUSDT", 0)
            assert {trade["s"] for trade in await receive_trades(socket, 60)} == {"BTCUSDT"}
            assert exchange.live.as_json()["trades"]["ETHUSDT"] > made
            await exchange.fault("silence")
            await request(socket, op="ping")
            assert await is_quiet(socket)
            assert (await request(socket, op="ping"))["success"]

    play(market(tmp_path), body)


def test_a_trade_of_an_absurd_time_is_sent_and_not_made(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT") as socket:
            await receive_trades(socket, 1)
            ahead_ms = 10**11
            await exchange.fault("absurd_time", milliseconds=ahead_ms)
            while (trade := (await receive_trades(socket, 1))[0])["T"] < time.time() * 1000 + ahead_ms / 2:
                pass
            assert trade["s"] == "BTCUSDT"
            assert abs((await exchange.rest("time"))["time"] - time.time() * 1000) < 5000
            assert trade["i"] not in {made["id"] for made in await exchange.trades("BTCUSDT")}

    play(market(tmp_path), body)


def test_a_burst_is_made_sent_and_beyond_what_rest_reaches(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        url = f"http://127.0.0.1:{exchange.port}/control/faults"
        async with exchange.client.post(url, json={"fault": "burst", "trades": 1, "symbol": "BTCUSDT"}) as response:
            assert (response.status, "burst needs the synthetic market" in await response.text()) == (400, True)
        async with exchange.connected("BTCUSDT") as socket:
            for _ in LINES:
                await receive(socket)
            await exchange.fault("burst", trades=5000, symbol="BTCUSDT")
            trades = await receive_trades(socket, 5000)
            assert len(trades) == 5000
            assert trades[-1]["T"] - trades[0]["T"] < 1000
            made = await exchange.trades("BTCUSDT")
            assert [trade["id"] for trade in made[56:]] == [trade["i"] for trade in trades]
            recent = (await exchange.rest("recent-trade", symbol="BTCUSDT", limit=1000))["result"]["list"]
            assert [trade["execId"] for trade in recent] == [trade["i"] for trade in trades[:-1001:-1]]

    play(capture(tmp_path, 0), body)


def test_rest_fails_in_each_way(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        await exchange.fault("rest_down", what="too_many_visits")
        assert (await exchange.rest("time"))["retCode"] == 10006
        await exchange.fault("rest_down", what="server_error")
        assert (await exchange.rest("time"))["retCode"] == 10016
        await exchange.fault("rest_down")
        with pytest.raises(aiohttp.ClientError):
            await exchange.rest("time")
        await exchange.fault("rest_down", what="hang")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(exchange.rest("time"), 0.5)
        await exchange.clear()
        assert (await exchange.rest("time"))["retCode"] == 0

    play(capture(tmp_path, 1), body)


def test_control_lists_the_faults_that_are_set_and_the_valid_kinds(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        url = f"http://127.0.0.1:{exchange.port}/control/faults"
        await exchange.fault("status", code=503, path="/v5/market/")
        await exchange.fault("delay", milliseconds=5)
        async with exchange.client.get(url) as response:
            assert (await response.json())["faults"] == [
                {"fault": "status", "code": 503, "times": None, "path": "/v5/market/"},
                {"fault": "delay", "milliseconds": 5, "seconds": None},
            ]
        async with exchange.client.post(url, json={"fault": "flood"}) as response:
            assert response.status == 400
            assert "ban, break_off, slow, status, wrong_bytes, absurd_first, absurd_page," in await response.text()
        async with exchange.client.post(url, json={"fault": "refuse", "symbol": "XUSDT"}) as response:
            assert response.status == 400
            assert await response.json() == {"error": "symbol must be one of BTCUSDT, got 'XUSDT'"}
        async with exchange.client.get(f"http://127.0.0.1:{exchange.port}/control/market") as response:
            assert (await response.json())["time"] == FIRST_MS
        async with exchange.client.get(f"http://127.0.0.1:{exchange.port}/v5/market/time") as response:
            assert response.status == 503

    play(capture(tmp_path, 1), body)
