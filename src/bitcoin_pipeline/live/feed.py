"""What the producer sends, and when: trades, proofs and gaps over all connections of one worker; no I/O.

Part of the core; anybody may import it. The worker tells what happens (`connected`, `received`, `tick`, answers of
REST) and does at once, in order, what comes back. `now_us` is its monotonic clock; all other times are UTC.

A symbol's way: WAITING for its subscription's answer, BRIDGING what was missed before it, then LIVE; AWAY when the
exchange refuses it. Only LIVE symbols are named in heartbeats. A heartbeat that passes over another symbol is
preceded by that symbol's gap records, so nothing of it is ever called final; a symbol on its way is waited for a
little first.

An exchange may answer pings and keep trades back. So before a heartbeat passes a minute's end, REST is asked about
each symbol whose own frames do not reach it; a trade that did not come ends the connection, and the bridge brings it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

from bitcoin_pipeline.bybit.frames import RECENT_TRADES, EncodedTrade, encode_trade, time_of
from bitcoin_pipeline.bybit.session import (
    Event,
    PingDue,
    Pong,
    ProvenUpTo,
    Refused,
    Resubscribe,
    ServerTimeDue,
    Session,
    SessionTimes,
    Stale,
    Subscribed,
    Trades,
    Unknown,
    backoff_us,
)
from bitcoin_pipeline.live.records import (
    GAP,
    HEARTBEAT,
    TRADE,
    Gap,
    GapState,
    Heartbeat,
    dead_letter_record,
    gap_record,
    heartbeat_record,
)
from bitcoin_pipeline.times import DAY_US, MINUTE_US, MS_US, SECOND_US, floor_us, iso
from bitcoin_pipeline.trade import Reason, RejectedValueError

TOPIC_KEEPS_US: Final = 7 * DAY_US
"""A gap further back than the topic reaches is told for its last part only."""
_REMEMBERED: Final = 1_000_000
"""Records of one symbol while no heartbeat can be sent; after that, Flink alone knows repeated ids."""
_BELIEVED_US: Final = 5 * SECOND_US
"""Between a frame's last trade and its sending."""
LATE: Final = "more_than_50_minutes_late"
CHECKED_TRADES: Final = 200
"""Asked of REST to see whether a symbol trades that is silent: if these are known, so are those before."""


@dataclass(frozen=True, slots=True)
class FeedTimes:
    """How patient a feed is, all in microseconds."""

    heartbeat_us: int = SECOND_US
    late_us: int = 50 * MINUTE_US
    """Behind the last heartbeat; what is older is not sent, as Flink drops what is an hour late."""
    hold_us: int = 5 * SECOND_US
    """How long heartbeats wait for a symbol that is on its way."""
    settle_us: int = SECOND_US
    """After a subscription's answer, REST knows all that was traded before it."""
    distrust_us: int = 5 * SECOND_US
    """After it, what REST has not confirmed of the first frames is no reason to ask again."""
    ask_again_us: int = 200 * MS_US
    give_up_us: int = 30 * SECOND_US
    """Without a page of recent trades for so long, the bridge ends in a gap."""
    reconnect_us: int = SECOND_US
    reconnect_most_us: int = 60 * SECOND_US
    check_us: int = SECOND_US
    """How long a minute's end waits for a REST that fails to tell whether a silent symbol has traded; `hold_us` for
    one that has not answered yet."""
    buffered: int = 500_000
    """Trades of one symbol held during its bridge."""


@dataclass(frozen=True, slots=True)
class Say:
    """Send this text over the socket."""

    text: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Append these records to the topic, keyed by the symbol."""

    symbol: str
    records: list[bytes]


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Append this record to every partition of the topic."""

    record: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Append this record to the dead-letter topic."""

    record: bytes


@dataclass(frozen=True, slots=True)
class AskRecentTrades:
    """Ask REST for the symbol's last trades; the answer, or None, goes to `recent_trades` with `asked_at`."""

    symbol: str
    asked_at: int
    limit: int = RECENT_TRADES


@dataclass(frozen=True, slots=True)
class AskServerTime:
    """Ask REST for the exchange's time; the answer, or None, goes to `server_time` with `asked_at`."""

    asked_at: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the socket, then tell `disconnected`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """A change of state, for the log."""

    event: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GapChanged:
    """A gap was opened or closed, for whoever wants to know; its record is a Publish of its own."""

    gap: Gap


Action: TypeAlias = (
    Say | Publish | Broadcast | DeadLetter | AskRecentTrades | AskServerTime | HangUp | Report | GapChanged
)


class Tail:
    """What the end of the topic tells a worker that starts: feed it each partition's last records, oldest first."""

    def __init__(self) -> None:
        self.last_heartbeat_us: int | None = None
        self.gaps: dict[str, dict[str, Gap]] = {}
        self.records: dict[str, dict[str, bytes]] = {}
        self._named: dict[int, dict[str, int]] = {}

    def begin(self, partition: int) -> None:
        """A partition that has records at all is told of, so that a missing proof in it counts."""
        self._named.setdefault(partition, {})

    def add(self, partition: int, record: bytes) -> None:
        """Take one record; what is not ours is passed over."""
        self.begin(partition)
        try:
            content = json.loads(record)
            kind = content["type"]
            if kind == TRADE:
                self.records.setdefault(content["symbol"], {})[content["id"]] = record
            elif kind == HEARTBEAT:
                time_us = content["time"]
                self.last_heartbeat_us = max(self.last_heartbeat_us or 0, time_us)
                named = self._named[partition]
                named.update({symbol: max(named.get(symbol, 0), time_us) for symbol in content["symbols"]})
            elif kind == GAP:
                state = GapState(content["state"])
                gap = Gap(content["gap_id"], content["symbol"], content["from"], content["to"], state)
                gaps = self.gaps.setdefault(gap.symbol, {})
                if state is GapState.OPENED:
                    gaps[gap.gap_id] = gap
                else:
                    gaps.pop(gap.gap_id, None)
        except (ValueError, KeyError, TypeError):
            return  # Flink sends such records to the dead-letter topic

    def proven_us(self, symbol: str) -> int | None:
        """The last heartbeat that named the symbol and stands in every partition; None if there is none.

        A killed worker may have written its last heartbeat to some partitions only, with another one's trades lost.
        """
        proven = [named.get(symbol) for named in self._named.values()]
        known = [time_us for time_us in proven if time_us is not None]
        return min(known) if known and len(known) == len(proven) else None

    def accounted_us(self, symbol: str) -> int | None:
        """Up to here every trade of the symbol is in the topic or in a gap; None where nothing is told of it."""
        proven_us = self.proven_us(symbol)
        if proven_us is not None:
            return proven_us
        ends = [
            self.last_heartbeat_us if gap.to_us is None else gap.to_us for gap in self.gaps.get(symbol, {}).values()
        ]
        return max((end_us for end_us in ends if end_us is not None), default=None)

    def names_all(self, symbols: Iterable[str]) -> bool:
        """True when no more of the topic need be read."""
        return all(self.proven_us(symbol) is not None for symbol in symbols)


class Stage(StrEnum):
    """Where a symbol stands."""

    WAITING = "waiting"
    BRIDGING = "bridging"
    LIVE = "live"
    AWAY = "away"


@dataclass(slots=True)
class _Feed:
    """One symbol.

    `accounted_us`: every trade up to here was sent, or lies in a gap that was told; None: it was never listened to.
    `own_us`: proven by its own frames of this connection.
    """

    symbol: str
    accounted_us: int | None
    gaps: dict[str, Gap]
    """Open ones, by id."""
    older: dict[str, bytes]
    newer: dict[str, bytes] = field(default_factory=dict)
    """Records sent since the last heartbeat that named it, and since the one before."""
    holes: dict[str, list[tuple[int, int | None]]] = field(default_factory=dict)
    """What is missing within each open gap; a gap of one minute may have several."""
    in_gaps: dict[str, bytes] = field(default_factory=dict)
    """Records sent although they lie in a gap that is open: who fills it shall not send them again."""
    stage: Stage = Stage.WAITING
    hold_until: int = 0
    own_us: int = 0
    rejected_minutes: set[int] = field(default_factory=set)
    # Whether it is silent because nothing is traded.
    whole_us: int = 0
    """Up to here nothing is missing, as REST or the topic's end tells; its own frames may tell more."""
    last_ids: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT_TRADES))
    """Of the trades that were sent before those in `older`."""
    checked_at: int | None = None
    check_to_us: int = 0
    """What REST is asked about now: since when it is, and up to what time."""
    # The bridge.
    answered_at: int = 0
    start_us: int | None = None
    """By this exchange time the subscription was on."""
    buffer: list[Any] = field(default_factory=list)
    buffered_before: int = 0
    """Of the buffer: what came before the answer."""
    page: list[Any] = field(default_factory=list)
    page_reach_us: int | None = None
    asked_at: int | None = None
    ask_due_at: int = 0
    give_up_at: int = 0

    def begin_bridge(self, now_us: int, times: FeedTimes) -> None:
        """What was missed before this moment is to be found."""
        if self.stage is not Stage.BRIDGING:
            self.give_up_at = now_us + times.give_up_us
        self.stage = Stage.BRIDGING
        self.answered_at = self.ask_due_at = now_us
        self.start_us = self.asked_at = self.page_reach_us = self.checked_at = None
        self.page = []
        self.buffered_before = len(self.buffer)


class Feed:
    """Everything of one worker that outlives its connections.

    `token`: no other worker has it. `tail`: the topic's end. `uniform`: random numbers from 0 to 1.
    """

    def __init__(  # noqa: PLR0913  # keywords
        self,
        symbols: Iterable[str],
        tail: Tail,
        *,
        token: str,
        uniform: Callable[[], float],
        times: FeedTimes | None = None,
        session_times: SessionTimes | None = None,
        decode: Callable[[str | bytes], Any] = json.loads,
    ) -> None:
        self._token: Final = token
        self._uniform: Final = uniform
        self._times: Final = times or FeedTimes()
        self._session_times: Final = session_times or SessionTimes()
        self._decode: Final = decode
        self._feeds: Final = {
            symbol: _Feed(
                symbol,
                tail.accounted_us(symbol),
                dict(tail.gaps.get(symbol, {})),
                dict(tail.records.get(symbol, {})),
                holes={key: [(gap.from_us, gap.to_us)] for key, gap in tail.gaps.get(symbol, {}).items()},
                whole_us=tail.accounted_us(symbol) or 0,
                last_ids=deque(tail.records.get(symbol, {}), RECENT_TRADES),
            )
            for symbol in symbols
        }
        self._session: Session | None = None
        self._last_us = tail.last_heartbeat_us
        self._next_minute_us = self._minute_after(tail.last_heartbeat_us)
        self._heartbeat_at = 0
        self._checks_since: int | None = None
        self._connection_us = 0
        self._attempt = 0
        self._connections = 0
        self.counts: Final = dict.fromkeys(("trades", "duplicates", "rejected", "late", "unknown", "gaps", "silent"), 0)

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self._connections - 1)

    def stages(self) -> dict[str, Stage]:
        """Where each symbol stands."""
        return {symbol: feed.stage for symbol, feed in self._feeds.items()}

    def lag_ms(self, now_us: int) -> int | None:
        """The exchange's time less the last heartbeat's; None while either is unknown."""
        exchange_us = self._exchange_us(now_us)
        if exchange_us is None or self._last_us is None:
            return None
        return max(0, exchange_us - self._last_us) // MS_US

    def heartbeat_age_us(self, now_us: int) -> int | None:
        """Since the last heartbeat that this worker sent; None before the first."""
        return now_us - self._heartbeat_at if self._heartbeat_at else None

    def _exchange_us(self, now_us: int) -> int | None:
        return self._session.exchange_time_us(now_us) if self._session else None

    # What happens.

    def connected(self, now_us: int) -> list[Action]:
        """A fresh connection stands."""
        self._session = Session(
            self._feeds, now_us, uniform=self._uniform, times=self._session_times, decode=self._decode
        )
        self._connections += 1
        self._connection_us = 0
        for feed in self._feeds.values():
            feed.stage, feed.hold_until, feed.own_us = Stage.WAITING, now_us + self._times.hold_us, 0
            feed.buffer, feed.asked_at, feed.checked_at = [], None, None
        report = Report("connected", {"connection": self._connections, "symbols": len(self._feeds)})
        return [report, *(Say(text) for text in self._session.subscribe(now_us))]

    def disconnected(self, reason: str) -> tuple[int, list[Action]]:
        """The connection is gone, or never stood: how many microseconds to wait before the next, and what to do."""
        self._session = None
        for feed in self._feeds.values():
            feed.stage, feed.buffer, feed.asked_at, feed.checked_at = Stage.WAITING, [], None, None
        pause_us = backoff_us(self._attempt, self._times.reconnect_us, self._times.reconnect_most_us, self._uniform)
        self._attempt += 1
        return pause_us, [Report("disconnected", {"reason": reason, "retry_ms": pause_us // MS_US})]

    def received(self, text: str | bytes, now_us: int) -> list[Action]:
        """A message has come."""
        return self._on(self._session.receive(text, now_us), now_us) if self._session else []

    def server_time(self, server_us: int | None, asked_at: int, now_us: int) -> list[Action]:
        """REST has told the exchange's time, or None when it did not."""
        if self._session is None:
            return []
        if server_us is not None:
            for feed in self._bridging():
                if asked_at >= feed.answered_at:
                    feed.start_us = min(feed.start_us or server_us, server_us)
        return self._on(self._session.server_time(server_us, asked_at, now_us), now_us)

    def recent_trades(self, symbol: str, page: list[Any] | None, asked_at: int, now_us: int) -> list[Action]:
        """REST has told a symbol's recent trades, oldest first, or None when it did not."""
        feed = self._feeds[symbol]
        if feed.stage is Stage.LIVE and feed.checked_at == asked_at:
            return self._checked(feed, page, now_us)
        if feed.stage is not Stage.BRIDGING or feed.asked_at != asked_at:
            return []  # of an earlier bridge
        feed.asked_at = None
        if page is None:
            feed.ask_due_at = now_us + self._times.settle_us
            return []
        self._take_page(feed, page)
        if self._is_bridged(feed, page, asked_at):
            return self._finish_bridge(feed, now_us)
        feed.ask_due_at = now_us + self._times.ask_again_us
        if len(feed.buffer) == feed.buffered_before:
            feed.ask_due_at = max(feed.ask_due_at, feed.answered_at + self._times.settle_us)
        return []

    def tick(self, now_us: int) -> list[Action]:
        """Some time has passed; to be called at least ten times a second while connected."""
        if self._session is None:
            return []
        actions = self._on(self._session.tick(now_us), now_us)
        for feed in self._bridging():
            if feed.accounted_us is None:
                if feed.start_us is not None:
                    actions += self._finish_bridge(feed, now_us)
            elif now_us >= feed.give_up_at and feed.start_us is not None:
                # A page that does not meet the buffer proves nothing about what lies between.
                feed.page_reach_us = None
                actions += self._finish_bridge(feed, now_us)
            elif feed.asked_at is None and now_us >= feed.ask_due_at:
                feed.asked_at = now_us
                actions.append(AskRecentTrades(feed.symbol, now_us))
        return actions + self._heartbeat(now_us)

    def _on(self, events: list[Event], now_us: int) -> list[Action]:
        actions: list[Action] = []
        for event in events:
            match event:
                case Trades():
                    actions += self._trades(event, now_us)
                case ProvenUpTo(time_us, None):
                    self._connection_us = max(self._connection_us, time_us)
                case ProvenUpTo(time_us, str() as symbol):
                    self._feeds[symbol].own_us = max(self._feeds[symbol].own_us, time_us)
                case Subscribed(symbol):
                    self._feeds[symbol].begin_bridge(now_us, self._times)
                    actions.append(Report("subscribed", {"symbol": symbol}))
                case Refused(symbol, reason):
                    self._feeds[symbol].stage = Stage.AWAY
                    actions.append(Report("refused", {"symbol": symbol, "reason": reason}))
                case PingDue(text) | Resubscribe(text):
                    actions.append(Say(text))
                case ServerTimeDue():
                    actions.append(AskServerTime(now_us))
                case Stale(reason):
                    actions.append(HangUp(reason))
                case Unknown():
                    actions += self._unknown(event, now_us)
                case Pong():
                    pass
        # The minute's end is not left to the next tick.
        if self._connection_us >= self._next_minute_us or len(self._feeds) == 1:
            actions += self._heartbeat(now_us, only_minute=True)
        return actions

    # Trades.

    def _trades(self, event: Trades, now_us: int) -> list[Action]:
        message = event.message
        feed = self._feeds[message.symbol]
        if feed.stage is Stage.LIVE:
            return self._send(feed, message.items, now_us)
        last_us = time_of(message.items[-1]) if message.items else None
        if last_us is not None and abs(message.sent_us - last_us) < _BELIEVED_US:
            # A frame that comes after the answer was sent after it. One with an absurd time is not believed.
            for other in self._bridging():
                if other.start_us is None and message.sent_us > (other.accounted_us or 0):
                    other.start_us = message.sent_us
        feed.buffer += message.items
        if len(feed.buffer) > self._times.buffered:
            return [HangUp(f"more than {self._times.buffered} trades of {feed.symbol} wait for its bridge")]
        if feed.stage is Stage.BRIDGING and feed.accounted_us is None and feed.start_us is not None:
            return self._finish_bridge(feed, now_us)
        return []

    def _send(self, feed: _Feed, items: Iterable[Any], now_us: int, *, is_bridge: bool = False) -> list[Action]:
        symbol, newer, older = feed.symbol, feed.newer, feed.older
        oldest_us = self._oldest_us()
        records: list[bytes] = []
        actions: list[Action] = []
        for item in items:
            try:
                trade_id, time_us, record = trade = encode_trade(symbol, item)
            except RejectedValueError as error:
                actions += self._reject(feed, item, str(error.reason), now_us)
                continue
            if trade_id in newer or trade_id in older:
                known = newer.get(trade_id) or older[trade_id]
                actions += self._again(feed, item, trade, known, now_us)
            elif time_us >= oldest_us:
                newer[trade_id] = record
                records.append(record)
            elif not is_bridge:
                self.counts["late"] += 1
                actions += self._reject(feed, item, LATE, now_us)
        self.counts["trades"] += len(records)
        if len(newer) > _REMEMBERED:
            feed.older, feed.newer = newer, {}
        return [Publish(symbol, records), *actions] if records else actions

    def _again(self, feed: _Feed, item: Any, trade: EncodedTrade, known: bytes, now_us: int) -> list[Action]:
        if trade.record != known and not _same_content(trade.record, known):
            return self._reject(feed, item, str(Reason.ID_WITH_OTHER_CONTENT), now_us)
        self.counts["duplicates"] += 1
        return []

    def _reject(self, feed: _Feed, item: Any, reason: str, now_us: int) -> list[Action]:
        self.counts["rejected"] += 1
        letter = DeadLetter(dead_letter_record(reason, json.dumps(item, ensure_ascii=False)))
        time_us = time_of(item)
        if time_us is None:
            time_us = self._exchange_us(now_us)
        # A repeated id is no missing trade, and what is older than the topic is no time at all.
        if time_us is None or reason == Reason.ID_WITH_OTHER_CONTENT or time_us < (self._last_us or 0) - TOPIC_KEEPS_US:
            return [letter]
        minute_us = floor_us(time_us)
        if minute_us in feed.rejected_minutes:
            return [letter]
        feed.rejected_minutes.add(minute_us)
        return [*self._open_gap(feed, time_us, time_us), letter]

    def _unknown(self, event: Unknown, now_us: int) -> list[Action]:
        self.counts["unknown"] += 1
        actions: list[Action] = [DeadLetter(dead_letter_record(event.reason, event.text[:100_000]))]
        if event.may_hide_trades:
            for feed in self._feeds.values():
                if feed.stage is Stage.LIVE:
                    feed.hold_until = now_us + self._times.hold_us
                    feed.buffer = []
                if feed.stage in (Stage.LIVE, Stage.BRIDGING):
                    feed.begin_bridge(now_us, self._times)
            actions.append(Report("unreadable message", {"reason": event.reason}))
        return actions

    # The bridge.

    def _bridging(self) -> list[_Feed]:
        return [feed for feed in self._feeds.values() if feed.stage is Stage.BRIDGING]

    def _take_page(self, feed: _Feed, page: list[Any]) -> None:
        times = [time_us for time_us in map(time_of, page) if time_us is not None]
        if not times:
            return
        earlier = [time_us for time_us in map(time_of, feed.page) if time_us is not None]
        meets = feed.page_reach_us is not None and earlier and max(earlier) >= min(times)
        feed.page_reach_us = min(*times, feed.page_reach_us) if meets and feed.page_reach_us else min(times)
        ids = _ids(page)
        feed.page = [item for item in feed.page if not _ids([item]) & ids] + page

    def _is_bridged(self, feed: _Feed, page: list[Any], asked_at: int) -> bool:
        """Nothing lies between the page and the buffer."""
        if feed.page_reach_us is None and feed.start_us is None:
            return False
        buffered = _ids(feed.buffer[feed.buffered_before :])
        if buffered & _ids(page):
            return True
        if feed.start_us is not None and feed.page_reach_us is not None and feed.page_reach_us > feed.start_us:
            return True  # in a burst the last trades have all come after the subscription was on
        # A buffered trade that REST does not know after a while never was.
        return asked_at - feed.answered_at >= (self._times.distrust_us if buffered else self._times.settle_us)

    def _finish_bridge(self, feed: _Feed, now_us: int) -> list[Action]:
        """Gap records for what cannot be had, the page, the buffer, and the end of gaps that were filled."""
        actions: list[Action] = []
        buffered = [time_us for time_us in map(time_of, feed.buffer) if time_us is not None]
        # From either of these on, everything is in the page or in the buffer.
        reach_us = min(time_us for time_us in (feed.page_reach_us, feed.start_us) if time_us is not None)
        page: list[Any] = []
        if feed.accounted_us is None:
            reach_us = feed.start_us if feed.start_us is not None else reach_us
            actions += self._open_gaps(feed, floor_us(min([reach_us, *buffered[:1]])), reach_us)
            feed.accounted_us = feed.whole_us = reach_us
        else:
            sent = set(feed.last_ids) - feed.older.keys() - feed.newer.keys()
            page = [item for item in feed.page if self._is_wanted(feed, item) and not _ids([item]) & sent]
            missing_to_us = max(reach_us, self._oldest_us() - MS_US)
            if missing_to_us > feed.accounted_us:
                actions += self._open_gaps(feed, feed.accounted_us + MS_US, missing_to_us)
        is_filled = [gap for gap in feed.gaps.values() if gap.from_us > reach_us and gap.from_us >= self._oldest_us()]
        actions += self._send(feed, page, now_us, is_bridge=True)
        actions += self._send(feed, feed.buffer, now_us)
        for gap in list(feed.gaps.values()):
            end_us = floor_us(gap.from_us) + MINUTE_US
            if gap in is_filled and floor_us(gap.from_us) not in feed.rejected_minutes:
                to_us = gap.to_us or max(gap.from_us, min(end_us, feed.start_us or self._exchange_us(now_us) or end_us))
                actions += self._tell(feed, replace(gap, to_us=to_us, state=GapState.CLOSED))
            elif gap.to_us is None:
                actions += self._open_gap(feed, gap.from_us, max(gap.from_us, min(end_us, reach_us)))
        if feed.gaps:
            records = feed.older | feed.newer
            feed.in_gaps |= {
                key: record for key, record in records.items() if _in_gap(feed, json.loads(record)["time"])
            }
        feed.stage, feed.buffer, feed.page = Stage.LIVE, [], []
        report = {"symbol": feed.symbol, "page": len(page), "buffer": len(buffered), "filled": len(is_filled)}
        return [*actions, Report("live", report)]

    def _is_wanted(self, feed: _Feed, item: Any) -> bool:
        time_us = time_of(item)
        if time_us is None or feed.accounted_us is None or time_us > feed.accounted_us:
            return True
        return _in_gap(feed, time_us)

    # Gaps.

    def _open_gaps(self, feed: _Feed, from_us: int, to_us: int | None, until_us: int | None = None) -> list[Action]:
        """One record for each minute from `from_us` to `to_us`, or to `until_us` while the end is not known."""
        actions: list[Action] = []
        last_us = to_us if to_us is not None else until_us
        assert last_us is not None
        for minute_us in _minutes(max(from_us, last_us - TOPIC_KEEPS_US), last_us):
            end_us = None if to_us is None else min(to_us, minute_us + MINUTE_US)
            actions += self._open_gap(feed, max(from_us, minute_us), end_us)
        return actions

    def _open_gap(self, feed: _Feed, from_us: int, to_us: int | None) -> list[Action]:
        minute_us = floor_us(from_us)
        known = next((gap for gap in feed.gaps.values() if floor_us(gap.from_us) == minute_us), None)
        if known is None:
            # A closed gap's id never comes back: whoever has seen it closed takes it for closed.
            self.counts["gaps"] += 1
            gap_id = f"{feed.symbol}-{iso(minute_us)}-{self._token}-{self.counts['gaps']}"
            feed.holes[gap_id] = [(from_us, to_us)]
            return self._tell(feed, Gap(gap_id, feed.symbol, from_us, to_us, GapState.OPENED))
        # Two gaps of one minute are told as one.
        holes = feed.holes[known.gap_id]
        if to_us is None and known.to_us is None:
            return []
        if known.to_us is None:
            feed.holes[known.gap_id] = [(start_us, to_us if end_us is None else end_us) for start_us, end_us in holes]
        else:
            holes.append((from_us, to_us))
        to_us = None if to_us is None else max(known.to_us or 0, to_us)
        gap = replace(known, from_us=min(known.from_us, from_us), to_us=to_us)
        return self._tell(feed, gap) if gap != known else []

    def _tell(self, feed: _Feed, gap: Gap) -> list[Action]:
        if gap.state is GapState.OPENED:
            feed.gaps[gap.gap_id] = gap
        else:
            del feed.gaps[gap.gap_id], feed.holes[gap.gap_id]
        return [Publish(feed.symbol, [gap_record(gap)]), GapChanged(gap)]

    def _oldest_us(self) -> int:
        return self._last_us - self._times.late_us if self._last_us is not None else 0

    # Heartbeats.

    def _heartbeat(self, now_us: int, *, only_minute: bool = False) -> list[Action]:
        named: list[_Feed] = []
        others: list[_Feed] = []
        for feed in self._feeds.values():
            if feed.stage is Stage.LIVE:
                named.append(feed)
            elif feed.stage is not Stage.AWAY and now_us < feed.hold_until:
                return []
            else:
                others.append(feed)
        if not named:
            return []
        time_us = min(max(feed.own_us, self._connection_us) for feed in named)
        time_us -= time_us % MS_US
        if time_us <= (self._last_us or 0):
            return []
        if time_us < self._next_minute_us and (only_minute or now_us - self._heartbeat_at < self._times.heartbeat_us):
            return []
        if time_us >= self._next_minute_us and (unsure := self._unsure(named, time_us, now_us)):
            return self._checks(unsure, time_us, now_us)
        self._checks_since = None
        actions: list[Action] = []
        for feed in others:
            actions += self._pass_over(feed, time_us)
        self._last_us, self._heartbeat_at = time_us, now_us
        self._next_minute_us = self._minute_after(time_us)
        lag_ms = self.lag_ms(now_us) or 0
        names = tuple(feed.symbol for feed in named)
        actions.append(Broadcast(heartbeat_record(Heartbeat(time_us, names, lag_ms, self.reconnects))))
        for feed in named:
            feed.accounted_us = time_us
            feed.last_ids.extend(feed.newer)
            feed.older, feed.newer = feed.newer | feed.in_gaps, {}
            actions += self._forget(feed)
        self._attempt = 0
        return actions

    def _unsure(self, named: Iterable[_Feed], time_us: int, now_us: int) -> list[_Feed]:
        """Symbols whose own frames do not reach the end of the minute that `time_us` closes.

        An exchange that answers pings and keeps a symbol's trades back looks like one where nothing is traded: REST
        tells them apart. Nobody when it has not told in time: the proof stands, until it does.
        """
        end_us = self._minute_after(time_us) - MINUTE_US
        unsure = [feed for feed in named if max(feed.own_us, feed.whole_us) < end_us]
        if not unsure:
            return []
        if self._checks_since is None:
            self._checks_since = now_us
        is_asked = any(feed.checked_at is not None for feed in unsure)
        patience_us = self._times.hold_us if is_asked else self._times.check_us
        return [] if now_us - self._checks_since >= patience_us else unsure

    def _checks(self, unsure: Iterable[_Feed], time_us: int, now_us: int) -> list[Action]:
        actions: list[Action] = []
        for feed in unsure:
            if feed.checked_at is None and now_us >= feed.ask_due_at:
                feed.checked_at, feed.check_to_us = now_us, time_us
                actions.append(AskRecentTrades(feed.symbol, now_us, CHECKED_TRADES))
        return actions

    def _checked(self, feed: _Feed, page: list[Any] | None, now_us: int) -> list[Action]:
        """REST's word on a symbol that is silent."""
        feed.checked_at = None
        if page is None:
            feed.ask_due_at = now_us + self._times.ask_again_us
            return []
        whole_us = max(feed.own_us, feed.whole_us)
        known = {*feed.last_ids, *feed.older, *feed.newer}
        to_us = feed.check_to_us
        if len(page) >= CHECKED_TRADES:  # a burst: what is newer than what was asked about tells of what was before it
            to_us = max(to_us, time_of(page[0]) or 0)
        times = [time_us for item in page if not _ids([item]) <= known and (time_us := time_of(item)) is not None]
        missing = [
            time_us
            for time_us in times
            if whole_us < time_us <= to_us
            and floor_us(time_us) not in feed.rejected_minutes
            and not _in_gap(feed, time_us)
        ]
        if not missing:
            feed.whole_us = max(whole_us, feed.check_to_us)
            return self._heartbeat(now_us, only_minute=True)
        self.counts["silent"] += 1
        # What was proven of it by others' frames and by pings was not so.
        feed.accounted_us = min(feed.accounted_us or whole_us, whole_us)
        feed.stage, feed.hold_until = Stage.WAITING, now_us + self._times.hold_us
        return [
            Report("silent", {"symbol": feed.symbol, "trades": len(missing)}),
            HangUp(f"trades of {feed.symbol} come over REST, and not over the websocket"),
        ]

    def _pass_over(self, feed: _Feed, time_us: int) -> list[Action]:
        """The gap records that must stand before a heartbeat which does not name the symbol."""
        from_us = floor_us(time_us) if feed.accounted_us is None else feed.accounted_us + MS_US
        actions = self._open_gaps(feed, from_us, None, until_us=time_us)
        feed.accounted_us = max(feed.accounted_us or 0, time_us)
        return actions + self._forget(feed)

    def _forget(self, feed: _Feed) -> list[Action]:
        """Let go of gaps that are too old to be filled from here; one without an end gets its minute's."""
        oldest_us = self._oldest_us()
        actions: list[Action] = []
        for gap in [gap for gap in feed.gaps.values() if gap.from_us < oldest_us]:
            if gap.to_us is None:
                actions += self._tell(feed, replace(gap, to_us=floor_us(gap.from_us) + MINUTE_US))
            del feed.gaps[gap.gap_id], feed.holes[gap.gap_id]
        if not feed.gaps:
            feed.in_gaps = {}
        if feed.rejected_minutes:
            feed.rejected_minutes = {minute for minute in feed.rejected_minutes if minute >= oldest_us - MINUTE_US}
        return actions

    @staticmethod
    def _minute_after(time_us: int | None) -> int:
        """The proof that closes the next minute: its last millisecond."""
        return floor_us(time_us + MS_US) + MINUTE_US - MS_US if time_us is not None else 0


def _ids(items: Iterable[Any]) -> set[str]:
    return {item["i"] for item in items if isinstance(item, dict) and isinstance(item.get("i"), str)}


def _in_gap(feed: _Feed, time_us: int | None) -> bool:
    return time_us is not None and any(
        from_us <= time_us and (to_us is None or time_us <= to_us)
        for holes in feed.holes.values()
        for from_us, to_us in holes
    )


def _minutes(from_us: int, to_us: int) -> Iterator[int]:
    return iter(range(floor_us(from_us), to_us + 1, MINUTE_US))


def _same_content(one: bytes, other: bytes) -> bool:
    """The same match told twice: all but `seq`, which REST may leave out."""
    first, second = json.loads(one), json.loads(other)
    return bool({**first, "seq": 0} == {**second, "seq": 0})
