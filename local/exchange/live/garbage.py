"""Messages against the exchange's format, trades with an impossible time, and klines that are wrong.

Part of the exchange simulator; no I/O.
"""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import Any

from bitcoin_pipeline.amounts import EXACT, plain
from local.exchange.live.faults import MORE
from local.exchange.live.frames import message_text, trade_topic


def garbage_text(kind: str, symbol: str, now_ms: int) -> str:
    """A message of a kind in `faults.GARBAGE_KINDS`, of `symbol` where the kind has a symbol."""
    topic = trade_topic(symbol)
    trade = {"T": now_ms, "s": symbol, "S": "Buy", "v": "1", "p": "1", "i": str(uuid.uuid4())}
    match kind:
        case "malformed":
            return message_text(topic, now_ms, [trade])[:-9]
        case "not_an_object":
            return json.dumps([topic, now_ms])
        case "unknown_topic":
            return message_text(f"rumours.{symbol}", now_ms, [])
        case "missing_fields":
            del trade["p"], trade["i"]
            return message_text(topic, now_ms, [trade])
        case _:
            return message_text(topic, now_ms, [{**trade, "T": str(now_ms), "p": 1.5, "S": None}])


def absurd_trade_text(symbol: str, price: str, time_ms: int) -> str:
    """A frame in the right form with one trade that the market has not made."""
    return message_text(trade_topic(symbol), max(1, time_ms), [absurd_trade(symbol, price, time_ms)])


def absurd_trade(symbol: str, price: str, time_ms: int) -> dict[str, Any]:
    """A trade that the market has not made, in the form of a frame's `data`; its time is at least 1."""
    return {
        "T": max(1, time_ms),
        "s": symbol,
        "S": "Buy",
        "v": "1",
        "p": price,
        "L": "PlusTick",
        "i": str(uuid.uuid4()),
        "BT": False,
        "RPI": False,
        "seq": 0,
    }


def wrong_kline_text(text: str, how: str | None) -> str:
    """A frame of klines whose volume and turnover are MORE or LESS than those of `text`; 0 does not become less."""
    message = json.loads(text)
    for kline in message["data"]:
        volume, turnover = Decimal(kline["volume"]), Decimal(kline["turnover"])
        if how == MORE:
            volume, turnover = EXACT.add(volume, Decimal(1)), EXACT.add(turnover, Decimal(kline["close"]))
        else:
            volume, turnover = EXACT.multiply(volume, Decimal("0.5")), EXACT.multiply(turnover, Decimal("0.5"))
        kline["volume"], kline["turnover"] = plain(volume), plain(turnover)
    return json.dumps(message, separators=(",", ":"))
