"""The simulated exchange: connections and REST calls over a market, with faults at given times.

For tests only; no I/O. What an exchange that behaves guarantees: the trades of a symbol are sent in their order, to
every connection that is subscribed when they are made, within LONGEST_MS; the closed kline has the sums of its minute.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from bitcoin_pipeline.amounts import plain
from tests.support.simulated.market import BASE_MS, MINUTE_MS, SymbolMarket
from tests.support.simulated.world import World

LONGEST_MS: Final = 4500
"""Greatest age of a frame that was seen on the real exchange."""


class Kind(StrEnum):
    """Faults of the exchange. A value, where there is one, is in milliseconds, but for REST_SHORT."""

    LOSE = "trades are made and never sent"
    STALL = "trades are sent at the end of the fault"
    LATE = "trades are sent so much later"
    MUTE = "connections send and answer nothing, also after the fault"
    TWICE = "frames are sent twice"
    FRAME_TIME = "the ts of frames is so far from the time at which they are sent"
    PHANTOM = "the first frame after a subscription has a trade that was not made, so far from the time"
    REFUSE = "subscriptions to the trades are refused"
    REFUSE_KLINES = "subscriptions to the klines are refused"
    UNREACHABLE = "connections are refused"
    KLINE_MISSING = "klines are not sent"
    KLINE_LATE = "klines are sent so much later"
    KLINE_MORE = "klines have more volume than the trades"
    KLINE_LESS = "klines have less volume than the trades"
    REST_DOWN = "REST calls fail"
    REST_NO_KLINES = "REST calls for klines fail"
    REST_SHORT = "REST has so many of the last trades only, in place of 1,000"
    REST_SLOW = "REST calls take so much longer"
    REST_LAG = "REST has the data of so long ago"
    REST_CACHED = "REST answers as it did so long ago, with that time"
    REST_TIME = "REST's time is so far from the exchange's"
    REST_ODD = "a page of recent trades has a trade of a time so far from the others"
    REST_BAN = "REST answers with a ban"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault from one time to another, of one symbol or of all. `times`: how often it shows; None: always."""

    kind: Kind
    from_ms: int
    to_ms: int
    symbol: str | None = None
    value: int = 0
    times: int | None = None

    def __str__(self) -> str:
        name = f"{self.kind.name.lower()}{f' {self.value} ms' if self.value else ''} {self.symbol or 'all'}"
        return f"{name} {(self.from_ms - BASE_MS) / 1000:.3f}-{(self.to_ms - BASE_MS) / 1000:.3f}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of REST, decoded. `banned_until_ms`: the end of a ban, which is the answer; 0 where there is none."""

    body: Any
    banned_until_ms: int = 0


class Exchange:
    """The exchange over `markets`, whose trades are sent as `world` passes."""

    def __init__(self, world: World, markets: Mapping[str, SymbolMarket], faults: Iterable[Fault]) -> None:
        self.world: Final = world
        self.markets: Final = markets
        self.connections: Final[list[Connection]] = []
        self.requests: Final[list[int]] = []
        self._shown: Final[Counter[Fault]] = Counter()
        self._faults: Final[dict[Kind, list[Fault]]] = defaultdict(list)
        for fault in faults:
            self._faults[fault.kind].append(fault)
        for market in markets.values():
            for sent_ms, items in market.frames():
                world.at(sent_ms, lambda market=market, items=items: self._send_trades(market, items))  # type: ignore[misc]
            world.at(BASE_MS + MINUTE_MS + market.phase_ms, lambda market=market: self._send_closed(market))  # type: ignore[misc]

    def fault(self, kind: Kind, symbol: str | None = None) -> Fault | None:
        """The fault of this kind that shows now; it counts as shown."""
        for fault in self._faults[kind]:
            if fault.from_ms <= self.world.now_ms < fault.to_ms and fault.symbol in (None, symbol):
                shown = self._shown[fault] = self._shown[fault] + 1
                if fault.times is None or shown <= fault.times:
                    return fault
        return None

    def drop_all(self) -> None:
        """Break every connection; what is on the way is lost."""
        for connection in list(self.connections):
            connection.drop()

    def connect(self, receive: Callable[[str], None], broken: Callable[[], None]) -> Connection | None:
        """A new connection; None where it is refused."""
        if self.fault(Kind.UNREACHABLE):
            return None
        connection = Connection(self, receive, broken)
        self.connections.append(connection)
        return connection

    def rest(self, call: str, query: Mapping[str, str], answered: Callable[[Answer | None], None]) -> None:
        """A call of REST; its answer, or None for a failure, comes later."""
        self.requests.append(self.world.now_ms)
        slow = self.fault(Kind.REST_SLOW)
        there, back = (self.world.rng.randrange(5, 120) for _ in range(2))

        def handle() -> None:
            answer = self._handle(call, query)
            self.world.after(back + (slow.value if slow else 0), lambda: answered(answer))

        self.world.after(there, handle)

    def _handle(self, call: str, query: Mapping[str, str]) -> Answer | None:
        now_ms = self.world.now_ms
        ban = self.fault(Kind.REST_BAN)
        if ban:
            return Answer(None, ban.to_ms)
        if self.fault(Kind.REST_DOWN) or (call == "kline" and self.fault(Kind.REST_NO_KLINES)):
            return None
        lag, cached, wrong = (self.fault(kind) for kind in (Kind.REST_LAG, Kind.REST_CACHED, Kind.REST_TIME))
        until_ms, shown_ms = now_ms - self.world.rng.randrange(60), now_ms
        if lag:
            until_ms = now_ms - lag.value
        if cached:
            until_ms = shown_ms = now_ms - cached.value
        if wrong:
            shown_ms += wrong.value
        result = self._result(call, query, until_ms, shown_ms)
        return Answer({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": shown_ms})

    def _result(self, call: str, query: Mapping[str, str], until_ms: int, shown_ms: int) -> dict[str, Any]:
        if call == "time":
            return {"timeSecond": str(shown_ms // 1000), "timeNano": str(shown_ms * 1_000_000)}
        market = self.markets[query["symbol"]]
        if call == "instruments-info":
            return {"category": "linear", "list": [{"symbol": market.symbol, "status": "Trading"}]}
        limit = int(query.get("limit", "200"))
        if call == "kline":
            from_ms, to_ms = int(query.get("start", "0")), int(query.get("end", str(until_ms)))
            return {"symbol": market.symbol, "list": market.klines(from_ms, to_ms, until_ms, limit)}
        short = self.fault(Kind.REST_SHORT)
        page = market.page(until_ms, min(limit, short.value) if short else limit)
        odd = self.fault(Kind.REST_ODD)
        if odd and page:
            page[-1] = {**page[-1], "time": str(max(1, int(page[-1]["time"]) + odd.value)), "execId": _id(odd.from_ms)}
        return {"category": "linear", "list": page}

    def _send_trades(self, market: SymbolMarket, items: list[dict[str, Any]]) -> None:
        for connection in self.connections:
            connection.offer_trades(market.symbol, items)

    def _send_closed(self, market: SymbolMarket) -> None:
        open_ms = self.world.now_ms // MINUTE_MS * MINUTE_MS - MINUTE_MS
        for connection in self.connections:
            connection.offer_klines(market, open_ms)
        self.world.after(MINUTE_MS, lambda: self._send_closed(market))


class Connection:
    """One websocket connection of a worker."""

    def __init__(self, exchange: Exchange, receive: Callable[[str], None], broken: Callable[[], None]) -> None:
        self.is_open = True
        self._is_mute = False
        self._exchange = exchange
        self._world = exchange.world
        self._receive = receive
        self._broken = broken
        self._topics: set[str] = set()
        rng = self._world.rng
        # The trades of each symbol take a way of their own, so that those of two symbols overtake each other.
        self._delays = {symbol: rng.choice((10, 10, 30, 100, 600)) for symbol in exchange.markets}
        self._due: dict[str, int] = {}

    def send(self, text: str) -> None:
        """A message of the worker, which arrives after some milliseconds."""
        self._world.after(self._world.rng.randrange(3, 30), lambda: self._take(text))

    def close(self) -> None:
        """The worker closes the connection."""
        self.is_open = False
        if self in self._exchange.connections:
            self._exchange.connections.remove(self)

    def drop(self) -> None:
        """The connection breaks; the worker notices it soon."""
        if self.is_open:
            self.close()
            self._world.after(self._world.rng.randrange(200), self._broken)

    def offer_trades(self, symbol: str, items: list[dict[str, Any]]) -> None:
        """Send a frame of trades, if they are subscribed, with the faults that show."""
        topic = f"publicTrade.{symbol}"
        find = self._exchange.fault
        if topic not in self._topics or find(Kind.LOSE, symbol):
            return
        now_ms = self._world.now_ms
        late, stall, shift = find(Kind.LATE, symbol), find(Kind.STALL, symbol), find(Kind.FRAME_TIME, symbol)
        due_ms = now_ms + self._delays[symbol] + self._world.rng.randrange(10) + (late.value if late else 0)
        if stall:
            due_ms = max(due_ms, stall.to_ms)
        text = _message(topic, now_ms + (shift.value if shift else 0), items)
        for _ in range(2 if find(Kind.TWICE, symbol) else 1):
            self._deliver(topic, due_ms, text)

    def offer_klines(self, market: SymbolMarket, open_ms: int) -> None:
        """Send the closed kline of the minute from `open_ms` on and that of the next one."""
        topic, now_ms, find = f"kline.1.{market.symbol}", self._world.now_ms, self._exchange.fault
        if topic not in self._topics or find(Kind.KLINE_MISSING, market.symbol):
            return
        closed = self._kline(market, open_ms, now_ms, confirm=True)
        opened = self._kline(market, open_ms + MINUTE_MS, now_ms - self._world.rng.randrange(100), confirm=False)
        late = find(Kind.KLINE_LATE, market.symbol)
        due_ms = now_ms + self._world.rng.randrange(5, 60) + (late.value if late else 0)
        for _ in range(2 if find(Kind.TWICE, market.symbol) else 1):
            self._deliver(topic, due_ms, _message(topic, now_ms, [closed, opened]))

    def _kline(self, market: SymbolMarket, open_ms: int, until_ms: int, *, confirm: bool) -> dict[str, Any]:
        volume, turnover = market.kline(open_ms, until_ms)
        if self._exchange.fault(Kind.KLINE_MORE, market.symbol):
            volume, turnover = plain(Decimal(volume) + 1), plain(Decimal(turnover) + 100)
        if self._exchange.fault(Kind.KLINE_LESS, market.symbol):
            volume, turnover = plain(Decimal(volume) / 2), plain(Decimal(turnover) / 2)
        return {
            **{"start": open_ms, "end": open_ms + MINUTE_MS - 1, "interval": "1"},
            **dict.fromkeys(("open", "close", "high", "low"), "1"),
            **{"volume": volume, "turnover": turnover, "confirm": confirm, "timestamp": until_ms},
        }

    def _deliver(self, stream: str, due_ms: int, text: str) -> None:
        """Let a message arrive, not before the earlier ones of its stream; a mute connection does not send it."""
        self._is_mute = self._is_mute or self._exchange.fault(Kind.MUTE) is not None
        if self._is_mute:
            return
        self._due[stream] = due_ms = max(due_ms, self._due.get(stream, 0))

        def arrive() -> None:
            if self.is_open:
                self._receive(text)

        self._world.at(due_ms, arrive)

    def _take(self, text: str) -> None:
        if not self.is_open:
            return
        request = json.loads(text)
        answer = {"success": True, "ret_msg": "", "conn_id": "c", "req_id": request.get("req_id", "")}
        answer["op"] = request["op"]
        if request["op"] == "ping":
            answer["ret_msg"] = "pong"
        else:
            refused = [topic for topic in request["args"] if not self._is_served(topic)]
            if refused:
                answer |= {"success": False, "ret_msg": f"error:handler not found,topic:{refused[0]}"}
            else:
                self._topics.update(request["args"])
        self._deliver("answers", self._world.now_ms + self._world.rng.randrange(3, 30), json.dumps(answer))
        if answer["success"] and request["op"] == "subscribe":
            for topic in request["args"]:
                self._send_phantom(topic)

    def _is_served(self, topic: str) -> bool:
        kind, _, symbol = topic.rpartition(".")
        refusal = Kind.REFUSE if kind == "publicTrade" else Kind.REFUSE_KLINES
        return symbol in self._exchange.markets and not self._exchange.fault(refusal, symbol)

    def _send_phantom(self, topic: str) -> None:
        symbol = topic.removeprefix("publicTrade.")
        phantom = self._exchange.fault(Kind.PHANTOM, symbol) if symbol != topic else None
        if phantom:
            time_ms = max(1, self._world.now_ms + phantom.value)
            trade = {"T": time_ms, "s": symbol, "S": "Buy", "v": "1", "p": "1", "i": _id(self._world.now_ms), "seq": 1}
            self._deliver(topic, self._world.now_ms + 30, _message(topic, time_ms, [trade]))


def _message(topic: str, ts: int, data: list[dict[str, Any]]) -> str:
    return json.dumps({"topic": topic, "type": "snapshot", "ts": ts, "data": data}, separators=(",", ":"))


def _id(number: int) -> str:
    return str(UUID(int=number << 40, version=4))
