"""An exchange and a topic in memory, and a live feed between them, all on one hand-driven clock.

For the tests of the live feed. Times are seconds of the exchange's clock after BASE_MS, a minute's start; the feed's
monotonic clock differs from it. What the feed sends is kept as short texts, such as `trade BTC 3`, `heartbeat 59.999
BTC ETH`, `gap opened BTC 60.001-62.500`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from bitcoin_pipeline.bybit.frames import parse_trade
from bitcoin_pipeline.live.actions import (
    Action,
    AskRecentTrades,
    AskServerTime,
    Broadcast,
    DeadLetter,
    Disconnect,
    GapChanged,
    Publish,
    Report,
    SendText,
)
from bitcoin_pipeline.live.feed import FeedState, LiveFeed
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.records import Heartbeat, heartbeat_record
from bitcoin_pipeline.live.symbol_feed import Stage
from bitcoin_pipeline.live.tail import Tail
from bitcoin_pipeline.times import Instant

BASE_MS: Final = 1_786_310_760_000
"""2026-08-09T21:26:00Z."""
STEP_MS: Final = 50


class World:
    """The exchange answers at once and correctly, unless a test changes its switches.

    `answers_pings`, `answers_rest`, `refused` (symbols) and `reach` (trades in an answer of REST) are the switches.
    `topic`, `records`, `dead`, `reports` and `events` hold what the feed has sent, and `asked` the requests to REST.
    """

    def __init__(
        self, *symbols: str, start: float = 30.0, tail: Tail | None = None, times: FeedTimes | None = None
    ) -> None:
        self.symbols: Final = symbols or ("BTC",)
        self.now_ms = round(start * 1000)
        self.feed = LiveFeed(
            [f"{symbol}USDT" for symbol in self.symbols],
            tail or Tail(),
            token="w1",  # noqa: S106  # no secret
            uniform=lambda: 1.0,
            times=times,
        )
        self.answers_pings = True
        self.answers_rest = True
        self.refused: set[str] = set()
        self.is_open = False
        self.reach = 1000
        self.topic: list[str] = []
        self.records: list[bytes] = []
        self.dead: list[dict[str, str]] = []
        self.reports: list[str] = []
        self.events: list[str] = []
        self.asked: list[str] = []
        self._subscribed: set[str] = set()
        self.traded: dict[str, list[dict[str, Any]]] = {}
        """All trades of each symbol, oldest first; the first was 20 s before the start."""
        self.number = 0
        """The number of the last trade, which is its id."""
        for place, symbol in enumerate(self.symbols):
            old = {"T": BASE_MS + self.now_ms - 20_000, "i": str(UUID(int=10**6 + place))}
            self.traded[symbol] = [{**self._item(symbol), **old}]
        self._later: deque[Callable[[], list[Action]]] = deque()
        self._is_doing = False

    # The exchange and the network.

    def connect(self) -> None:
        """The socket opens, and the subscriptions are answered."""
        self.is_open = True
        self._do(self.feed.connected(self.clock()))

    def disconnect(self) -> None:
        """The socket breaks."""
        self.is_open = False
        self._subscribed.clear()
        _, actions = self.feed.disconnected("broken")
        self._do(actions)

    def trade(self, symbol: str = "BTC", *, lost: bool = False, **change: Any) -> dict[str, Any]:
        """A trade happens now, and comes in a frame of its own, unless it is `lost` on the way."""
        self.number += 1
        item = {**self._item(symbol), **change}
        self.traded[symbol].append(item)
        if not lost:
            self.frame(symbol, item)
        return item

    def frame(self, symbol: str, *items: Any, sent: float | None = None) -> None:
        """A frame comes, if the symbol is subscribed."""
        if self.is_open and symbol in self._subscribed:
            sent_ms = BASE_MS + (self.now_ms if sent is None else round(sent * 1000))
            message = {"topic": f"publicTrade.{symbol}USDT", "type": "snapshot", "ts": sent_ms, "data": list(items)}
            self.receive(json.dumps(message))

    def receive(self, text: str) -> None:
        """A message with this text arrives."""
        self._later.append(lambda: self.feed.received(text, self.clock()))
        self._do([])

    def until(self, second: float) -> None:
        """Time passes, until `second`."""
        end_ms = round(second * 1000)
        while self.now_ms < end_ms:
            self.now_ms = min(end_ms, self.now_ms + STEP_MS)
            self._do(self.feed.tick(self.clock()))

    # The results.

    def clock(self) -> Instant:
        """The feed's monotonic clock."""
        return Instant(123_456_789 + self.now_ms * 1000)

    def state(self) -> FeedState:
        """The feed's figures now."""
        return self.feed.state(self.clock())

    def stages(self) -> dict[str, Stage]:
        """Where each symbol stands."""
        return dict(self.state().stages)

    def take(self, *kinds: str) -> list[str]:
        """The records sent since the last call, as texts; only those of these kinds, if any are named."""
        sent, self.topic = self.topic, []
        return [text for text in sent if not kinds or text.split(" ")[0] in kinds]

    def tail(self, partition: int = 0) -> Tail:
        """The topic's end, as a worker that starts now reads it."""
        tail = Tail()
        for record in self.records:
            tail.add(partition, record)
        return tail

    def _item(self, symbol: str) -> dict[str, Any]:
        return {
            "T": BASE_MS + self.now_ms,
            "s": f"{symbol}USDT",
            "S": "Buy",
            "v": "0.001",
            "p": "65114.20",
            "i": str(UUID(int=self.number)),
            "seq": self.number,
        }

    # The feed's actions.

    def _do(self, actions: list[Action]) -> None:
        """Carry out all actions before anything else happens, as the worker does."""
        self._later.append(lambda: actions)
        if self._is_doing:
            return
        self._is_doing = True
        while self._later:
            for action in self._later.popleft()():
                self._do_one(action)
        self._is_doing = False

    def _do_one(self, action: Action) -> None:
        match action:
            case Publish(_, records):
                for record in records:
                    self._keep(record)
            case Broadcast(record):
                self._keep(record)
            case DeadLetter(record):
                self.dead.append(json.loads(record))
            case SendText(text):
                self._hear(json.loads(text))
            case AskServerTime(asked_at):
                server_us = (BASE_MS + self.now_ms) * 1000 if self.answers_rest else None
                self._later.append(lambda: self.feed.server_time(server_us, asked_at, self.clock()))
            case AskRecentTrades(symbol, asked_at, limit):
                name = symbol.removesuffix("USDT")
                self.asked.append(f"{name} {self.now_ms / 1000:.3f}")
                items = self.traded[name][-min(self.reach, limit) :]
                page = [parse_trade(symbol, item) for item in items] if self.answers_rest else None
                self._later.append(lambda: self.feed.recent_trades(symbol, page, asked_at, self.clock()))
            case Disconnect(reason):
                self.reports.append(f"disconnecting: {reason}")
                self.disconnect()
            case Report(event, fields):
                self.reports.append(f"{event} {fields.get('symbol', '')}".strip())
            case GapChanged(gap):
                self.events.append(f"gap.{gap.state} {gap.symbol.removesuffix('USDT')}")

    def _keep(self, record: bytes) -> None:
        self.records.append(record)
        self.topic.append(short_text(json.loads(record)))

    def _hear(self, request: dict[str, Any]) -> None:
        if request["op"] == "ping":
            if self.answers_pings:
                self.receive('{"success":true,"ret_msg":"pong","conn_id":"c","req_id":"","op":"ping"}')
            return
        symbols = [topic.removeprefix("publicTrade.").removesuffix("USDT") for topic in request["args"]]
        refused = [symbol for symbol in symbols if symbol in self.refused]
        answer = {"success": not refused, "ret_msg": "", "conn_id": "c", "req_id": request["req_id"], "op": "subscribe"}
        if refused:
            answer["ret_msg"] = f"error:handler not found,topic:publicTrade.{refused[0]}USDT"
        else:
            self._subscribed.update(symbols)
        self.receive(json.dumps(answer))


def live_world(*symbols: str, start: float = 30.0) -> World:
    """A world whose symbols are all live, three seconds after a start on a topic that was proven a second before."""
    heartbeat = Heartbeat(
        (BASE_MS + round(start * 1000) - 1000) * 1000, tuple(f"{s}USDT" for s in symbols or ["BTC"]), 0, 0
    )
    tail = Tail()
    tail.add(0, heartbeat_record(heartbeat))
    world = World(*symbols, start=start, tail=tail)
    world.connect()
    world.until(start + 3)
    assert set(world.stages().values()) == {Stage.LIVE}
    assert world.take("gap", "trade") == []
    return world


def last_heartbeat(world: World) -> str:
    """The last heartbeat sent since `take` was called, whose records are taken as well."""
    return world.take("heartbeat")[-1]


def short_text(record: dict[str, Any]) -> str:
    """A record of the topic as a short text."""
    match record:
        case {"type": "trade", "symbol": str(symbol), "id": trade_id}:
            return f"trade {symbol.removesuffix('USDT')} {UUID(trade_id).int}"
        case {"type": "heartbeat", "time": time_us, "symbols": symbols}:
            return " ".join(["heartbeat", seconds(time_us), *(symbol.removesuffix("USDT") for symbol in symbols)])
        case {"type": "gap", "symbol": str(symbol), "from": from_us, "to": to_us, "state": state}:
            end = "" if to_us is None else seconds(to_us)
            return f"gap {state} {symbol.removesuffix('USDT')} {seconds(from_us)}-{end}"
    raise AssertionError(record)


def seconds(time_us: int) -> str:
    """Seconds after BASE_MS, to the millisecond."""
    ms, rest = divmod(time_us, 1000)
    assert rest == 0, time_us
    return f"{(ms - BASE_MS) / 1000:.3f}"
