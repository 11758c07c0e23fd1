"""A piece: distinct trades by symbol and day, and counts of the other records."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from archive_live.piece import Piece
from bitcoin_pipeline.bybit.frames import PlainTrade
from bitcoin_pipeline.live.records import Heartbeat, encoded_trade, heartbeat_record
from bitcoin_pipeline.times import from_datetime

MIDNIGHT_US = from_datetime(dt.datetime(2026, 8, 10, tzinfo=dt.UTC))


def trade(number: int, time_us: int, price: str = "1") -> bytes:
    return encoded_trade(PlainTrade("BTCUSDT", str(UUID(int=number)), time_us, 7, "Buy", price, "2.5", "0.1"))


def test_the_first_trade_of_an_id_stands_and_days_are_apart() -> None:
    piece = Piece(0, 10, 15)
    records = [
        *(trade(1, MIDNIGHT_US), trade(1, MIDNIGHT_US, price="2"), trade(2, MIDNIGHT_US - 1)),
        *(heartbeat_record(Heartbeat(MIDNIGHT_US, ("BTCUSDT",), 5, 0)), b"no record", None),
    ]
    for record in records:
        piece.add(record)
    days = {
        key: [(UUID(id_).int, str(kept.price)) for id_, kept in trades.items()] for key, trades in piece.trades.items()
    }
    assert days == {("BTCUSDT", dt.date(2026, 8, 10)): [(1, "1")], ("BTCUSDT", dt.date(2026, 8, 9)): [(2, "1")]}
    assert (piece.duplicates, piece.unreadable) == (1, 2)
