"""The recent trades, read from the topic by a consumer that commits no offsets.

Part of the dashboard. A thread reads; the event loop takes the trades.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.kafka import tail
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.live.records import read_trade
from bitcoin_pipeline.trade import Trade

LOOK_BACK: Final = 300
"""Records of each partition that are read at the start."""
MAX_WAITING: Final = 2000
"""Upper bound on trades that wait to be taken; above it the oldest are dropped, because the page shows the newest."""
RETRY_S: Final = 2.0
"""Pause before the next attempt after a fault."""
TIMEOUT_S: Final = 10.0
"""How long the broker may take to report the topic's ends."""
END_S: Final = 1.0
"""How long the end waits for the thread."""


class RecentTrades:
    """The trades as they come; a context manager. `config`: librdkafka's settings that locate the broker."""

    def __init__(self, config: dict[str, str]) -> None:
        self._config = config
        self._waiting: deque[Trade] = deque(maxlen=MAX_WAITING)
        self._ids: deque[str] = deque()
        self._known: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trades", daemon=True)
        self.fault = ""
        """Why no trades can be read now; empty while they can."""

    def __enter__(self) -> RecentTrades:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(END_S)

    def taken(self) -> dict[str, list[Trade]]:
        """The trades that came since the last call, by symbol."""
        found: dict[str, list[Trade]] = {}
        while self._waiting:
            trade = self._waiting.popleft()
            found.setdefault(trade.symbol, []).append(trade)
        return found

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except KafkaException as error:
                reason = str(error.args[0].str() if error.args else error)
                if not self.fault:
                    log("WARNING", "trades failed", reason=reason)
                self.fault = reason
                self._stop.wait(RETRY_S)

    def _read(self) -> None:
        lost: list[KafkaError] = []  # the only place where a broker that is away is reported
        consumer = Consumer(
            {
                **self._config,
                "error_cb": lost.append,
                "group.id": names.DASHBOARD_GROUP,
                "client.id": "bitcoin-pipeline-dashboard",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 1024,
            }
        )
        try:
            consumer.assign(tail(consumer, names.TRADES_TOPIC, LOOK_BACK, TIMEOUT_S))
            while not self._stop.is_set():
                for message in consumer.consume(500, 0.1):
                    error = message.error()
                    if error is not None:
                        raise KafkaException(error)
                    self._take(message.value())
                if lost:
                    raise KafkaException(lost[0])
                self.fault = ""
        finally:
            consumer.close()

    def _take(self, record: bytes | None) -> None:
        try:
            trade = read_trade(record or b"")
        except ValueError:
            return  # Flink sends it to the dead-letter topic
        if trade is None or trade.trade_id in self._known:
            return
        self._known.add(trade.trade_id)
        self._ids.append(trade.trade_id)
        if len(self._ids) > 2 * MAX_WAITING:
            self._known.discard(self._ids.popleft())
        self._waiting.append(trade)
