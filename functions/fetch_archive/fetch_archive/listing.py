"""The days of a symbol by the listings of the exchange's bucket and of the lake: what is there, and what is to fetch.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt

from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.bybit_http import BybitArchive
from bitcoin_pipeline.ingests import FetchStatus, SymbolDay, absent_status
from bitcoin_pipeline.listings import ListedFile, ListingRequest, listing_body
from bitcoin_pipeline.times import days
from fetch_archive.fetch import Answer, answer_of
from fetch_archive.lake import is_copy, raw_blobs


def list_days(request: ListingRequest, today: dt.date, exchange: BybitArchive, lake: storage.Bucket) -> Answer:
    """The answer for every day that needs no fetch, and the listed version of every file that the lake lacks.

    A day without a file at the exchange has the answer that `fetch` gives: that of its raw object if there is one, else
    `no_trades` or `not_published` by its age. Raises RetryableError, BannedError, and ListingError when the exchange's
    listing does not answer, so that no day is then without trades.
    """
    symbol = request.symbol
    listed = exchange.listed_days(symbol, request.start, request.end)
    stored = raw_blobs(lake, symbol, request.start, request.end)
    if listed is None and not stored:
        return {"symbol": symbol, "status": FetchStatus.UNKNOWN_SYMBOL}
    answers: list[Answer] = []
    files: dict[dt.date, ListedFile] = {}
    for day in days(request.start, request.end):
        item = SymbolDay(symbol, day)
        version = (listed or {}).get(day) if day < today else None
        blob = stored.get(names.raw_object(symbol, day))
        if version and not is_copy(blob, version):
            files[day] = ListedFile(version.etag, version.size or 0)
        elif blob:
            answers.append(answer_of(item, blob))
        else:
            answers.append({"symbol": symbol, "date": day.isoformat(), "status": absent_status(day, today)})
    return listing_body(symbol, answers, files)
