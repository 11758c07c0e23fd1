"""Frames of the public websocket: read from a recording, or made of trades in the way the exchange groups them.

Part of the exchange simulator; no I/O but the reading of a recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bitcoin_pipeline.bybit.frames import TOPIC_PREFIX

_FRAME_SPAN_MS: Final = 5
"""Greatest time between the trades of one frame, about that of the real captures."""

_MAX_TRADES: Final = 1024
"""Greatest number of trades in a frame."""


KLINE_PREFIX: Final = "kline.1."
"""How the topic of a symbol's one-minute klines begins; the symbol follows."""

TRADES: Final = "trades"
KLINES: Final = "klines"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of the exchange, whose exact text is `text`.

    `topic` is empty where the text has no readable one; such a frame is sent to every connection. `time_ms`: the
    exchange's time at which it is sent. `trades`: the unchecked objects of its `data` (T, s, S, v, p, i, ...), and
    `klines` those of a frame of klines (start, open, volume, turnover, confirm, ...).
    """

    text: str
    topic: str
    time_ms: int
    trades: tuple[dict[str, Any], ...] = ()
    klines: tuple[dict[str, Any], ...] = ()

    @property
    def symbol(self) -> str:
        """The symbol of the topic, empty where there is no topic."""
        return symbol_of(self.topic)


def trade_topic(symbol: str) -> str:
    """The topic of the trades of `symbol`."""
    return f"{TOPIC_PREFIX}{symbol}"


def kline_topic(symbol: str) -> str:
    """The topic of the one-minute klines of `symbol`."""
    return f"{KLINE_PREFIX}{symbol}"


def symbol_of(topic: str) -> str:
    """The symbol of a topic, which is its last word."""
    return topic.rpartition(".")[2]


def content_of(topic: str) -> str:
    """The kind of a topic's frames: KLINES or TRADES."""
    return KLINES if topic.startswith(KLINE_PREFIX) else TRADES


def read_frame(text: str, not_before_ms: int) -> Frame:
    """The frame of a recorded line, sent at its `ts`, or at `not_before_ms` if that is later or `ts` is missing."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        return Frame(text, "", not_before_ms)
    topic, ts, data = message.get("topic"), message.get("ts"), message.get("data")
    topic = topic if isinstance(topic, str) else ""
    time_ms = max(ts, not_before_ms) if isinstance(ts, int) else not_before_ms
    items = tuple(item for item in data if isinstance(item, dict)) if isinstance(data, list) else ()
    trades = items if topic.startswith(TOPIC_PREFIX) else ()
    return Frame(text, topic, time_ms, trades, items if topic.startswith(KLINE_PREFIX) else ())


def read_capture(path: Path) -> Iterator[Frame]:
    """The frames of a file with one frame a line, in its order; blank lines are skipped."""
    time_ms = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            text = line.rstrip("\r\n")
            if text.strip():
                frame = read_frame(text, time_ms)
                time_ms = frame.time_ms
                yield frame


def frames_of(symbol: str, trades: Iterable[dict[str, Any]]) -> Iterator[Frame]:
    """Frames of one symbol's trades, which ascend by `T`; a frame holds trades of nearly the same time."""
    group: list[dict[str, Any]] = []
    for trade in trades:
        if group and (len(group) == _MAX_TRADES or trade["T"] > group[0]["T"] + _FRAME_SPAN_MS):
            yield _frame(symbol, group)
            group = []
        group.append(trade)
    if group:
        yield _frame(symbol, group)


def _frame(symbol: str, trades: list[dict[str, Any]]) -> Frame:
    time_ms = trades[-1]["T"] + 1
    topic = trade_topic(symbol)
    return Frame(message_text(topic, time_ms, trades), topic, time_ms, tuple(trades))


def with_time(text: str, ts: int) -> str:
    """The text of a message of a topic with another `ts`."""
    return orjson.dumps({**orjson.loads(text), "ts": ts}).decode()


def message_text(topic: str, ts: int, trades: Iterable[dict[str, Any]]) -> str:
    """The text of a message of `topic` with `trades` as its data; `ts` in milliseconds."""
    return orjson.dumps({"topic": topic, "type": "snapshot", "ts": ts, "data": list(trades)}).decode()
