"""Days of the lake as the topic's records."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal

from bitcoin_pipeline.times import MINUTE_US, SECOND_US
from bitcoin_pipeline.trade import TakerSide, Trade
from local.command.replay import due_records

START = 1_704_153_600_000_000  # 2024-01-02


def trade(number: int, offset_us: int) -> Trade:
    return Trade(
        symbol="BTCUSDT",
        trade_id=str(uuid.UUID(int=number)),
        time_us=START + offset_us,
        price=Decimal("100.5"),
        size=Decimal("0.1"),
        taker_side=TakerSide.BUY,
        turnover=Decimal("10.05"),
        order=number,
    )


# second   0         1         2                        60
# trades   .1 (0.5)  .2 (1.0)  .3 (2.25)
# beats    ^0        ^1        ^2        ^3  ...        ^60, after the record of the minute
def test_heartbeats_stand_between_the_trades_and_close_the_last_minute() -> None:
    due = list(due_records([trade(1, 500_000), trade(2, SECOND_US), trade(3, 2_250_000)]))
    kinds = [json.loads(item.record)["type"] for item in due]
    assert kinds == [*["heartbeat", "trade"] * 3, *["heartbeat"] * 57, "minute", "heartbeat"]
    assert [item.time_us for item in due] == sorted(item.time_us for item in due)
    assert json.loads(due[1].record) == {
        "type": "trade",
        "symbol": "BTCUSDT",
        "id": "00000000-0000-0000-0000-000000000001",
        "time": START + 500_000,
        "seq": 1,
        "side": "Buy",
        "price": "100.5",
        "size": "0.1",
        "turnover": "10.05",
    }
    # The trade at second 1 exactly follows the heartbeat, which must not claim it.
    assert json.loads(due[2].record)["time"] == START + SECOND_US - 1
    assert json.loads(due[-1].record) == {
        "type": "heartbeat",
        "time": START + MINUTE_US - 1,
        "symbols": ["BTCUSDT"],
        "lag_ms": 0,
        "reconnects": 0,
    }
    assert due[-2].key == "BTCUSDT"
    assert json.loads(due[-2].record) == {
        "type": "minute",
        "symbol": "BTCUSDT",
        "open_time": START,
        "trade_count": 3,
        "volume": "0.3",
        "turnover": "30.15",
        "confirmed": False,
    }
    assert {item.key for item in due if json.loads(item.record)["type"] == "heartbeat"} == {None}


# minute   0              1    2
# trades   59.5           |    120.0
def test_each_minute_with_trades_has_its_record_at_its_end() -> None:
    due = list(due_records([trade(1, 59_500_000), trade(2, 2 * MINUTE_US)]))
    assert [item.time_us for item in due] == sorted(item.time_us for item in due)
    records = [json.loads(item.record) for item in due]
    beats = [record["time"] for record in records if record["type"] == "heartbeat"]
    assert beats == list(range(START + 59 * SECOND_US - 1, START + 3 * MINUTE_US, SECOND_US))
    assert [
        (item.time_us - START, record["open_time"] - START)
        for item, record in zip(due, records, strict=True)
        if record["type"] == "minute"
    ] == [(MINUTE_US, 0), (3 * MINUTE_US, 2 * MINUTE_US)]
    assert [item.is_trade for item in due].count(True) == 2


def test_a_day_without_trades_sends_nothing() -> None:
    assert list(due_records([])) == []
