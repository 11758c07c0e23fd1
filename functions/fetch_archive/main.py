"""The Cloud Function `fetch_archive`: brings one day of Bybit's archive, untouched, into the lake, once.

`POST {"symbol": "BTCUSDT", "date": "2020-03-25"}` answers 200 with a `FetchStatus` and, where a raw file lies in
the lake, its object, bytes, sha256, etag and generation (and the reason if it is corrupt). 400: the request is
wrong. 429 with Retry-After: the exchange bans this address. 503: try again later. 502: the exchange's answer is
not one that another try would change. An entry point; nobody imports it but its tests.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from xml.etree import ElementTree

import flask
import requests
import urllib3
from google.api_core import exceptions as lake_errors
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.archive import FileCheck
from bitcoin_pipeline.errors import FinalError, RetryableError
from bitcoin_pipeline.ingests import FetchStatus, SymbolDay, absent_status
from bitcoin_pipeline.settings import read_settings, setting, url_of, whole
from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import parse_day

USER_AGENT: Final = "bitcoin-pipeline/0.1 (fetch_archive)"
REQUESTS_PER_SECOND: Final = 20
"""Of one instance to the archive's host; 30 are safe and 40 to 50 are banned (README, "Bybit's files")."""
TIMEOUTS_S: Final = (10, 30)
"""To connect, and between two pieces of an answer."""
PAUSES_S: Final = (0.5, 1, 2)
"""Before the second, third and fourth try."""
PIECE: Final = 256 << 10
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


class BannedError(Exception):
    """The exchange refuses this address for the next `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds: Final = math.ceil(seconds)
        super().__init__(f"the exchange bans this address, ask again in {self.seconds} s")


@dataclass(frozen=True, slots=True)
class Version:
    """What the source says of a file; `md5` in hex where the ETag is known to be one."""

    etag: str
    size: int | None
    md5: str | None = None

    def is_in(self, blob: storage.Blob | None) -> bool:
        """True when `blob` was made from this version and is whole."""
        return blob is not None and bool(self.etag) and (self.etag, self.size) == (_etag_of(blob), blob.size)


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


class Exchange:
    """Bybit's public files over HTTP, at a pace that is not banned; safe to share between threads.

    Every method raises RetryableError when the exchange cannot be reached or fails, FinalError when its answer
    makes no sense, and BannedError, without asking, as long as a ban lasts.
    """

    def __init__(
        self,
        settings: Settings,
        session: requests.Session,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._archive_url = settings.archive_url.rstrip("/")
        self._listing_url = settings.listing_url
        self._ban_s = settings.ban_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._turn = threading.Lock()
        self._next_request = 0.0
        self._banned_until = -math.inf
        self._session = session
        # identity: the bytes of the file are wanted, not a rendering of them.
        session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})

    def listed(self, key: str) -> Version | None:
        """What the bucket's listing tells of a file, or None when it knows nothing or does not answer.

        The listing is a courtesy that adds the md5; the file itself says whether it exists. It is another host,
        which bans nobody and need not be spared.
        """
        self._refuse_while_banned()
        try:
            with closing(self._get(self._listing_url, {"prefix": key})) as response:
                response.raise_for_status()
                return _find_in_listing(response.content, key)
        except (requests.RequestException, ElementTree.ParseError, ValueError) as error:
            log("WARNING", "listing does not answer", key=key, reason=str(error))
            return None

    def open(self, key: str) -> requests.Response | None:
        """The answer whose body is the file, not read yet, or None when there is no such file."""
        self._wait_for_turn()
        try:
            response = self._get(f"{self._archive_url}/{key}")
        except requests.RequestException as error:
            raise RetryableError(f"the exchange cannot be reached: {error}") from error
        if response.status_code == 200:
            return response
        response.close()
        if response.status_code == 404:
            return None
        # A ban is a page for people; a plain refusal of the bucket would be XML.
        is_html = "html" in response.headers.get("Content-Type", "")
        if response.status_code == 429 or (response.status_code == 403 and is_html):
            raise self._ban(response.headers.get("Retry-After", ""))
        message = f"the exchange answers {response.status_code} for {key}"
        raise RetryableError(message) if response.status_code >= 500 else FinalError(message)

    def pieces(self, response: requests.Response) -> Iterator[bytes]:
        """The bytes of the body as they were sent."""
        try:
            yield from response.raw.stream(PIECE, decode_content=False)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise RetryableError(f"the download broke off: {error}") from error

    def _get(self, url: str, params: Mapping[str, str] | None = None) -> requests.Response:
        return self._session.get(url, params=params, stream=True, timeout=TIMEOUTS_S, allow_redirects=False)

    def _wait_for_turn(self) -> None:
        # Slept with the lock held: who waits behind must hear of a ban before asking.
        with self._turn:
            self._refuse_while_banned()
            now = self._monotonic()
            if now < self._next_request:
                self._sleep(self._next_request - now)
            self._next_request = max(now, self._next_request) + 1 / REQUESTS_PER_SECOND

    def _refuse_while_banned(self) -> None:
        left_s = self._banned_until - self._monotonic()
        if left_s > 0:
            raise BannedError(left_s)

    def _ban(self, retry_after: str) -> BannedError:
        seconds = float(retry_after) if re.fullmatch("[0-9]{1,4}", retry_after) else self._ban_s
        self._banned_until = self._monotonic() + seconds
        log("ERROR", "banned by the exchange", seconds=seconds)
        return BannedError(seconds)


def fetch(
    item: SymbolDay,
    today: dt.date,
    exchange: Exchange,
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


def _fetch_once(item: SymbolDay, today: dt.date, exchange: Exchange, lake: storage.Bucket) -> dict[str, Any]:
    key = names.archive_key(item.symbol, item.day)
    with _lake_may_fail():
        old = lake.get_blob(names.raw_object(item.symbol, item.day), retry=LAKE_RETRY)
    # A day that has not ended has no whole file, whatever the exchange may show.
    listed = exchange.listed(key) if item.day < today else None
    if listed and listed.is_in(old):
        return _answer(item, old)
    response = exchange.open(key) if item.day < today else None
    if response is None:
        if listed:
            raise RetryableError(f"{key} is listed, yet the exchange answers 404")
        return _answer(item, old) if old else _answer_absent(item, today, exchange)
    with closing(response):
        version = listed or _version_of(response.headers)
        if version.is_in(old):
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


def _answer_absent(item: SymbolDay, today: dt.date, exchange: Exchange) -> dict[str, Any]:
    folder = exchange.open(names.archive_folder(item.symbol))
    if folder is not None:
        folder.close()
    status = FetchStatus.UNKNOWN_SYMBOL if folder is None else absent_status(item.day, today)
    return {"symbol": item.symbol, "date": item.day.isoformat(), "status": status}


def _find_in_listing(document: bytes, key: str) -> Version | None:
    root = ElementTree.fromstring(document)  # noqa: S314  # our own exchange; expat itself bounds expansion
    for entry in root.iterfind("{*}Contents"):
        if entry.findtext("{*}Key") == key:
            etag = entry.findtext("{*}ETag", "").strip('"')
            # The ETag of a file that was uploaded in parts ends in -N and is no md5 of the file.
            md5 = etag.lower() if re.fullmatch("[0-9a-fA-F]{32}", etag) else None
            return Version(etag, int(entry.findtext("{*}Size", "")), md5)
    return None


def _version_of(headers: Mapping[str, str]) -> Version:
    size = headers.get("Content-Length", "")
    return Version(headers.get("ETag", "").removeprefix("W/").strip('"'), int(size) if size.isdecimal() else None)


def _etag_of(blob: storage.Blob) -> str:
    return str((blob.metadata or {}).get("etag", ""))


# Read when the server starts: a wrong setting stops the deployment and not the first call.
SETTINGS: Final[Settings] = read_settings(Settings, os.environ)
EXCHANGE: Final = Exchange(SETTINGS, requests.Session())
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
