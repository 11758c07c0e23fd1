"""Klines of the websocket: what they carry, and that they are the sums of real trades."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bitcoin_pipeline.bybit.frames import MessageError
from bitcoin_pipeline.bybit.klines import Kline, parse_kline_frame

ITEM = {"start": 1786310760000, "volume": "3.712", "turnover": "241712.1394", "confirm": True}


def frame(*items: Any) -> dict[str, Any]:
    return {"topic": "kline.1.BTCUSDT", "data": list(items)}


def test_a_frame_may_hold_the_closed_minute_and_the_next_one() -> None:
    following = {"start": 1786310820000, "volume": "0", "turnover": "0", "confirm": False}
    assert parse_kline_frame(frame(ITEM, following)) == [
        Kline("BTCUSDT", 1786310760000000, 3712000000, 241712139400000, is_closed=True),
        Kline("BTCUSDT", 1786310820000000, 0, 0, is_closed=False),
    ]


@pytest.mark.parametrize(
    "item",
    [
        None,
        {},
        {**ITEM, "confirm": 1},
        {**ITEM, "start": 1786310760001},
        {**ITEM, "start": "1786310760000"},
        {**ITEM, "start": 0},
        {**ITEM, "volume": 3.7},
        {**ITEM, "volume": "-1"},
        {**ITEM, "volume": "1e999"},
        {**ITEM, "turnover": "0.0000000001"},
    ],
)
def test_what_is_no_kline(item: Any) -> None:
    with pytest.raises(MessageError, match="kline"):
        parse_kline_frame(frame(item))


def test_data_is_a_list() -> None:
    with pytest.raises(MessageError, match="list of klines"):
        parse_kline_frame(json.loads('{"topic":"kline.1.BTCUSDT","data":7}'))
