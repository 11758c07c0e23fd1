"""The tape: trades from the topic itself, by a consumer of its own that commits nothing.

Part of the dashboard. A thread reads; the event loop takes what came.
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
"""Records of each partition that are read for the first tape."""
KEPT: Final = 2000
"""Trades that wait to be taken at most; the oldest go, for a tape shows the newest."""
RETRY_S: Final = 2.0
TIMEOUT_S: Final = 10.0
END_S: Final = 1.0


class Tape:
    """The trades as they come; a context manager. `config`: librdkafka's words that find the broker."""

    def __init__(self, config: dict[str, str]) -> None:
        self._config = config
        self._came: deque[Trade] = deque(maxlen=KEPT)
        self._ids: deque[str] = deque()
        self._known: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tape", daemon=True)
        self.fault = ""
        """Why there is no tape now; empty while there is one."""

    def __enter__(self) -> Tape:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(END_S)

    def taken(self) -> dict[str, list[Trade]]:
        """What came since the last call, by symbol."""
        found: dict[str, list[Trade]] = {}
        while self._came:
            trade = self._came.popleft()
            found.setdefault(trade.symbol, []).append(trade)
        return found

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except KafkaException as error:
                reason = str(error.args[0].str() if error.args else error)
                if not self.fault:
                    log("WARNING", "the tape failed", reason=reason)
                self.fault = reason
                self._stop.wait(RETRY_S)

    def _read(self) -> None:
        lost: list[KafkaError] = []  # a broker that is away is told here only, not where records are read
        consumer = Consumer(
            {
                **self._config,
                "error_cb": lost.append,
                "group.id": "dashboard",
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
            return  # not ours to judge: Flink puts it into the dead-letter topic
        if trade is None or trade.trade_id in self._known:
            return
        self._known.add(trade.trade_id)
        self._ids.append(trade.trade_id)
        if len(self._ids) > 2 * KEPT:
            self._known.discard(self._ids.popleft())
        self._came.append(trade)
