"""Bybit's public archive over HTTP, at a rate below the exchange's limit.

Part of the adapters; wraps requests. Source of the rate and the ban: README, "Bybit's files".
"""

from __future__ import annotations

import datetime as dt
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Protocol
from xml.etree import ElementTree

import requests
import urllib3

from bitcoin_pipeline.errors import FinalError, RetryableError
from bitcoin_pipeline.names import archive_folder, archive_key
from bitcoin_pipeline.times import days

REQUESTS_PER_SECOND: Final = 20
"""Upper bound on the request rate of one instance to the archive's host; 30 are safe, 40 to 50 lead to a ban."""
TIMEOUTS_S: Final = (10, 30)
"""Time limits to connect, and between two pieces of a response."""
PIECE: Final = 256 << 10
"""Upper bound on the bytes of one piece of a file."""


KEYS_PER_PAGE: Final = 1000
"""Upper bound on the keys of one page of the bucket's listing, by S3's rules."""


class Log(Protocol):
    """A writer of log lines, such as `stdout.log`."""

    def __call__(self, severity: str, message: str, **fields: object) -> None:
        """Writes one event."""


class BannedError(Exception):
    """The exchange refuses requests from this address for the next `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds: Final = math.ceil(seconds)
        super().__init__(f"the exchange bans this address for another {self.seconds} s")


class ListingError(RetryableError):
    """The listing of the archive's bucket does not answer, so it is unknown whether the bucket has a file."""


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A version of a file at its source. `size`: bytes. `md5`: in hex, where the ETag is known to be one."""

    etag: str
    size: int | None
    md5: str | None = None


class BybitArchive:
    """Bybit's public files over HTTP; safe to share between threads.

    Every method raises RetryableError when the exchange is unreachable or fails, FinalError for a response that is not
    expected, and BannedError while a ban lasts, without a request. `ban_s`: duration of a ban whose response states
    none.
    """

    def __init__(  # noqa: PLR0913  # one of each
        self,
        archive_url: str,
        listing_url: str,
        ban_s: float,
        session: requests.Session,
        log: Log,
        *,
        user_agent: str,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._archive_url = archive_url.rstrip("/")
        self._listing_url = listing_url
        self._ban_s = ban_s
        self._log = log
        self._monotonic = monotonic
        self._sleep = sleep
        self._pace = threading.Lock()
        self._next_request = 0.0
        self._banned_until = -math.inf
        self._session = session
        # identity: the host must send the bytes of the file as they are stored.
        session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})

    def listed(self, key: str) -> FileVersion | None:
        """The version of a file by the bucket's listing, or None when the listing lacks it.

        The listing is on another host, without a rate limit. Raises ListingError when it does not answer or cannot be
        read.
        """
        keys, _ = self._page(prefix=key)
        return keys.get(key)

    def listed_days(self, symbol: str, start: dt.date, end: dt.date) -> dict[dt.date, FileVersion] | None:
        """The versions of a symbol's files of the days from `start` to `end`, both included, by the bucket's listing.

        None when the bucket has no file of the symbol at all. Raises ListingError as `listed` does.
        """
        folder = archive_folder(symbol)
        wanted = {archive_key(symbol, day): day for day in days(start, end)}
        last = archive_key(symbol, end)
        # A listing begins after its marker, which need not be a key: this one is before every file of the first day.
        marker = f"{folder}{symbol}{start.isoformat()}"
        found: dict[dt.date, FileVersion] = {}
        more = True
        while more and marker < last:
            most = min(KEYS_PER_PAGE, sum(key > marker for key in wanted))
            keys, more = self._page(**{"prefix": folder, "marker": marker, "max-keys": str(most)})
            found |= {wanted[key]: version for key, version in keys.items() if key in wanted}
            marker = max(keys, default=last)
        if found or self._page(**{"prefix": folder, "max-keys": "1"})[0]:
            return found
        return None

    def open(self, key: str) -> requests.Response | None:
        """The response whose body is the file, not read yet, or None when the file does not exist."""
        self._keep_pace()
        try:
            response = self._get(f"{self._archive_url}/{key}")
        except requests.RequestException as error:
            raise RetryableError(f"the exchange cannot be reached: {error}") from error
        if response.status_code == 200:
            return response
        response.close()
        if response.status_code == 404:
            return None
        # A ban is an HTML page; a refusal by the bucket itself is XML.
        is_html = "html" in response.headers.get("Content-Type", "")
        if response.status_code == 429 or (response.status_code == 403 and is_html):
            raise self._ban(response.headers.get("Retry-After", ""))
        message = f"the exchange answers {response.status_code} for {key}"
        raise RetryableError(message) if response.status_code >= 500 else FinalError(message)

    def pieces(self, response: requests.Response) -> Iterator[bytes]:
        """The bytes of the body as the host sent them."""
        try:
            yield from response.raw.stream(PIECE, decode_content=False)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise RetryableError(f"the download broke off: {error}") from error

    def _page(self, **parameters: str) -> tuple[dict[str, FileVersion], bool]:
        """The files of one page of the bucket's listing, and whether more follow. Raises ListingError."""
        self._refuse_while_banned()
        try:
            with closing(self._get(self._listing_url, parameters)) as response:
                response.raise_for_status()
                return _parse_page(response.content)
        except (requests.RequestException, ElementTree.ParseError, ValueError) as error:
            self._log("WARNING", "listing does not answer", prefix=parameters["prefix"], reason=str(error))
            raise ListingError(f"the listing does not answer: {error}") from error

    def _get(self, url: str, params: Mapping[str, str] | None = None) -> requests.Response:
        return self._session.get(url, params=params, stream=True, timeout=TIMEOUTS_S, allow_redirects=False)

    def _keep_pace(self) -> None:
        # The lock is held during the sleep, so that a waiting thread sees a ban before its request.
        with self._pace:
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
        self._log("ERROR", "banned by the exchange", seconds=seconds)
        return BannedError(seconds)


def version_of(headers: Mapping[str, str]) -> FileVersion:
    """The version of a file by the headers of the response that carries it."""
    size = headers.get("Content-Length", "")
    etag = headers.get("ETag", "").removeprefix("W/").strip('"')
    return FileVersion(etag, int(size) if size.isdecimal() else None)


def listed_version(etag: str, size: int) -> FileVersion:
    """The version of a file by its entry of the bucket's listing.

    The ETag of a file that was uploaded in parts ends in -N and is no md5 of the file.
    """
    return FileVersion(etag, size, etag.lower() if re.fullmatch("[0-9a-fA-F]{32}", etag) else None)


def _parse_page(document: bytes) -> tuple[dict[str, FileVersion], bool]:
    root = ElementTree.fromstring(document)  # noqa: S314  # expat bounds the expansion of entities
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise ValueError(f"a listing has the root element ListBucketResult, got {root.tag[:100]}")
    keys: dict[str, FileVersion] = {}
    for entry in root.iterfind("{*}Contents"):
        etag = entry.findtext("{*}ETag", "").strip('"')
        keys[entry.findtext("{*}Key", "")] = listed_version(etag, int(entry.findtext("{*}Size", "")))
    more = root.findtext("{*}IsTruncated", "") == "true"
    if more and not keys:
        raise ValueError("a page of a listing has no key, yet more follow")
    return keys, more
