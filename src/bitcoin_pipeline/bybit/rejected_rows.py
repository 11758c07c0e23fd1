"""Rows of an archive file that are not trades: what they mean for a minute, for the day and for the whole file.

Part of the core; any module may import it. Pure functions, used by the core's reading and by the candles job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from bitcoin_pipeline.trade import Reason

_SAMPLE_LENGTH: Final = 200
# Such rows are read: their form is known, and no trade is missing because of them.
_READ: Final = frozenset({Reason.ZERO_SIZE, Reason.ID_WITH_OTHER_CONTENT})
# Rows of another symbol or another day are placed, although not in this file.
_WITHOUT_TIME: Final = frozenset({Reason.UNREADABLE_TIME, Reason.COLUMN_COUNT})


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is not a trade of this file's symbol and day.

    `row` counts the file's lines after the header from 0, blank lines left out. `minute_us` is the minute that the row
    makes partial, when its symbol and time can be read and belong to this file. `value`: the text that breaks the rule.
    """

    row: int
    reason: Reason
    text: str
    minute_us: int | None = None
    value: str = ""


@dataclass(frozen=True, slots=True)
class RejectionLimit:
    """How many rejected rows a file in a known form may have.

    A file of more than `rows` rows may have the share `share` of them. In a smaller file a share means little: it may
    have any number, as long as one row is a trade.
    """

    share: float = 0.01
    rows: int = 100


def unknown_form(rejected: Sequence[RejectedRow], rows: int, limit: RejectionLimit) -> str | None:
    """Why a file is in an unknown form, given its rejected rows and the number of all its rows; None if it is not.

    The text has the commonest reason with its first value and row: `3 of 3 rows: unknown_side: 'BUY', as in row 0:
    '...'`. Neither rows of size zero nor repeated ids count as rejected here.
    """
    bad = [item for item in rejected if item.reason not in _READ]
    too_many = rows > limit.rows and len(bad) > limit.share * rows
    if not bad or not (too_many or len(rejected) == rows):
        return None
    reason, count = Counter(item.reason for item in bad).most_common(1)[0]
    sample = next(item for item in bad if item.reason is reason)
    share = f"{len(bad)} of {rows} rows" + (f", {count} of them" if count < len(bad) else "")
    value, text = sample.value[:_SAMPLE_LENGTH], sample.text[:_SAMPLE_LENGTH]
    return f"{share}: {reason}: {value!r}, as in row {sample.row}: {text!r}"


def partial_minutes(rejected: Sequence[RejectedRow]) -> set[int]:
    """The open times (us) of the minutes that lack a rejected row."""
    return {item.minute_us for item in rejected if item.minute_us is not None}


def lost_minutes(rejected: Sequence[RejectedRow], with_trades: Collection[int]) -> dict[int, Reason]:
    """The minutes that lack all of their rows, by open time (us), with the reason of the first.

    `with_trades`: the open times (us) of the minutes that have a candle. A reader of candles cannot distinguish a lost
    minute from one without trades, so each of them is a row of the table `gaps`.
    """
    lost: dict[int, Reason] = {}
    for item in rejected:
        if item.minute_us is not None and item.minute_us not in with_trades:
            lost.setdefault(item.minute_us, item.reason)
    return dict(sorted(lost.items()))


def count_zero_size(rejected: Sequence[RejectedRow]) -> int:
    """The number of matches that are smaller than the file's decimals."""
    return sum(item.reason is Reason.ZERO_SIZE for item in rejected)


def count_unplaced(rejected: Sequence[RejectedRow]) -> int:
    """The number of rows whose minute is unknown, so that any minute of the day may lack them."""
    return sum(item.minute_us is None and item.reason in _WITHOUT_TIME for item in rejected)
