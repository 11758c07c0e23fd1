"""Bybit's public archive over HTTP, at a pace that is not banned.

Part of the adapters; wraps requests. Source of the pace and the ban: README, "Bybit's files".
"""

from __future__ import annotations

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

REQUESTS_PER_SECOND: Final = 20
"""Of one instance to the archive's host; 30 are safe and 40 to 50 are banned."""
TIMEOUTS_S: Final = (10, 30)
"""To connect, and between two pieces of an answer."""
PIECE: Final = 256 << 10


class Log(Protocol):
    """A writer of log lines, such as `stdout.log`."""

    def __call__(self, severity: str, message: str, **fields: object) -> None:
        """Write one event."""


class BannedError(Exception):
    """The exchange refuses this address for the next `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds: Final = math.ceil(seconds)
        super().__init__(f"the exchange bans this address, ask again in {self.seconds} s")


@dataclass(frozen=True, slots=True)
class Version:
    """What the source says of a file; `md5` in hex where the ETag is known to be one, `size` in bytes."""

    etag: str
    size: int | None
    md5: str | None = None


class BybitArchive:
    """Bybit's public files over HTTP; safe to share between threads.

    Every method raises RetryableError when the exchange cannot be reached or fails, FinalError when its answer
    makes no sense, and BannedError, without a request, as long as a ban lasts. `ban_s`: how long a ban lasts that does
    not say so itself.
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
        self._turn = threading.Lock()
        self._next_request = 0.0
        self._banned_until = -math.inf
        self._session = session
        # identity: the bytes of the file are wanted, not a rendering of them.
        session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})

    def listed(self, key: str) -> Version | None:
        """What the bucket's listing says of a file, or None when it lacks the file or does not answer.

        The listing is a courtesy that adds the md5; the file itself says whether it exists. It is another host,
        which bans nobody and need not be spared.
        """
        self._refuse_while_banned()
        try:
            with closing(self._get(self._listing_url, {"prefix": key})) as response:
                response.raise_for_status()
                return _find_in_listing(response.content, key)
        except (requests.RequestException, ElementTree.ParseError, ValueError) as error:
            self._log("WARNING", "listing does not answer", key=key, reason=str(error))
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
        # Slept with the lock held: a thread that waits behind must learn of a ban before its request.
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
        self._log("ERROR", "banned by the exchange", seconds=seconds)
        return BannedError(seconds)


def version_of(headers: Mapping[str, str]) -> Version:
    """What the headers of an answer with a file say of it."""
    size = headers.get("Content-Length", "")
    return Version(headers.get("ETag", "").removeprefix("W/").strip('"'), int(size) if size.isdecimal() else None)


def _find_in_listing(document: bytes, key: str) -> Version | None:
    root = ElementTree.fromstring(document)  # noqa: S314  # our own exchange; expat itself bounds expansion
    for entry in root.iterfind("{*}Contents"):
        if entry.findtext("{*}Key") == key:
            etag = entry.findtext("{*}ETag", "").strip('"')
            # The ETag of a file that was uploaded in parts ends in -N and is no md5 of the file.
            md5 = etag.lower() if re.fullmatch("[0-9a-fA-F]{32}", etag) else None
            return Version(etag, int(entry.findtext("{*}Size", "")), md5)
    return None
