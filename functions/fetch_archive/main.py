"""The Cloud Function `fetch_archive`: brings one day of Bybit's archive, untouched, into the lake, once.

`POST {"symbol": "BTCUSDT", "date": "2020-03-25"}` answers 200 with a `FetchStatus` and, where a raw file lies in
the lake, its object, bytes, sha256, etag and generation (and the reason if it is corrupt). 400: the request is
wrong. 429 with Retry-After: the exchange bans this address. 503: try again later. 502: the exchange's answer is
not one that another try would change. An entry point; nobody imports it but its tests.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import flask
import requests
from google.api_core import exceptions as lake_errors
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.bybit_http import BannedError, BybitArchive, Version, version_of
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.bybit.archive import FileCheck
from bitcoin_pipeline.errors import FinalError, RetryableError
from bitcoin_pipeline.ingests import FetchStatus, SymbolDay, absent_status
from bitcoin_pipeline.settings import read_settings, setting, url_of, whole
from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import parse_day

USER_AGENT: Final = "bitcoin-pipeline/0.1 (fetch_archive)"
PAUSES_S: Final = (0.5, 1, 2)
"""Before the second, third and fourth try."""
UPLOAD_CHUNK: Final = 4 << 20
"""What one call holds in memory; a multiple of 256 KiB."""
LAKE_RETRY: Final = DEFAULT_RETRY.with_timeout(30)
MAX_REQUEST: Final = 4096

_HTTP: Final = url_of("https", "http")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment decides."""

    lake: str = setting("PIPELINE_LAKE", "the bucket that holds raw/")
    archive_url: str = setting("BYBIT_ARCHIVE_URL", "where the archive's files are", _HTTP, "https://public.bybit.com")
    listing_url: str = setting(
        "BYBIT_LISTING_URL",
        "where the archive's bucket is listed",
        _HTTP,
        "https://s3.ap-southeast-1.amazonaws.com/public.bybit.com/",
    )
    ban_s: int = setting(
        "BYBIT_BAN_SECONDS", "how long a ban lasts, 5 to 10 minutes were seen", whole("seconds", 9999), 600
    )


class BadRequestError(ValueError):
    """The caller asked for something that cannot be; the message names what."""


def parse_request(body: bytes) -> SymbolDay:
    """The symbol and day in a request's body. Raises BadRequestError."""
    if len(body) > MAX_REQUEST:
        raise BadRequestError(f"the body must be at most {MAX_REQUEST} bytes")
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError('the body must be JSON such as {"symbol": "BTCUSDT", "date": "2020-03-25"}') from None
    if not isinstance(request, dict):
        raise BadRequestError(f"the body must be a JSON object, got {body[:100].decode('utf-8', 'replace')}")
    faults = [f"{name} is missing" for name in ("symbol", "date") if name not in request]
    faults += [f"{name[:100]!r} is not known" for name in request if name not in ("symbol", "date")]
    values: dict[str, Any] = {}
    parsers: dict[str, Callable[[str], Any]] = {"symbol": parse_symbol, "date": parse_day}
    for name, parse in parsers.items():
        value = request.get(name, "")
        if not isinstance(value, str):
            faults.append(f"{name} must be a string, got {json.dumps(value)[:100]}")
        elif name in request:
            try:
                values[name] = parse(value)
            except ValueError as error:
                faults.append(f"{name}: {error}")
    if faults:
        raise BadRequestError("; ".join(faults))
    return SymbolDay(values["symbol"], values["date"])


def fetch(
    item: SymbolDay,
    today: dt.date,
    exchange: BybitArchive,
    lake: storage.Bucket,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """The answer for one symbol and day, after bounded retries.

    Raises RetryableError when the last try failed too, FinalError, and BannedError.
    """
    for pause_s in PAUSES_S:
        try:
            return _fetch_once(item, today, exchange, lake)
        except RetryableError as error:
            log("WARNING", "try failed", symbol=item.symbol, date=item.day.isoformat(), reason=str(error))
            sleep(pause_s)
    return _fetch_once(item, today, exchange, lake)


def _fetch_once(item: SymbolDay, today: dt.date, exchange: BybitArchive, lake: storage.Bucket) -> dict[str, Any]:
    key = names.archive_key(item.symbol, item.day)
    with _lake_may_fail():
        old = lake.get_blob(names.raw_object(item.symbol, item.day), retry=LAKE_RETRY)
    # A day that has not ended has no whole file, whatever the exchange may show.
    listed = exchange.listed(key) if item.day < today else None
    if listed and _is_copy(old, listed):
        return _answer(item, old)
    response = exchange.open(key) if item.day < today else None
    if response is None:
        if listed:
            raise RetryableError(f"{key} is listed, yet the exchange answers 404")
        return _answer(item, old) if old else _answer_absent(item, today, exchange)
    with closing(response):
        version = listed or version_of(response.headers)
        if _is_copy(old, version):
            return _answer(item, old)
        staged = lake.blob(names.staging_object(uuid.uuid4().hex, names.archive_file(item.symbol, item.day)))
        metadata = _stage(exchange.pieces(response), version, staged)
    try:
        blob = _publish(staged, names.raw_object(item.symbol, item.day), metadata, old)
    finally:
        _discard(staged)
    log("INFO", "file stored", symbol=item.symbol, date=item.day.isoformat(), bytes=blob.size, **metadata)
    return _answer(item, blob, is_new=True)


def _stage(pieces: Iterator[bytes], version: Version, staged: storage.Blob) -> dict[str, str]:
    """Write the file to `staged`, verified, and return the metadata of the raw object.

    Raises RetryableError, and leaves no object, unless the bytes are those of the source.
    """
    check = FileCheck()
    # The writer finishes the object on a normal exit only, so the verdict is reached inside.
    with (
        _lake_may_fail(),
        staged.open(
            "wb", chunk_size=UPLOAD_CHUNK, content_type="application/gzip", ignore_flush=True, retry=LAKE_RETRY
        ) as sink,
    ):
        for piece in pieces:
            check.feed(piece)
            sink.write(piece)
        if version.size is not None and check.size != version.size:
            raise RetryableError(f"got {check.size} bytes, the source has {version.size}")
        if version.md5 is not None and check.md5 != version.md5:
            raise RetryableError(f"got bytes with md5 {check.md5}, the source has {version.md5}")
        problem = check.problem()
        if problem and version.md5 is None:
            raise RetryableError(f"{problem}; no md5 tells whether the source is broken or the way here")
    status = FetchStatus.CORRUPT if problem else FetchStatus.STORED if check.has_rows else FetchStatus.NO_TRADES
    metadata = {"sha256": check.sha256, "etag": version.etag, "status": str(status)}
    return {**metadata, "reason": problem} if problem else metadata


def _publish(staged: storage.Blob, name: str, metadata: Mapping[str, str], old: storage.Blob | None) -> storage.Blob:
    """Make `staged` the raw object in one step. Raises RetryableError when another call has replaced `old` already."""
    blob = staged.bucket.blob(name)
    blob.metadata = dict(metadata)
    # No Content-Encoding: with it the lake would decompress the file for some readers.
    blob.content_type = "application/gzip"
    token, generation = None, old.generation if old else 0
    with _lake_may_fail():
        while True:
            token, *_ = blob.rewrite(staged, token=token, if_generation_match=generation, retry=LAKE_RETRY)
            if token is None:
                return blob


def _discard(staged: storage.Blob) -> None:
    try:
        staged.delete(retry=LAKE_RETRY)
    except (lake_errors.GoogleAPIError, requests.RequestException) as error:
        # The raw object is what counts; the bucket's lifecycle rule takes what is left in staging/.
        log("WARNING", "staging object stays", object=staged.name, reason=str(error))


@contextmanager
def _lake_may_fail() -> Iterator[None]:
    """Turns what the storage client raises for passing troubles, after its own retries, into RetryableError."""
    try:
        yield
    except (
        lake_errors.PreconditionFailed,  # another call was first: look again
        lake_errors.RetryError,
        lake_errors.ServerError,
        lake_errors.TooManyRequests,
        DataCorruption,
        requests.RequestException,
    ) as error:
        raise RetryableError(f"the lake failed: {error}") from error
    except InvalidResponse as error:
        # 404 and 410: the lake has forgotten the upload, which has to begin anew.
        status = error.response.status_code
        if status in (404, 410, 429) or status >= 500:
            raise RetryableError(f"the lake answers {status} to an upload") from error
        raise


def _answer(item: SymbolDay, blob: storage.Blob, is_new: bool = False) -> dict[str, Any]:
    """The answer for a day whose raw object is `blob`."""
    metadata = blob.metadata or {}
    status = FetchStatus(metadata.get("status", FetchStatus.STORED))
    if status is FetchStatus.STORED and not is_new:
        status = FetchStatus.UNCHANGED
    answer: dict[str, Any] = {"symbol": item.symbol, "date": item.day.isoformat(), "status": status}
    if status.landed:
        answer |= {
            "object": blob.name,
            "bytes": blob.size,
            "sha256": metadata.get("sha256"),
            "etag": _etag_of(blob),
            "generation": blob.generation,
        }
    if status is FetchStatus.CORRUPT:
        answer["reason"] = metadata.get("reason")
    return answer


def _answer_absent(item: SymbolDay, today: dt.date, exchange: BybitArchive) -> dict[str, Any]:
    folder = exchange.open(names.archive_folder(item.symbol))
    if folder is not None:
        folder.close()
    status = FetchStatus.UNKNOWN_SYMBOL if folder is None else absent_status(item.day, today)
    return {"symbol": item.symbol, "date": item.day.isoformat(), "status": status}


def _is_copy(blob: storage.Blob | None, version: Version) -> bool:
    """True when `blob` was made from this version of the source and is whole."""
    return blob is not None and bool(version.etag) and (version.etag, version.size) == (_etag_of(blob), blob.size)


def _etag_of(blob: storage.Blob) -> str:
    return str((blob.metadata or {}).get("etag", ""))


# Read when the server starts: a wrong setting stops the deployment and not the first call.
SETTINGS: Final[Settings] = read_settings(Settings, os.environ)
EXCHANGE: Final = BybitArchive(
    SETTINGS.archive_url, SETTINGS.listing_url, SETTINGS.ban_s, requests.Session(), log, user_agent=USER_AGENT
)
"""One for all calls of an instance: they share the pace and a ban."""


@cache
def _lake() -> storage.Bucket:
    return storage.Client().bucket(SETTINGS.lake)


def fetch_archive(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """The function's entry point."""
    if request.method != "POST":
        return {"error": f"the method must be POST, got {request.method}"}, 405, {"Allow": "POST"}
    try:
        item = parse_request(request.stream.read(MAX_REQUEST + 1))
        return fetch(item, dt.datetime.now(dt.UTC).date(), EXCHANGE, _lake())
    except BadRequestError as error:
        return {"error": str(error)}, 400
    except BannedError as error:
        return {"error": str(error)}, 429, {"Retry-After": str(error.seconds)}
    except (RetryableError, FinalError) as error:
        log("ERROR", "fetch failed", symbol=item.symbol, date=item.day.isoformat(), reason=str(error))
        return {"error": str(error)}, 503 if isinstance(error, RetryableError) else 502
