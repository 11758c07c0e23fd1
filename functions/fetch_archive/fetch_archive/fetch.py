"""One symbol-day is fetched, with retries: from the exchange's archive to the raw object and the answer.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, Final

from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.bybit_http import BybitArchive, FileVersion, ListingError, listed_version, version_of
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.ingests import FetchStatus, SymbolDay, absent_status
from bitcoin_pipeline.listings import ListedFile
from fetch_archive.lake import Buckets, discard, etag_of, is_copy, publish, raw_blob, stage

PAUSES_S: Final = (0.5, 1, 2)
"""Pauses before the second, third and fourth try."""

BUDGET_S: Final = schemas.function_timeout_s("fetch_archive") - 120
"""Seconds after which a call begins no further try and breaks a download off. The rest of the function's time limit is
for the requests that are under way: none of them may take longer than a minute."""

Answer = dict[str, Any]
"""The body of the response."""


def fetch(  # noqa: PLR0913, PLR0917  # one of each
    item: SymbolDay,
    today: dt.date,
    exchange: BybitArchive,
    buckets: Buckets,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    *,
    file: ListedFile | None = None,
) -> Answer:
    """The answer for one symbol and day, after at most four tries within BUDGET_S.

    `file`: the version of the file by a listing that the caller has read. Then there is one try, which sends at most
    one request to the archive's host, so that a caller can pace the requests of all instances. Raises RetryableError
    when the last try fails, and FinalError and BannedError at once.
    """
    left_s = partial(_left_s, monotonic() + BUDGET_S, monotonic)
    expected = listed_version(file.etag, file.size) if file else None
    for pause_s in () if expected else PAUSES_S:
        try:
            return _fetch_once(item, today, exchange, buckets, left_s, expected)
        except RetryableError as error:
            if left_s() <= pause_s:
                raise
            log("WARNING", "try failed", symbol=item.symbol, date=item.day.isoformat(), reason=str(error))
            sleep(pause_s)
    return _fetch_once(item, today, exchange, buckets, left_s, expected)


def _left_s(deadline: float, monotonic: Callable[[], float]) -> float:
    return deadline - monotonic()


def _in_time(pieces: Iterable[bytes], left_s: Callable[[], float]) -> Iterator[bytes]:
    """The pieces, as long as there is time left. A host that sends a byte now and then keeps to every other limit."""
    for piece in pieces:
        if left_s() <= 0:
            raise RetryableError(f"the download takes longer than {BUDGET_S} s")
        yield piece


def _fetch_once(  # noqa: PLR0913, PLR0917  # one of each
    item: SymbolDay,
    today: dt.date,
    exchange: BybitArchive,
    buckets: Buckets,
    left_s: Callable[[], float],
    expected: FileVersion | None = None,
) -> Answer:
    key = names.archive_key(item.symbol, item.day)
    old = raw_blob(buckets.lake, item)
    if item.day >= today:
        # The file of a day that has not ended is not complete, even if the exchange shows one.
        return answer_of(item, old) if old else _answer_absent(item, today, exchange)
    listed, no_listing = (expected, None) if expected else _listed(exchange, key)
    if listed and is_copy(old, listed):
        return answer_of(item, old)
    response = exchange.open(key)
    if response is None:
        if expected:
            raise RetryableError(f"the exchange answers 404 for {key}, which the request's version says it has")
        if listed:
            raise RetryableError(f"{key} is listed, yet the exchange answers 404")
        if old:
            return answer_of(item, old)
        if no_listing:
            raise RetryableError(f"the exchange answers 404 for {key}, and {no_listing}") from no_listing
        return _answer_absent(item, today, exchange)
    with closing(response):
        served = version_of(response.headers)
        if expected and (served.etag, served.size) != (expected.etag, expected.size):
            # A caller's version is used only where the exchange's own response has the same, so that neither a wrong
            # one nor one that is out of date can decide which bytes are good.
            listed, _ = _listed(exchange, key)
        version = listed or served
        if is_copy(old, version):
            return answer_of(item, old)
        staged = buckets.staging.blob(names.staging_object(uuid.uuid4().hex, names.archive_file(item.symbol, item.day)))
        metadata = stage(_in_time(exchange.pieces(response), left_s), version, staged)
    try:
        raw = buckets.lake.blob(names.raw_object(item.symbol, item.day))
        blob = publish(staged, raw, metadata, old)
    finally:
        discard(staged)
    log("INFO", "file stored", symbol=item.symbol, date=item.day.isoformat(), bytes=blob.size, **metadata)
    return answer_of(item, blob, is_new=True)


def _listed(exchange: BybitArchive, key: str) -> tuple[FileVersion | None, ListingError | None]:
    """The version of a file by the listing, or the error of a listing that does not answer.

    The file itself is then enough, if there is one.
    """
    try:
        return exchange.listed(key), None
    except ListingError as error:
        return None, error


def answer_of(item: SymbolDay, blob: storage.Blob, is_new: bool = False) -> Answer:
    """The answer for a day whose raw object is `blob`."""
    metadata = blob.metadata or {}
    status = FetchStatus(metadata.get("status", FetchStatus.STORED))
    if status is FetchStatus.STORED and not is_new:
        status = FetchStatus.UNCHANGED
    answer: Answer = {"symbol": item.symbol, "date": item.day.isoformat(), "status": status}
    if status.landed:
        answer |= {
            "object": blob.name,
            "bytes": blob.size,
            "sha256": metadata.get("sha256"),
            "etag": etag_of(blob),
            "generation": blob.generation,
        }
    if status is FetchStatus.CORRUPT:
        answer["reason"] = metadata.get("reason")
    return answer


def _answer_absent(item: SymbolDay, today: dt.date, exchange: BybitArchive) -> Answer:
    """The answer for a day that has a file neither in the lake nor, by its listing and its host, at the exchange."""
    folder = exchange.open(names.archive_folder(item.symbol))
    if folder is not None:
        folder.close()
    status = FetchStatus.UNKNOWN_SYMBOL if folder is None else absent_status(item.day, today)
    return {"symbol": item.symbol, "date": item.day.isoformat(), "status": status}
