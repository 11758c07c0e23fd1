"""Columns that grow, and trades that are picked in the same memory."""

from __future__ import annotations

import numpy as np
import pytest

from candles_batch.columns import Columns, GrowingColumns


def part(*times: int, price: int = 7) -> Columns:
    """Trades whose values follow from their times."""
    time_us = np.array(times, np.int64)
    prices = np.full(len(times), price) if price < 1 << 63 else np.array([price] * len(times), object)
    ids = b"".join(time.to_bytes(16, "big") for time in times)
    return Columns(
        time_us, prices, time_us * 3, time_us % 2 == 0, np.frombuffer(ids, "V16"), (time_us % 3 - 1).astype(np.int8)
    )


def assert_are(found: Columns, *times: int) -> None:
    expected = part(*times)
    assert found.time_us.tolist() == list(times)
    assert found.size.tolist() == expected.size.tolist()
    assert found.bought.tolist() == expected.bought.tolist()
    assert found.trade_id.tobytes() == expected.trade_id.tobytes()
    assert found.rpi.tolist() == expected.rpi.tolist()


@pytest.mark.parametrize("capacity", [1, 2, 3, 8, 100])
def test_parts_of_any_size_are_joined_in_order(capacity: int) -> None:
    trades = GrowingColumns(capacity)
    for times in ((5,), (), (1, 2, 3), (9, 8, 7, 6)):
        trades.add(part(*times))
    assert_are(trades.columns(), 5, 1, 2, 3, 9, 8, 7, 6)
    assert len(GrowingColumns().columns()) == 0


@pytest.mark.parametrize("capacity", [1, 100])
def test_a_price_wider_than_64_bits_stays_exact(capacity: int) -> None:
    wide = 123456789012345678123456789
    trades = GrowingColumns(capacity)
    for price in (7, wide, (1 << 63) - 1):
        trades.add(part(1, 2, price=price))
    assert trades.columns().price.tolist() == [7, 7, wide, wide, (1 << 63) - 1, (1 << 63) - 1]
    assert {type(price) for price in trades.columns().price.tolist()} == {int}


def growing(*times: int) -> Columns:
    trades = GrowingColumns(8)
    trades.add(part(*times))
    return trades.columns()


def test_trades_are_picked_by_position_or_mask_in_any_direction() -> None:
    assert_are(growing(4, 5, 6).picked(np.array([2, 0, 1])), 6, 4, 5)
    assert_are(growing(4, 5, 6).picked(np.array([True, False, True])), 4, 6)
    newest_first = growing(4, 5, 6).at(slice(None, None, -1))
    assert_are(newest_first.picked(np.array([False, True, True])), 5, 4)
