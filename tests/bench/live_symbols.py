"""Part of `make bench-live`: the producer with 500 symbols beside 4, over two minutes' ends, a reconnect in the first.

`python -m tests.bench.live_symbols serve PORT SYMBOLS RATE` is the exchange: websocket and REST of as many symbols as
are wanted, with trades and klines that agree. The simulator's market has fewer symbols, each of a real one's kind.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import requests
from aiohttp import web
from confluent_kafka import Consumer
from rich.console import Console
from rich.table import Table

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.kafka import read, tail
from bitcoin_pipeline.times import floor_us
from local.checkout import ROOT
from local.stack.ports import free_ports
from local.waiting import wait_for
from tests.bench.measuring import Goal, cores, cpu_seconds, quantile, resident_mib
from tests.support.processes import RunningStack

RUNS: Final = ((4, 5_000), (500, 5_000))
"""Symbols and trades a second of each run."""
DROP_AFTER_SECONDS: Final = 40.0
SECONDS: Final = 130.0
"""Length of the measurement, which begins with a minute; the connection is dropped within the first one."""
WANTED_MIB: Final = 256.0
WANTED_CORES: Final = 0.5
WANTED_FINAL_S: Final = 2.0
WANTED_CALLS: Final = 20
_TURN_S: Final = 0.005
_MINUTE_MS: Final = 60_000
_ALL: Final = 10**9


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one run.

    `final`: seconds from a minute's end to its record. `rejoined`: the same in the minute with the reconnect, whose
    records may wait for REST, which is asked about every symbol. `calls`: those of REST in the worst second.
    """

    symbols: int
    rate: int
    cores: float
    mib: float
    final: list[float]
    rejoined: list[float]
    unconfirmed: int
    gaps: int
    calls: int


def measure_symbols(console: Console) -> list[Goal]:
    """Run the producer with few and with many symbols, print the table, return the goals."""
    found = []
    for symbols, rate in RUNS:
        console.print(f"{symbols} symbols at {rate:,} trades/s ...", style="dim")
        found.append(_measure(symbols, rate))
    columns = (
        "cores",
        "MiB",
        "record after the minute, p50",
        "longest",
        "longest after the reconnect",
        "unconfirmed",
        "gaps",
        "REST calls in a second",
    )
    table = Table("symbols", "trades/s", *columns, title=f"symbols, a reconnect within each run, {cores()}")
    for each in found:
        delays = [f"{seconds:.2f} s" for seconds in (quantile(each.final, 0.5), max(each.final), max(each.rejoined))]
        numbers = f"{each.unconfirmed}", f"{each.gaps}", f"{each.calls}"
        table.add_row(f"{each.symbols}", f"{each.rate:,}", f"{each.cores:.3f}", f"{each.mib:.0f}", *delays, *numbers)
    console.print(table)
    most = found[-1]
    title = f"{most.symbols} symbols at {most.rate:,} trades/s"
    longest = max(most.final)
    return [
        Goal(f"{title}, cores", f"<= {WANTED_CORES:g}", f"{most.cores:.2f}", most.cores <= WANTED_CORES),
        Goal(f"{title}, MiB", f"<= {WANTED_MIB:g}", f"{most.mib:.0f}", most.mib <= WANTED_MIB),
        Goal(f"{title}, slowest record", f"<= {WANTED_FINAL_S:g} s", f"{longest:.2f} s", longest <= WANTED_FINAL_S),
        Goal(f"{title}, gaps of a reconnect", "0", f"{most.gaps}", most.gaps == 0),
        Goal(f"{title}, REST calls a second", f"<= {WANTED_CALLS}", f"{most.calls}", most.calls <= WANTED_CALLS),
    ]


def _measure(symbols: int, rate: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder, RunningStack(Path(folder), ("kafka",)) as stack:
        stack.set_up("topics")
        ports = free_ports(("exchange", "health"))
        address = f"http://127.0.0.1:{ports['exchange']}"
        with _running(["-m", __spec__.name, "serve", str(ports["exchange"]), str(symbols), str(rate)], stack.environ):
            wait_for("the exchange", lambda: _answers(f"{address}/calls"), 30)
            environ = {
                **stack.environ,
                "PIPELINE_SYMBOLS": ",".join(symbols_of(symbols)),
                "BYBIT_WS_URL": f"ws://127.0.0.1:{ports['exchange']}/ws",
                "BYBIT_REST_URL": address,
                "PORT": str(ports["health"]),
                "PIPELINE_EVENTS_TOPIC": "",
            }
            with _running([str(ROOT / "cloudrun" / "producer" / "main.py")], environ) as producer:
                wait_for("a proof", lambda: _answers(f"http://127.0.0.1:{ports['health']}/ready"), 60)
                time.sleep(60 - time.time() % 60)  # the waits are for time, not for a condition
                from_us, cpu, began = floor_us(time.time_ns() // 1000), cpu_seconds(producer.pid), time.monotonic()
                time.sleep(DROP_AFTER_SECONDS)
                requests.post(f"{address}/drop", timeout=60)
                time.sleep(SECONDS - DROP_AFTER_SECONDS)
                used = (cpu_seconds(producer.pid) - cpu) / (time.monotonic() - began)
                mib = resident_mib(producer.pid)
                calls = requests.get(f"{address}/calls", timeout=60).json()
        delays, unconfirmed, gaps = _records(stack, from_us)
    rejoined, final = ([delay for delay, is_first in delays if is_first is wanted] for wanted in (True, False))
    return Measured(symbols, rate, used, mib, final, rejoined, unconfirmed, gaps, max(calls, default=0))


@contextmanager
def _running(command: list[str], environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, **environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "src")))}
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    with suppress(requests.RequestException):
        return requests.get(url, timeout=5).status_code == 200
    return False


def _records(stack: RunningStack, from_us: int) -> tuple[list[tuple[float, bool]], int, int]:
    """Delays of the minutes' first records, minutes that were never confirmed, and gaps, all of after `from_us`.

    Beside each delay: whether its minute is the first one after `from_us`.
    """
    servers = stack.environ["KAFKA_BOOTSTRAP_SERVERS"]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "enable.auto.commit": False})
    delays: dict[tuple[str, int], float] = {}
    confirmed: set[tuple[str, int]] = set()
    gaps: set[str] = set()
    try:
        for place in tail(consumer, names.TRADES_TOPIC, _ALL, 30):
            _, high = consumer.get_watermark_offsets(place, timeout=30)
            for message in read(consumer, place, high, 30):
                record = orjson.loads(message.value() or b"")
                if record["type"] == "gap" and record["from"] >= from_us:
                    gaps.add(record["gap_id"])
                if record["type"] == "minute" and record["open_time"] >= from_us:
                    key = record["symbol"], record["open_time"]
                    delays.setdefault(key, message.timestamp()[1] / 1000 - record["open_time"] / 1e6 - 60)
                    if record["confirmed"]:
                        confirmed.add(key)
    finally:
        consumer.close()
    first_us = min(open_us for _, open_us in delays)
    found = [(delay, open_us == first_us) for (_, open_us), delay in delays.items()]
    return found, len(delays.keys() - confirmed), len(gaps)


def symbols_of(count: int) -> list[str]:
    """Names of so many symbols."""
    return [f"C{number:03d}USDT" for number in range(count)]


@dataclass(slots=True)
class _Symbol:
    """The last trades of a symbol, and the sums of its minutes in units of 10**-3 (volume) and 10**-5 (turnover)."""

    name: str
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=1000))
    sums: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def trade(self, rng: random.Random, now_ms: int, number: int) -> dict[str, Any]:
        """Make a trade now."""
        size, price = rng.randrange(1, 900), 6_500_000 + rng.randrange(-3000, 3000)
        sums = self.sums[now_ms - now_ms % _MINUTE_MS]
        sums[0] += size
        sums[1] += size * price
        item = {"T": now_ms, "s": self.name, "S": "Buy", "v": _text(size, 3), "p": _text(price, 2), "L": "PlusTick"}
        item |= {"i": str(uuid.UUID(int=rng.getrandbits(128))), "BT": False, "RPI": False, "seq": number}
        self.recent.append(item)
        return item

    def kline(self, open_ms: int) -> tuple[str, str]:
        """Volume and turnover of a minute."""
        volume, turnover = self.sums.get(open_ms, (0, 0))
        return _text(volume, 3), _text(turnover, 5)


def _text(units: int, decimals: int) -> str:
    whole, fraction = divmod(units, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}"


class _Exchange:
    """Websocket and REST of the symbols; the first of them have most of the trades."""

    def __init__(self, count: int, rate: int) -> None:
        self._symbols = [_Symbol(name) for name in symbols_of(count)]
        self._by_name = {symbol.name: symbol for symbol in self._symbols}
        self._weights = [1 / (place + 1) for place in range(count)]
        self._rate = rate
        self._rng = random.Random(0)
        self._calls: Counter[int] = Counter()
        self._sockets: dict[web.WebSocketResponse, set[str]] = {}

    def application(self) -> web.Application:
        """The application, whose market begins with the server."""

        async def market(_: web.Application) -> Any:
            tasks = [asyncio.create_task(part()) for part in (self._trade, self._close)]
            yield
            for task in tasks:
                task.cancel()

        application = web.Application()
        application.cleanup_ctx.append(market)
        application.add_routes(
            [
                web.get("/ws", self._socket),
                web.get("/calls", self._shown),
                web.post("/drop", self._drop),
                web.get("/v5/market/{call}", self._rest),
            ]
        )
        return application

    async def _trade(self) -> None:
        began, made = time.monotonic(), 0
        while True:
            await asyncio.sleep(_TURN_S)
            due = round((time.monotonic() - began) * self._rate)
            while made < due:
                [symbol] = self._rng.choices(self._symbols, self._weights)
                count, now_ms = min(due - made, self._rng.choice((1, 1, 1, 2, 3, 8))), _now_ms()
                data = [symbol.trade(self._rng, now_ms, made + place) for place in range(count)]
                made += count
                topic = f"publicTrade.{symbol.name}"
                await self._send(topic, {"topic": topic, "type": "snapshot", "ts": now_ms, "data": data})

    async def _close(self) -> None:
        """Send the closed klines, spread over 0.1 to 0.9 s after each minute."""
        while True:
            open_ms = _now_ms() // _MINUTE_MS * _MINUTE_MS
            await asyncio.sleep((open_ms + _MINUTE_MS + 100 - _now_ms()) / 1000)
            for symbol in self._symbols:
                volume, turnover = symbol.kline(open_ms)
                item = {"start": open_ms, "volume": volume, "turnover": turnover, "confirm": True}
                topic = f"kline.1.{symbol.name}"
                await self._send(topic, {"topic": topic, "type": "snapshot", "ts": _now_ms(), "data": [item]})
                await asyncio.sleep(0.8 / len(self._symbols))

    async def _send(self, topic: str, message: dict[str, Any]) -> None:
        text = orjson.dumps(message).decode()
        for socket, topics in list(self._sockets.items()):
            if topic in topics:
                with suppress(ConnectionError):
                    await socket.send_str(text)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        topics = self._sockets[socket] = set()
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            content = orjson.loads(message.data)
            answer = {"success": True, "ret_msg": "pong", "op": content["op"], "req_id": content.get("req_id", "")}
            await socket.send_str(orjson.dumps(answer).decode())
            topics.update(content.get("args", ()))
        self._sockets.pop(socket, None)
        return socket

    async def _drop(self, _: web.Request) -> web.Response:
        for socket in list(self._sockets):
            self._sockets.pop(socket)
            await socket.close()
        return web.json_response({})

    async def _shown(self, _: web.Request) -> web.Response:
        return web.json_response(list(self._calls.values()))

    async def _rest(self, request: web.Request) -> web.Response:
        self._calls[int(time.monotonic())] += 1
        now_ms, query = _now_ms(), request.query
        result: dict[str, Any] = {"timeNano": str(now_ms * 1_000_000)}
        match request.match_info["call"]:
            case "recent-trade":
                result = {"list": [_listed(item) for item in reversed(self._by_name[query["symbol"]].recent)]}
            case "kline":
                last_ms = min(int(query["end"]), now_ms // _MINUTE_MS * _MINUTE_MS)
                opens = range(last_ms, int(query["start"]) - 1, -_MINUTE_MS)
                symbol = self._by_name[query["symbol"]]
                result = {"list": [[str(open_ms), *"1111", *symbol.kline(open_ms)] for open_ms in opens]}
        envelope = {"retCode": 0, "retMsg": "OK", "result": result, "time": now_ms}
        return web.Response(body=orjson.dumps(envelope), content_type="application/json")


def _listed(item: dict[str, Any]) -> dict[str, Any]:
    names_of = {"i": "execId", "s": "symbol", "p": "price", "v": "size", "S": "side"}
    return {
        **{name: item[key] for key, name in names_of.items()},
        **{"time": str(item["T"]), "isBlockTrade": False, "isRPITrade": False, "seq": str(item["seq"])},
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    _, _, port, symbol_count, trades_per_second = sys.argv
    exchange = _Exchange(int(symbol_count), int(trades_per_second))
    web.run_app(exchange.application(), host="127.0.0.1", port=int(port), access_log=None, print=None)
