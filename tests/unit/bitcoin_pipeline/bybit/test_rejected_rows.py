"""Rejected rows: when a file is in an unknown form, which minutes lack rows, and what is counted apart."""

from __future__ import annotations

import pytest

from bitcoin_pipeline.bybit.rejected_rows import (
    RejectedRow,
    RejectionLimit,
    count_unplaced,
    count_zero_size,
    lost_minutes,
    partial_minutes,
    unknown_form,
)
from bitcoin_pipeline.trade import Reason

MINUTE = 60_000_000


def bad(number: int, reason: Reason = Reason.UNKNOWN_SIDE) -> list[RejectedRow]:
    return [RejectedRow(row, reason, f"text {row}", value=f"value {row}") for row in range(number)]


@pytest.mark.parametrize(
    ("rejected", "rows", "is_unknown"),
    [
        (0, 0, False),
        (0, 5, False),
        (1, 1, True),
        (99, 100, False),  # a share means little in a small file
        (100, 100, True),
        (1, 101, False),
        (2, 101, True),
        (10_000, 1_000_000, False),
        (10_001, 1_000_000, True),
    ],
)
def test_a_form_is_unknown_when_all_rows_or_a_small_share_of_many_are_rejected(
    rejected: int, rows: int, *, is_unknown: bool
) -> None:
    assert (unknown_form(bad(rejected), rows, RejectionLimit()) is not None) is is_unknown


def test_the_limit_is_a_setting() -> None:
    assert unknown_form(bad(50), 100, RejectionLimit(share=0.5, rows=10)) is None
    assert unknown_form(bad(51), 100, RejectionLimit(share=0.5, rows=10)) is not None
    assert unknown_form(bad(50), 100, RejectionLimit(share=1)) is None


def test_the_reason_has_a_sample() -> None:
    assert unknown_form(bad(3), 3, RejectionLimit()) == "3 of 3 rows: unknown_side: 'value 0', as in row 0: 'text 0'"


def test_the_commonest_reason_is_the_one_given() -> None:
    rejected = [RejectedRow(9, Reason.OTHER_DAY, "a", value="b"), *bad(2)]
    assert unknown_form(rejected, 101, RejectionLimit()) == (
        "3 of 101 rows, 2 of them: unknown_side: 'value 0', as in row 0: 'text 0'"
    )


def test_a_sample_does_not_carry_a_whole_file() -> None:
    reason = unknown_form([RejectedRow(0, Reason.COLUMN_COUNT, "x" * 10**6, value="y" * 10**6)], 1, RejectionLimit())
    assert len(reason or "") < 500


@pytest.mark.parametrize("reason", [Reason.ZERO_SIZE, Reason.ID_WITH_OTHER_CONTENT])
def test_rows_in_a_known_form_do_not_count(reason: Reason) -> None:
    assert unknown_form(bad(101, reason), 101, RejectionLimit()) is None
    # A file without one trade is in an unknown form as soon as one row is.
    assert unknown_form([*bad(2, reason), *bad(1)], 3, RejectionLimit()) is not None


def test_minutes_that_lack_rows() -> None:
    rejected = [
        RejectedRow(0, Reason.UNKNOWN_SIDE, "", 2 * MINUTE),
        RejectedRow(1, Reason.UNREADABLE_SIZE, "", MINUTE),
        RejectedRow(2, Reason.UNREADABLE_PRICE, "", 2 * MINUTE),
        RejectedRow(3, Reason.UNREADABLE_PRICE, "", 0),
        RejectedRow(4, Reason.OTHER_DAY, ""),
    ]
    assert partial_minutes(rejected) == {0, MINUTE, 2 * MINUTE}
    assert list(lost_minutes(rejected, {0}).items()) == [
        (MINUTE, Reason.UNREADABLE_SIZE),
        (2 * MINUTE, Reason.UNKNOWN_SIDE),
    ]


def test_what_is_counted_apart() -> None:
    rejected = [
        RejectedRow(0, Reason.ZERO_SIZE, ""),
        RejectedRow(1, Reason.UNREADABLE_TIME, ""),
        RejectedRow(2, Reason.COLUMN_COUNT, ""),
        RejectedRow(3, Reason.COLUMN_COUNT, "", MINUTE),
        RejectedRow(4, Reason.OTHER_DAY, ""),  # its time is known
        RejectedRow(5, Reason.OTHER_SYMBOL, ""),
    ]
    assert (count_zero_size(rejected), count_unplaced(rejected)) == (1, 2)
