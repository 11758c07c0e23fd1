"""The live side of the exchange simulator over real sockets, with the client that the producer uses."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from local.exchange.live import stream
from tests.support.exchange import (
    FIRST_MS,
    LAST_MS,
    LINES,
    SECONDS,
    Exchange,
    capture,
    is_quiet,
    market,
    play,
    receive,
    receive_trades,
    request,
    until,
    write_frames,
)


@pytest.mark.parametrize("speed", [0.0, 200.0])
def test_the_real_capture_is_sent_frame_by_frame_unchanged(tmp_path: Path, speed: float) -> None:
    async def body(exchange: Exchange) -> None:
        assert (await exchange.rest("time"))["time"] == FIRST_MS
        async with exchange.connected("BTCUSDT") as socket:
            assert [await receive(socket) for _ in LINES] == LINES
            trades = [trade for line in LINES for trade in json.loads(line)["data"]]
            assert [trade["id"] for trade in await exchange.trades("BTCUSDT")] == [trade["i"] for trade in trades]
            answer = (await exchange.rest("recent-trade", symbol="BTCUSDT", limit=1000))["result"]["list"]
            assert [trade["execId"] for trade in answer] == [trade["i"] for trade in reversed(trades)]
            now_ms = (await exchange.rest("time"))["time"]
            assert LAST_MS <= now_ms < LAST_MS + SECONDS * 1000
            assert await is_quiet(socket)
            assert (await exchange.rest("time"))["time"] > now_ms

    play(capture(tmp_path, speed), body)


def test_before_the_first_subscription_the_playback_stands(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected() as socket:
            assert (await request(socket, op="ping"))["ret_msg"] == "pong"
            assert not (await request(socket, op="subscribe", args=["publicTrade.XUSDT"]))["success"]
            assert (await request(socket, op="subscribe", args=[]))["success"]
            assert await is_quiet(socket)
            assert exchange.live.as_json() == {
                "time": FIRST_MS,
                "frames": 0,
                "trades": {},
                "started": False,
                "done": False,
                "connections": 1,
            }
        assert (await exchange.rest("recent-trade", symbol="BTCUSDT"))["result"]["list"] == []

    play(capture(tmp_path, 0), body)


def test_as_fast_as_possible_loses_nothing_even_to_a_slow_reader(tmp_path: Path) -> None:
    path = tmp_path / "capture.jsonl"
    lines = write_frames(path, 80, "BTCUSDT", "DOGEUSDT")
    assert path.stat().st_size > 12 << 20  # more than the kernel may hold for both ends

    async def body(exchange: Exchange) -> None:
        async def is_paused() -> bool:
            return 0 < exchange.live.playback.frames_played < len(lines) and any(
                connection.is_full() for connection in exchange.live.stream.connections()
            )

        async with exchange.connected() as slow, exchange.connected() as late:
            slow.transport.pause_reading()
            await slow.send('{"op":"subscribe","args":["publicTrade.BTCUSDT","publicTrade.DOGEUSDT"]}')
            await until(is_paused)
            # So many frames remain for the second connection, which gets all that are played after its request.
            played = exchange.live.playback.frames_played
            assert (await request(late, op="subscribe", args=["publicTrade.DOGEUSDT"]))["success"]
            slow.transport.resume_reading()
            assert json.loads(await receive(slow))["success"]
            assert [await receive(slow) for _ in lines] == lines
            first = await receive(late)
            doge = [line for line in lines[lines.index(first) :] if "DOGEUSDT" in line]
            assert lines.index(first) >= played
            assert [await receive(late) for _ in doge[1:]] == doge[1:]

    play(capture(tmp_path, 0, path), body)


def test_a_second_connection_gets_the_current_frames_of_its_topics(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT", "ETHUSDT") as first:
            await receive_trades(first, 50)
            async with exchange.connected("ETHUSDT") as second:
                joined_ms = (await exchange.rest("time"))["time"]
                trades = await receive_trades(second, 50)
                assert {trade["s"] for trade in trades} == {"ETHUSDT"}
                assert trades[0]["T"] > joined_ms - 1000
                ids = {trade["i"] for trade in trades}
                await until(lambda: _received_all(first, ids))
            assert (await request(first, op="unsubscribe", args=["publicTrade.ETHUSDT"]))["success"]
            assert {trade["s"] for trade in await receive_trades(first, 50)} == {"BTCUSDT"}

    async def _received_all(socket: ClientConnection, ids: set[str]) -> bool:
        ids -= {trade["i"] for trade in json.loads(await receive(socket))["data"]}
        return not ids

    play(market(tmp_path), body)


def test_websocket_rest_and_control_agree_on_the_synthetic_market(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT") as socket:
            assert abs((await exchange.rest("time"))["time"] - time.time() * 1000 + 3000) < 2000
            found = await receive_trades(socket, 100)
            recent = (await exchange.rest("recent-trade", symbol="BTCUSDT", limit=1000))["result"]["list"]
            made = await exchange.trades("BTCUSDT")
            first = next(place for place, trade in enumerate(made) if trade["id"] == found[0]["i"])
            keys = ("i", "T", "seq", "p", "v", "S")
            named = ("id", "T", "seq", "price", "size", "side")
            assert [tuple(trade[name] for name in named) for trade in made[first : first + len(found)]] == [
                tuple(trade[key] for key in keys) for trade in found
            ]
            oldest_first = [trade["execId"] for trade in reversed(recent)]
            # The last trades reach back beyond those that were played, which begin with the current minute.
            played = [trade["id"] for trade in made if trade["id"] in set(oldest_first)]
            assert played and oldest_first[-len(played) :] == played
            assert (await exchange.rest("recent-trade", symbol="BTCUSDT", limit=3))["retMsg"] == "OK"
            minutes = (await exchange.rest("kline", symbol="BTCUSDT", interval=1))["result"]["list"]
            assert [int(minute[0]) % 60_000 for minute in minutes] == [0] * len(minutes)
            status = exchange.live.as_json()
            assert set(status["trades"]) == {"BTCUSDT", "ETHUSDT"}
            assert (status["started"], status["done"], status["connections"]) == (True, False, 1)

    play(market(tmp_path, offset_ms=-3000), body)


def test_requests_are_answered_as_the_exchange_answers_them(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected() as socket:
            conn_id = (await request(socket, op="ping"))["conn_id"]

            async def answer(text: str) -> dict[str, Any]:
                await socket.send(text)
                found: dict[str, Any] = json.loads(await receive(socket))
                assert found.pop("conn_id") == conn_id
                return found

            btc, unknown = "publicTrade.BTCUSDT", "publicTrade.XUSDT"
            not_found = f"error:handler not found,topic:{unknown}"
            for text, found in [
                ('{"op":"ping"}', {"success": True, "ret_msg": "pong", "req_id": "", "op": "ping"}),
                (
                    json.dumps({"req_id": "r1", "op": "subscribe", "args": [btc, unknown]}),
                    {"success": False, "ret_msg": not_found, "req_id": "r1", "op": "subscribe"},
                ),
                (
                    json.dumps({"req_id": "r2", "op": "subscribe", "args": ["kline.1.BTCUSDT"]}),
                    {
                        "success": False,
                        "ret_msg": "error:handler not found,topic:kline.1.BTCUSDT",
                        "req_id": "r2",
                        "op": "subscribe",
                    },
                ),
                ('{"op":"nope"}', {"success": False, "ret_msg": "error:invalid op", "req_id": "", "op": "nope"}),
            ]:
                assert await answer(text) == found
            broken = await answer("hello")
            assert not broken["success"]
            assert broken["ret_msg"].startswith("Failed to decode incoming data:")
            # The refused request subscribed to nothing, so this one is the first; a second one is refused.
            assert (await answer(json.dumps({"op": "subscribe", "args": [btc]})))["success"]
            again = await request(socket, op="subscribe", args=[btc], req_id="r3")
            assert again["ret_msg"] == f"error:already subscribed,topic:{btc}"
            assert await (await socket.ping()) >= 0

    play(capture(tmp_path, 1), body)


@pytest.mark.parametrize(
    ("call", "query", "message"),
    [
        ("recent-trade", {"symbol": "XUSDT"}, "params error: symbol invalid"),
        ("recent-trade", {"symbol": "BTCUSDT", "category": "moon"}, "Illegal category"),
        ("recent-trade", {"symbol": "BTCUSDT", "limit": "x"}, "params error: limit invalid x"),
        ("kline", {"symbol": "BTCUSDT", "interval": "7"}, "Invalid period!"),
        ("instruments-info", {"symbol": "XUSDT"}, "params error: symbol invalid"),
    ],
)
def test_a_wrong_rest_call_is_200_and_retcode_10001(
    tmp_path: Path, call: str, query: dict[str, str], message: str
) -> None:
    async def body(exchange: Exchange) -> None:
        answer = await exchange.rest(call, **query)
        assert answer == {"retCode": 10001, "retMsg": message, "result": {}, "retExtInfo": {}, "time": FIRST_MS}

    play(capture(tmp_path, 1), body)


def test_rest_has_the_capture_exactly(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT") as socket:
            for _ in LINES:
                await receive(socket)
        answer = await exchange.rest("recent-trade", symbol="BTCUSDT", limit=1)
        assert answer["result"] == {
            "category": "linear",
            "list": [
                {
                    "execId": "3380a171-93f1-5163-a43a-ff263c645aad",
                    "symbol": "BTCUSDT",
                    "price": "65114.30",
                    "size": "0.001",
                    "side": "Buy",
                    "time": "1786310859455",
                    "isBlockTrade": False,
                    "isRPITrade": False,
                    "seq": "753844946319",
                }
            ],
        }
        klines = (await exchange.rest("kline", symbol="BTCUSDT", interval=1, end=1786310820000))["result"]
        assert klines["list"] == [
            ["1786310820000", "65114.2", "65114.3", "65113.1", "65114.3", "7.035", "458078.3588"],
        ]
        # The capture begins within the minute before, and has no kline of it.
        older = await exchange.rest("kline", symbol="BTCUSDT", interval=1, start=1786310760000, end=1786310819999)
        assert older["result"]["list"] == []
        (instrument,) = (await exchange.rest("instruments-info"))["result"]["list"]
        assert (instrument["symbol"], instrument["status"]) == ("BTCUSDT", "Trading")

    play(capture(tmp_path, 0), body)


def test_too_many_requests_or_connections_are_a_403(tmp_path: Path) -> None:
    async def body(exchange: Exchange) -> None:
        exchange.live.rate_limits[0].requests = exchange.live.rate_limits[1].requests = 3
        url = f"http://127.0.0.1:{exchange.port}/v5/market/time"
        codes = []
        for _ in range(4):
            async with exchange.client.get(url) as response:
                codes.append(response.status)
        assert codes == [200, 200, 200, 403]
        for _ in range(3):
            async with exchange.connected():
                pass
        with pytest.raises(InvalidStatus, match="403"):
            async with exchange.connected():
                pass
        await exchange.clear()
        async with exchange.connected("BTCUSDT"):
            await exchange.rest("time")
            await exchange.fault("ban", seconds=100)
            with pytest.raises(InvalidStatus, match="403"):
                async with exchange.connected():
                    pass

    play(capture(tmp_path, 1), body)


def test_a_silent_client_is_dropped_sooner_without_a_subscription(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_SILENT_SECONDS", 0.3)
    monkeypatch.setattr(stream, "_SILENT_SUBSCRIBED_SECONDS", 1.5)

    async def body(exchange: Exchange) -> None:
        async with exchange.connected("BTCUSDT") as subscribed, exchange.connected() as idle:
            begun = time.monotonic()
            for socket, seconds in ((idle, 0.3), (subscribed, 1.5)):
                with pytest.raises(ConnectionClosed):
                    while True:
                        await receive(socket)
                assert time.monotonic() - begun >= seconds * 0.9

    play(market(tmp_path), body)
