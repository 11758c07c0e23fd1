"""Frames of the public websocket: read from a recording, or made of trades as the exchange groups them.

Part of the exchange simulator; no I/O but the reading of a recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

TRADE_TOPIC: Final = "publicTrade."

_FRAME_SPAN_MS: Final = 5
"""How far apart the trades of one frame may be, about what the real captures show."""

_MAX_TRADES: Final = 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of the exchange, `text` to the letter.

    `topic` is empty where the text has none that can be read: everybody gets it then. `time_ms` is the exchange's time
    when it is sent. `trades` are as they stand in the text (T, s, S, v, p, i, ...), unchecked.
    """

    text: str
    topic: str
    time_ms: int
    trades: tuple[dict[str, Any], ...] = ()


def trade_topic(symbol: str) -> str:
    """What a client subscribes to for the trades of `symbol`."""
    return f"{TRADE_TOPIC}{symbol}"


def read_frame(text: str, not_before_ms: int) -> Frame:
    """The frame that a recorded line is, sent at its `ts`, or at `not_before_ms` if that is later or `ts` missing."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        return Frame(text, "", not_before_ms)
    topic, ts, data = message.get("topic"), message.get("ts"), message.get("data")
    topic = topic if isinstance(topic, str) else ""
    time_ms = max(ts, not_before_ms) if isinstance(ts, int) else not_before_ms
    trades = data if topic.startswith(TRADE_TOPIC) and isinstance(data, list) else []
    return Frame(text, topic, time_ms, tuple(trade for trade in trades if isinstance(trade, dict)))


def read_capture(path: Path) -> Iterator[Frame]:
    """The frames of a file with one a line, in its order; blank lines are none."""
    time_ms = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            text = line.rstrip("\r\n")
            if text.strip():
                frame = read_frame(text, time_ms)
                time_ms = frame.time_ms
                yield frame


def frames_of(symbol: str, trades: Iterable[dict[str, Any]]) -> Iterator[Frame]:
    """The trades of one symbol, which ascend by `T`, in frames of those that come close together."""
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


def message_text(topic: str, ts: int, trades: Iterable[dict[str, Any]]) -> str:
    """The text of a message that tells of `trades`."""
    return orjson.dumps({"topic": topic, "type": "snapshot", "ts": ts, "data": list(trades)}).decode()
