"""Live trades as Parquet: the columns by value, the exchange's flags among them."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from archive_live.parquet import trades_parquet
from bitcoin_pipeline.adapters.arrow import table_schema
from bitcoin_pipeline.times import to_datetime
from bitcoin_pipeline.trade import TakerSide, Trade

TIME_US = 1_786_310_819_680_000


def trade(number: int, block_trade: bool | None, rpi: bool | None) -> Trade:
    one = Decimal(1)
    trade_id = str(UUID(int=number))
    return Trade("BTCUSDT", trade_id, TIME_US, one, one, TakerSide.BUY, one, (7, one, trade_id), block_trade, rpi)


def test_the_flags_are_columns() -> None:
    content = trades_parquet([trade(1, True, None), trade(2, False, True), trade(3, None, False)])
    table = pq.read_table(pa.BufferReader(content))
    assert table.schema.equals(table_schema("lake.trades_live"))
    assert table.slice(0, 1).to_pylist() == [
        {
            "time": to_datetime(TIME_US),
            "price": Decimal(1),
            "size": Decimal(1),
            "side": "Buy",
            "id": UUID(int=1).bytes,
            "match_order": 0,
            "block_trade": True,
            "rpi": None,
            "seq": 7,
        }
    ]
    assert table["block_trade"].to_pylist() == [True, False, None]
    assert table["rpi"].to_pylist() == [None, True, False]
