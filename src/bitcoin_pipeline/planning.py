"""The plan of a backfill: which days are listed and fetched, which batches load them, and what follows from answers.

Part of the core; any module may import it. The plan sends nothing and waits for nothing: the command and the DAGs pass
it the answers, and do what it returns.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bitcoin_pipeline.ingests import (
    BatchDays,
    Fetched,
    Recorded,
    SymbolDay,
    UnknownSymbolError,
    batch_days,
    missing_days,
)
from bitcoin_pipeline.listings import DayRequest, ListedFile, Listing, ListingRequest

CONCURRENT_FETCHES: Final = 48
"""Default of the calls of `fetch_archive` at a time: the pace of the exchange is reached with files that take 2.4 s."""

DAYS_PER_BATCH: Final = 1500
"""Default of the symbol-days of a batch: minutes of work for the smallest batch, beside a minute of start-up."""

FIRST_BATCH: Final = 120
"""Symbol-days of the first of several batches, so that the first candles come after two or three minutes.

It costs one more start-up of a batch, about two cents.
"""

LONGEST_PERIOD: Final = 500
"""Upper bound on the days from the first to the last of a batch.

BigQuery compares a statement's limit on billed bytes, 10 GiB, with an estimate for whole partitions, which have the
rows of all symbols (cloud.google.com/bigquery/docs/best-practices-costs): 500 days of 50 symbols are some 9.3 GiB, at
0.4 MB a symbol-day.
"""


class BackfillError(RuntimeError):
    """The backfill cannot go on; the message contains the reason."""


class Plan:
    """The days of a backfill in its batches, and the answers so far.

    `known`: the rows of `ingests`. `revised`: days that are settled are planned too, since their files may have
    changed. `again`: as well, and days that failed are computed again although their files have not changed.
    """

    def __init__(  # noqa: PLR0913  # one of each
        self,
        symbols: Sequence[str],
        start: dt.date,
        end: dt.date,
        known: Mapping[SymbolDay, Recorded],
        *,
        again: bool = False,
        revised: bool = False,
        size: int = DAYS_PER_BATCH,
    ) -> None:
        missing_of = {} if again or revised else known
        self.days: Final = [item for symbol in symbols for item in missing_days(symbol, start, end, missing_of)]
        self.batches: Final = in_batches(self.days, start, end, len(symbols), size)
        self.not_fetched: Final[dict[SymbolDay, str]] = {}
        """The reasons of days for which there is no answer."""
        self.answers: Final[dict[SymbolDay, Fetched]] = {}
        self._files: dict[SymbolDay, ListedFile] = {}
        self._known = known
        self._again = again

    def listings(self) -> list[ListingRequest]:
        """One request for each symbol, over its planned days."""
        of_symbol: dict[str, list[dt.date]] = {}
        for item in self.days:
            of_symbol.setdefault(item.symbol, []).append(item.day)
        return [ListingRequest(symbol, min(days), max(days)) for symbol, days in of_symbol.items()]

    def take_listing(self, request: ListingRequest, listing: Listing | None) -> None:
        """Take the answer to a request of `listings`. Raises UnknownSymbolError for None."""
        if listing is None:
            raise UnknownSymbolError(f"the exchange's archive has no symbol {request.symbol}")
        self.answers.update(listing.answers)
        self._files.update(listing.files)

    def to_fetch(self, batch: Sequence[SymbolDay]) -> list[DayRequest]:
        """The requests for the days of a batch that have no answer yet.

        A day that no listing contains, and one whose ETag is no md5, are fetched without a version.
        """
        return [
            DayRequest(item, file if (file := self._files.get(item)) and file.has_md5 else None)
            for item in batch
            if item not in self.answers
        ]

    def work_of(self, batch: Iterable[SymbolDay]) -> BatchDays:
        """What happens to the days of a batch that have an answer. Raises UnknownSymbolError."""
        answers = {item: self.answers[item] for item in batch if item in self.answers}
        return batch_days(answers, self._known, again=self._again)


def in_batches(
    items: Iterable[SymbolDay], start: dt.date, end: dt.date, symbols: int = 1, size: int = DAYS_PER_BATCH
) -> list[list[SymbolDay]]:
    """`items`, whose days are from `start` to `end`, in batches of consecutive days.

    The days are divided into periods of equal length, of at most `size` symbol-days for that number of `symbols` and at
    most LONGEST_PERIOD days, but at least of one day; where there are several, a short one is before them. A batch has
    the items of one period. So it spans few days, and the division does not depend on which days are done: a command
    that is repeated makes the same batches.
    """
    period = min(max(1, size // symbols), LONGEST_PERIOD)
    first = max(1, min(period, FIRST_BATCH // symbols)) if (end - start).days >= period else period
    batches: dict[int, list[SymbolDay]] = {}
    for item in items:
        day = (item.day - start).days
        batches.setdefault(0 if day < first else 1 + (day - first) // period, []).append(item)
    return [sorted(batches[number]) for number in sorted(batches)]
