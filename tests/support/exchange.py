"""A live market of the exchange simulator in the test's own process, and a client of it over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect

from local.checkout import ROOT
from local.exchange.archive.folder import Folder
from local.exchange.archive.publication import Publication
from local.exchange.live.frames import frames_of, kline_topic, trade_topic
from local.exchange.live.market import LiveMarket, recorded_playback, synthetic_playback
from local.exchange.live.playback import Playback
from local.exchange.live.sources import Capture, SyntheticMarket
from local.exchange.server import exchange
from local.exchange.shared.rate_limit import RateLimit
from local.exchange.synthetic.second import synthetic_second

CAPTURE: Final = ROOT / "tests" / "fixtures" / "bybit" / "bybit_ws_v5_publicTrade_BTCUSDT_linear_2026-08-09_44s.jsonl"
LINES: Final = CAPTURE.read_text().splitlines()
KLINE_CAPTURE: Final = CAPTURE.with_name("bybit_ws_v5_kline1_BTCUSDT_linear_2026-08-09_44s.jsonl")
KLINE_LINES: Final = KLINE_CAPTURE.read_text().splitlines()
FIRST_MS: Final = 1786310819681
LAST_MS: Final[int] = json.loads(LINES[-1])["ts"]
"""The `ts` of the first and of the last frame of the capture."""
SECONDS: Final = 20.0
"""Greatest time for a message on a busy machine."""

Body = Callable[["Exchange"], Coroutine[Any, Any, None]]


@dataclass
class Exchange:
    """A running simulator and a client of it."""

    port: int
    live: LiveMarket
    client: aiohttp.ClientSession

    @asynccontextmanager
    async def connected(self, *symbols: str, klines: tuple[str, ...] = ()) -> AsyncIterator[ClientConnection]:
        """A connection, subscribed to the trades of `symbols` and to the klines of `klines`."""
        url = f"ws://127.0.0.1:{self.port}/v5/public/linear"
        async with connect(url, ping_interval=None, close_timeout=0.2, max_queue=None) as socket:
            topics = [*map(trade_topic, symbols), *map(kline_topic, klines)]
            if topics:
                answer = await request(socket, op="subscribe", args=topics)
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


def play(playback: Playback, body: Body, publication: Publication | None = None) -> None:
    """Run `body` against a simulator of this market, whose archive has the files of `publication`."""

    async def run() -> None:
        live = LiveMarket(playback)
        rate_limit = RateLimit(1000, 300, time.monotonic)
        runner = web.AppRunner(
            exchange(publication or Folder(Path("/nowhere")), rate_limit, live), shutdown_timeout=0.1
        )
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
    """A playback of the capture at `path`; its history goes to `folder`."""
    return recorded_playback(Capture(path), speed, folder / "played", time.monotonic)


def market(folder: Path, rate: float = 200.0, offset_ms: int = 0) -> Playback:
    """A playback of a synthetic market with two symbols; its history goes to `folder`."""
    return synthetic_playback(SyntheticMarket(("BTCUSDT", "ETHUSDT"), rate, 0), offset_ms, folder / "played", time.time)


def capture_with_klines(path: Path) -> list[str]:
    """Write the real capture of trades and klines, in the order of their times, to `path`; its lines."""
    lines = sorted([*LINES, *KLINE_LINES], key=lambda line: json.loads(line)["ts"])
    path.write_text("\n".join(lines) + "\n")
    return lines


async def receive(socket: ClientConnection) -> str:
    """The next message."""
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


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `condition` holds. Raises TimeoutError after `SECONDS`."""
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
