"""The live side of the exchange simulator over real sockets, with the client that the producer uses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from local.checkout import ROOT
from local.exchange.archive.folder import Folder
from local.exchange.live import stream
from local.exchange.live.frames import frames_of
from local.exchange.live.market import LiveMarket, recorded_playback, synthetic_playback
from local.exchange.live.playback import Playback
from local.exchange.live.sources import Capture, SyntheticMarket
from local.exchange.server import exchange
from local.exchange.shared.rate_limit import RateLimit
from local.exchange.synthetic.second import synthetic_second

CAPTURE = ROOT / "tests" / "fixtures" / "bybit" / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"
LINES = CAPTURE.read_text().splitlines()
FIRST_MS, LAST_MS = 1786310819681, json.loads(LINES[-1])["ts"]
SECONDS = 20.0
"""Greatest time for a message on a busy machine."""

Body = Callable[["Exchange"], Coroutine[Any, Any, None]]


@dataclass
class Exchange:
    """A running simulator and a client of it."""

    port: int
    live: LiveMarket
    client: aiohttp.ClientSession

    @asynccontextmanager
    async def connected(self, *symbols: str) -> AsyncIterator[ClientConnection]:
        """A connection, subscribed to the trades of `symbols`."""
        url = f"ws://127.0.0.1:{self.port}/v5/public/linear"
        async with connect(url, ping_interval=None, close_timeout=0.2, max_queue=None) as socket:
            if symbols:
                answer = await request(socket, op="subscribe", args=[f"publicTrade.{symbol}" for symbol in symbols])
                assert answer["success"], answer
            yield socket

    async def rest(self, call: str, **query: object) -> dict[str, Any]:
        """The whole answer of a call below /v5/market/."""
        query = {"category": "linear", **query}
        url = f"http://127.0.0.1:{self.port}/v5/market/{call}"
        async with self.client.get(url, params={name: str(value) for name, value in query.items()}) as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
            return answer

    async def fault(self, fault: str, **parameters: Any) -> None:
        """Set a fault."""
        url = f"http://127.0.0.1:{self.port}/control/faults"
        async with self.client.post(url, json={"fault": fault, **parameters}) as response:
            assert response.status == 201, await response.text()

    async def clear(self) -> None:
        """Clear all faults."""
        await (await self.client.delete(f"http://127.0.0.1:{self.port}/control/faults")).read()

    async def trades(self, symbol: str) -> list[dict[str, Any]]:
        """All trades that the market has made so far."""
        url = f"http://127.0.0.1:{self.port}/control/trades"
        async with self.client.get(url, params={"symbol": symbol}) as response:
            return [json.loads(line) for line in (await response.text()).splitlines()]


def play(playback: Playback, body: Body) -> None:
    """Run `body` against a simulator of this market."""

    async def run() -> None:
        live = LiveMarket(playback)
        rate_limit = RateLimit(1000, 300, time.monotonic)
        runner = web.AppRunner(exchange(Folder(Path("/nowhere")), rate_limit, live), shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            async with aiohttp.ClientSession() as client:
                await asyncio.wait_for(body(Exchange(port, live, client)), 3 * SECONDS)
        finally:
            await runner.cleanup()

    asyncio.run(run())


def capture(folder: Path, speed: float, path: Path = CAPTURE) -> Playback:
    return recorded_playback(Capture(path), speed, folder / "played", time.monotonic)


def market(folder: Path, rate: float = 200.0, offset_ms: int = 0) -> Playback:
    return synthetic_playback(SyntheticMarket(("BTCUSDT", "ETHUSDT"), rate, 0), offset_ms, folder / "played", time.time)


async def receive(socket: ClientConnection) -> str:
    text = await asyncio.wait_for(socket.recv(), SECONDS)
    assert isinstance(text, str)
    return text


async def request(socket: ClientConnection, **fields: Any) -> dict[str, Any]:
    """The answer to a request; frames before it are skipped."""
    await socket.send(json.dumps(fields))
    while "success" not in (answer := json.loads(await receive(socket))):
        pass
    return dict(answer)


async def receive_trades(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    """The trades of the next frames, at least `count`."""
    trades: list[dict[str, Any]] = []
    while len(trades) < count:
        trades += json.loads(await receive(socket))["data"]
    return trades


async def is_quiet(socket: ClientConnection, seconds: float = 0.4) -> bool:
    """True when no message comes for `seconds`."""
    try:
        await asyncio.wait_for(socket.recv(), seconds)
    except TimeoutError:
        return True
    return False


async def until(what: str, condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)


def write_frames(path: Path, seconds: int, *symbols: str) -> list[str]:
    """Write a capture of the synthetic market, `seconds` long, with the symbols' frames interleaved; its lines."""
    frames = [
        frame
        for symbol in symbols
        for second in range(1_786_310_820, 1_786_310_820 + seconds)
        for frame in frames_of(symbol, synthetic_second(symbol, second, 500.0, 0))
    ]
    lines = [frame.text for frame in sorted(frames, key=lambda frame: frame.time_ms)]
    path.write_text("\n".join(lines) + "\n")
    return lines


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
            await until("the playback to pause", is_paused)
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
                await until("the first to receive them too", lambda: _received_all(first, ids))
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
            assert [trade["id"] for trade in made][: len(oldest_first)] == oldest_first
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
            ["1786310760000", "65114.2", "65114.2", "65114.2", "65114.2", "0.004", "260.4568"],
        ]
        older = await exchange.rest("kline", symbol="BTCUSDT", interval=1, start=1786310760000, end=1786310819999)
        assert [kline[0] for kline in older["result"]["list"]] == ["1786310760000"]
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
            assert "ban, break_off, slow, status, wrong_bytes, absurd_time, burst," in await response.text()
        async with exchange.client.post(url, json={"fault": "refuse", "symbol": "XUSDT"}) as response:
            assert response.status == 400
            assert await response.json() == {"error": "symbol must be one of BTCUSDT, got 'XUSDT'"}
        async with exchange.client.get(f"http://127.0.0.1:{exchange.port}/control/market") as response:
            assert (await response.json())["time"] == FIRST_MS
        async with exchange.client.get(f"http://127.0.0.1:{exchange.port}/v5/market/time") as response:
            assert response.status == 503

    play(capture(tmp_path, 1), body)
