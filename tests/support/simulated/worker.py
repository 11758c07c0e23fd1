"""A worker of the simulation: the real live feed, with a socket, REST and a topic that are simulated.

For tests only. It carries out the feed's actions as the producer does, and may be killed at any moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from bitcoin_pipeline.bybit.rest import EnvelopeError
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
from bitcoin_pipeline.live.feed import LiveFeed
from bitcoin_pipeline.live.rest_calls import call_of
from bitcoin_pipeline.live.tail import Tail
from bitcoin_pipeline.times import Instant
from tests.support.simulated.exchange import Answer, Connection, Exchange
from tests.support.simulated.world import PARTITIONS, Topic, World, partition_of

_TICK_MS: Final = 100
_ANSWER_MS: Final = 5000
"""Time limit of a REST call."""
_MOST_ACTIONS: Final = 100_000
"""Upper bound on the actions that follow from one event; more are an endless loop."""


class Worker:
    """One process of the producer, from its start to its end.

    `window`: how many records of each partition it reads at its start; None: all.
    """

    def __init__(self, world: World, exchange: Exchange, topic: Topic, name: str) -> None:
        self.name: Final = name
        self.is_alive = True
        self._world = world
        self._exchange = exchange
        self._writer: Final = Writer(world, topic)
        self._topic = topic
        self._connection: Connection | None = None
        self._clock_us = world.rng.randrange(10**12)
        self._attempt = 0
        self._banned_until_ms = 0
        self._paused_until_ms = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def start(self, symbols: Sequence[str], window: int | None = None) -> None:
        """Read the end of the topic, and begin to connect."""
        tail = tail_of(self._topic, window)
        self._feed = LiveFeed(symbols, tail, token=self.name, uniform=self._world.rng.random)
        self._world.note(f"{self.name} starts with {' '.join(symbols)}")
        self._world.after(self._world.rng.randrange(20, 400), lambda: self._awake(self._connect))
        self._world.after(_TICK_MS, lambda: self._awake(self._tick))

    def kill(self) -> None:
        """End at once: of the records that wait to be sent, each partition gets the first few or none."""
        self._world.note(f"{self.name} is killed")
        self._end()
        self._writer.lose()

    def stop(self) -> None:
        """End as on SIGTERM: everything is sent before."""
        self._world.note(f"{self.name} is stopped")
        self._end()
        self._writer.flush_all()

    def pause(self, milliseconds: int) -> None:
        """Do nothing for so long; what arrives meanwhile waits."""
        self._paused_until_ms = max(self._paused_until_ms, self._world.now_ms + milliseconds)
        self._world.at(self._paused_until_ms, self._go_on)

    def stall_broker(self, milliseconds: int) -> None:
        """Let the broker take nothing for so long."""
        self._writer.stalled_until_ms = self._world.now_ms + milliseconds

    # The socket and the clock.

    def _end(self) -> None:
        self.is_alive = False
        if self._connection is not None:
            self._connection.close()

    def _now(self) -> Instant:
        return Instant(self._clock_us + self._world.now_ms * 1000)

    def _awake(self, event: Callable[[], None]) -> None:
        """Let something happen now, or, in order, once the worker goes on, unless it is dead."""
        if self._waiting or self._world.now_ms < self._paused_until_ms:
            self._waiting.append(event)
        elif self.is_alive:
            event()

    def _go_on(self) -> None:
        """Let happen what waited for the end of the pause, unless another pause has begun."""
        while self._waiting and self.is_alive and self._world.now_ms >= self._paused_until_ms:
            self._waiting[0]()
            self._waiting.popleft()

    def _connect(self) -> None:
        attempt = self._attempt

        def receive(text: str) -> None:
            if self._attempt == attempt:
                self._do(self._feed.received(text, self._now()))

        def broken() -> None:
            if self._attempt == attempt:
                self._disconnected("the connection broke")

        self._connection = self._exchange.connect(
            lambda text: self._awake(lambda: receive(text)), lambda: self._awake(broken)
        )
        if self._connection is None:
            self._disconnected("the connection was refused")
        else:
            self._do(self._feed.connected(self._now()))

    def _disconnected(self, reason: str) -> None:
        self._attempt += 1
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._world.note(f"{self.name} disconnected: {reason}")
        pause_us, actions = self._feed.disconnected(reason, self._now())
        self._do(actions)
        self._world.after(pause_us // 1000 + self._world.rng.randrange(20, 200), lambda: self._awake(self._connect))

    def _tick(self) -> None:
        self._do(self._feed.tick(self._now()))
        self._world.after(_TICK_MS, lambda: self._awake(self._tick))

    # The feed's actions.

    def _do(self, actions: list[Action]) -> None:
        assert len(actions) < _MOST_ACTIONS, f"{len(actions)} actions follow from one event"
        for action in actions:
            self._do_one(action)

    def _do_one(self, action: Action) -> None:
        match action:
            case Publish(symbol, records):
                for record in records:
                    self._writer.send(partition_of(symbol), record)
            case Broadcast(record):
                for partition in range(PARTITIONS):
                    self._writer.send(partition, record)
            case SendText(text):
                if self._connection is not None:
                    self._connection.send(text)
            case Disconnect(reason):
                self._disconnected(reason)
            case Report(event, fields):
                self._world.note(f"{self.name} reports {event} {dict(fields)}")
            case GapChanged(gap):
                self._world.note(f"{self.name} gap {gap.state} {gap.gap_id} {gap.from_us}-{gap.to_us}")
            case DeadLetter(record):
                self._world.note(f"{self.name} dead letter {record[:80]!r}")
            case AskServerTime() | AskRecentTrades() | AskKlines() | AskStatus():
                self._ask(action)

    def _ask(self, request: Request) -> None:
        path, query, parse = call_of(request)
        is_answered = False

        def answered(answer: Answer | None) -> None:
            nonlocal is_answered
            if is_answered:
                return
            is_answered = True
            found = None
            if answer is not None and answer.banned_until_ms:
                self._banned_until_ms = answer.banned_until_ms
            elif answer is not None:
                with suppress(EnvelopeError):
                    found = parse(answer.body)
            self._do(self._feed.answered(request, found, self._now()))

        if self._world.now_ms < self._banned_until_ms:
            self._world.after(1, lambda: self._awake(lambda: answered(None)))
            return
        self._exchange.rest(path.rpartition("/")[2], query, lambda answer: self._awake(lambda: answered(answer)))
        self._world.after(_ANSWER_MS, lambda: self._awake(lambda: answered(None)))


class Writer:
    """The producer's records on their way to the topic: in order within each partition, and lost when it is killed."""

    def __init__(self, world: World, topic: Topic) -> None:
        self.stalled_until_ms = 0
        self._world = world
        self._topic = topic
        self._queues: list[list[bytes]] = [[] for _ in range(PARTITIONS)]

    def send(self, partition: int, record: bytes) -> None:
        """Let a record stand in the topic soon."""
        queue = self._queues[partition]
        queue.append(record)
        if len(queue) == 1:
            self._world.at(
                max(self._world.now_ms + self._world.rng.randrange(2, 40), self.stalled_until_ms),
                lambda: self._flush(partition),
            )

    def flush_all(self) -> None:
        """Let all records stand in the topic now."""
        for partition in range(PARTITIONS):
            self._append(partition, len(self._queues[partition]))

    def lose(self) -> None:
        """Let the first few records of each partition stand in the topic, and no others."""
        for partition, queue in enumerate(self._queues):
            self._append(partition, self._world.rng.randint(0, len(queue)))
            queue.clear()

    def _flush(self, partition: int) -> None:
        if self._world.now_ms < self.stalled_until_ms:
            self._world.at(self.stalled_until_ms, lambda: self._flush(partition))
        else:
            self._append(partition, len(self._queues[partition]))

    def _append(self, partition: int, count: int) -> None:
        queue = self._queues[partition]
        for record in queue[:count]:
            self._topic.append(partition, record)
        del queue[:count]


def tail_of(topic: Topic, window: int | None) -> Tail:
    """The end of the topic as a worker reads it that starts now: the last `window` records of each partition."""
    tail = Tail()
    for partition in topic.partitions:
        for appended in partition if window is None else partition[-window:]:
            tail.add(appended.record)
    return tail
