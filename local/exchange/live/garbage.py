"""Messages against the exchange's format, and trades with an impossible time, as clients sometimes receive them.

Part of the exchange simulator; no I/O.
"""

from __future__ import annotations

import json
import uuid

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
    trade = {
        "T": time_ms,
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
    return message_text(trade_topic(symbol), time_ms, [trade])
