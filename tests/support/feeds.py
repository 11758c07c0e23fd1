"""An exchange and a topic in memory, and a live feed between them, all on one hand-driven clock.

For the tests of the live feed. Times are seconds of the exchange's clock after BASE_MS, a minute's start; the feed's
monotonic clock differs from it. What the feed sends is kept as short texts, such as `trade BTC 3`, `minute BTC 0.000 2
confirmed`, `heartbeat 59.999 BTC ETH`, `gap opened BTC 60.001-62.500`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from bitcoin_pipeline.amounts import from_units, parse_decimal, plain, plain_units
from bitcoin_pipeline.bybit.frames import TOPIC_PREFIX
from bitcoin_pipeline.bybit.klines import KLINE_PREFIX
from bitcoin_pipeline.live.actions import (
    Action,
    AskKlines,
    AskRecentTrades,
    AskServerTime,
    AskStatus,
    Broadcast,
    DeadLetter,
    Disconnect,
    GapChanged,
    Publish,
    Report,
    Request,
    SendText,
)
from bitcoin_pipeline.live.feed import FeedState, LiveFeed
from bitcoin_pipeline.live.feed_times import FeedTimes
from bitcoin_pipeline.live.rest_calls import call_of
from bitcoin_pipeline.live.symbol_feed import Stage
from bitcoin_pipeline.live.tail import Tail
from bitcoin_pipeline.times import Instant

BASE_MS: Final = 1_786_310_760_000
"""2026-08-09T21:26:00Z."""
STEP_MS: Final = 50
MINUTE_MS: Final = 60_000
KLINE_MS: Final = 200
"""Milliseconds from a minute's end to its closed kline."""


class World:
    """The exchange answers at once and correctly, unless a test changes its switches.

    `answers_pings`, `answers_rest`, `refused` and `refused_klines` (symbols), `reach` (trades in an answer of REST),
    `sends_klines`, `rest_has_klines`, `rest_lag_ms` (age of REST's data), `rest_off_ms` (error of REST's time) and
    `status` (of every symbol, by REST) are the switches; while `holds_times` is set, REST's times come with
    `release_times` only. `kline_off` is added to the volume of every kline of the
    websocket, in units of 10**-9. `topic`, `records`, `dead`, `reports` and `events` hold what the feed has sent, and
    `asked` the requests to REST.
    """

    def __init__(
        self,
        *symbols: str,
        start: float = 30.0,
        tail: Tail | None = None,
        times: FeedTimes | None = None,
        token: str = "w1",  # noqa: S107  # no secret
    ) -> None:
        self.symbols: Final = symbols or ("BTC",)
        self.now_ms = round(start * 1000)
        self.feed = LiveFeed(
            [f"{symbol}USDT" for symbol in self.symbols],
            tail or Tail(),
            token=token,
            uniform=lambda: 1.0,
            times=times,
        )
        self.answers_pings = True
        self.answers_rest = True
        self.refused: set[str] = set()
        self.refused_klines: set[str] = set()
        self.is_open = False
        self.reach = 1000
        self.sends_klines = True
        self.rest_has_klines = True
        self.rest_lag_ms = 0
        self.rest_off_ms = 0
        self.status = "Trading"
        self.kline_off = 0
        self.topic: list[str] = []
        self.records: list[bytes] = []
        self.dead: list[dict[str, str]] = []
        self.reports: list[str] = []
        self.events: list[str] = []
        self.asked: list[str] = []
        self._subscribed: set[str] = set()
        self._subscribed_klines: set[str] = set()
        self.traded: dict[str, list[dict[str, Any]]] = {}
        """All trades of each symbol, oldest first; two were an hour before the start, one 20 s before it."""
        self.number = 0
        """The number of the last trade, which is its id."""
        for place, symbol in enumerate(self.symbols):
            self.traded[symbol] = [
                {**self._item(symbol), "T": BASE_MS + self.now_ms - age_ms, "i": str(UUID(int=10**6 * number + place))}
                for number, age_ms in ((3, 3_600_000), (2, 3_590_000), (1, 20_000))
            ]
        self.holds_times = False
        self.held_times: deque[Callable[[], list[Action]]] = deque()
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
        self._subscribed_klines.clear()
        _, actions = self.feed.disconnected("broken", self.clock())
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
            self.receive(json.dumps(message, ensure_ascii=False))

    def kline(self, symbol: str, opened: float, *, is_closed: bool = True) -> None:
        """The kline of the minute that opened at this second comes."""
        start_ms = BASE_MS + round(opened * 1000)
        start, *_, volume, turnover = self._kline_row(symbol, start_ms, self.kline_off)
        item = {"start": int(start), "volume": volume, "turnover": turnover, "confirm": is_closed}
        self.receive(json.dumps({"topic": f"{KLINE_PREFIX}{symbol}USDT", "data": [item]}))

    def _kline_row(self, symbol: str, start_ms: int, off: int = 0) -> list[str]:
        items = [
            item
            for item in self.traded[symbol]
            if start_ms <= item["T"] < start_ms + MINUTE_MS and parse_decimal(item["p"]) is not None
        ]
        volume = sum(plain_units(item["v"]) for item in items) + off
        turnover = sum(plain_units(item["v"]) * plain_units(item["p"]) // 10**9 for item in items)
        return [str(start_ms), "1", "1", "1", "1", plain(from_units(volume)), plain(from_units(turnover))]

    def release_times(self) -> None:
        """REST's times come that were held back."""
        self._later.extend(self.held_times)
        self.held_times.clear()
        self._do([])

    def receive(self, text: str) -> None:
        """A message with this text arrives."""
        self._later.append(lambda: self.feed.received(text, self.clock()))
        self._do([])

    def until(self, second: float) -> None:
        """Time passes, until `second`."""
        end_ms = round(second * 1000)
        while self.now_ms < end_ms:
            before_ms, self.now_ms = self.now_ms, min(end_ms, self.now_ms + STEP_MS)
            closed_ms = (self.now_ms - KLINE_MS) // MINUTE_MS * MINUTE_MS
            if self.sends_klines and closed_ms + KLINE_MS > before_ms:
                for symbol in [symbol for symbol in self.symbols if symbol in self._subscribed_klines]:
                    self.kline(symbol, (closed_ms - MINUTE_MS) / 1000)
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

    def tail(self) -> Tail:
        """The topic's end, as a worker that starts now reads it."""
        tail = Tail()
        for record in self.records:
            tail.add(record)
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
            case AskServerTime():
                server_us = (BASE_MS + self.now_ms + self.rest_off_ms) * 1000 if self.answers_rest else None
                answers = self.held_times if self.holds_times else self._later
                answers.append(lambda: self.feed.answered(action, server_us, self.clock()))
            case AskRecentTrades(symbol, _, limit):
                name = symbol.removesuffix("USDT")
                self.asked.append(f"{name} {self.now_ms / 1000:.3f}")
                self._answer(action, self._page(name, limit) if self.answers_rest else None)
            case AskKlines(symbol, _, start_us, limit):
                name = symbol.removesuffix("USDT")
                self.asked.append(f"{name} klines {seconds(start_us)}")
                has_klines = self.answers_rest and self.rest_has_klines
                self._answer(action, self._klines(name, start_us // 1000, limit) if has_klines else None)
            case AskStatus():
                status = self.status if self.answers_rest else None
                self._later.append(lambda: self.feed.answered(action, status, self.clock()))
            case Disconnect(reason):
                self.reports.append(f"disconnecting: {reason}")
                self.disconnect()
            case Report(event, fields):
                self.reports.append(f"{event} {fields.get('symbol', '')}".strip())
            case GapChanged(gap):
                self.events.append(f"gap.{gap.state} {gap.symbol.removesuffix('USDT')}")

    def _answer(self, request: Request, envelope: dict[str, Any] | None) -> None:
        found = None if envelope is None else call_of(request).parse(envelope)
        self._later.append(lambda: self.feed.answered(request, found, self.clock()))

    def _page(self, name: str, limit: int) -> dict[str, Any]:
        until_ms = BASE_MS + self.now_ms - self.rest_lag_ms
        items = [item for item in self.traded[name] if item["T"] <= until_ms or not self.rest_lag_ms]
        rows = [
            {"execId": item["i"], "symbol": item["s"], "side": item["S"], "size": item["v"], "price": item["p"]}
            | {"time": str(item["T"]), "seq": str(item["seq"])}
            for item in items[-min(self.reach, limit) :]
        ]
        return {"retCode": 0, "result": {"list": rows[::-1]}, "time": BASE_MS + self.now_ms}

    def _klines(self, name: str, start_ms: int, limit: int) -> dict[str, Any]:
        last_ms = min(start_ms + (limit - 1) * MINUTE_MS, (BASE_MS + self.now_ms) // MINUTE_MS * MINUTE_MS)
        rows = [self._kline_row(name, open_ms) for open_ms in range(last_ms, start_ms - 1, -MINUTE_MS)]
        return {"retCode": 0, "result": {"list": rows}, "time": BASE_MS + self.now_ms}

    def _keep(self, record: bytes) -> None:
        self.records.append(record)
        self.topic.append(short_text(json.loads(record)))

    def _hear(self, request: dict[str, Any]) -> None:
        if request["op"] == "ping":
            if self.answers_pings:
                self.receive('{"success":true,"ret_msg":"pong","conn_id":"c","req_id":"","op":"ping"}')
            return
        prefix = KLINE_PREFIX if request["args"][0].startswith(KLINE_PREFIX) else TOPIC_PREFIX
        symbols = [topic.removeprefix(prefix).removesuffix("USDT") for topic in request["args"]]
        unwanted = self.refused_klines if prefix == KLINE_PREFIX else self.refused
        refused = [symbol for symbol in symbols if symbol in unwanted]
        answer = {"success": not refused, "ret_msg": "", "conn_id": "c", "req_id": request["req_id"], "op": "subscribe"}
        if refused:
            answer["ret_msg"] = f"error:handler not found,topic:{prefix}{refused[0]}USDT"
        else:
            (self._subscribed_klines if prefix == KLINE_PREFIX else self._subscribed).update(symbols)
        self.receive(json.dumps(answer))


def live_world(*symbols: str, start: float = 30.0) -> World:
    """A world at three seconds after `start` whose symbols are all live since the minute before BASE_MS."""
    world = World(*symbols, start=-30.0)
    world.connect()
    world.until(start + 3)
    assert set(world.stages().values()) == {Stage.LIVE}
    assert [text for text in world.take() if text.startswith("gap")] == []
    world.asked.clear()
    return world


def restarted(world: World, second: float) -> World:
    """A new worker on the topic of a killed one, in the same market."""
    again = World(*world.symbols, start=second, tail=world.tail(), token="w2")  # noqa: S106  # no secret
    again.traded, again.number, again.now_ms = world.traded, world.number, world.now_ms
    return again


def last_heartbeat(world: World) -> str:
    """The last heartbeat sent since `take` was called, whose records are taken as well."""
    return world.take("heartbeat")[-1]


def short_text(record: dict[str, Any]) -> str:
    """A record of the topic as a short text."""
    match record:
        case {"type": "trade", "symbol": str(symbol), "id": trade_id}:
            return f"trade {symbol.removesuffix('USDT')} {UUID(trade_id).int}"
        case {
            "type": "minute",
            "symbol": str(symbol),
            "open_time": open_us,
            "trade_count": count,
            "confirmed": confirmed,
        }:
            word = " confirmed" if confirmed else ""
            return f"minute {symbol.removesuffix('USDT')} {seconds(open_us)} {count}{word}"
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
