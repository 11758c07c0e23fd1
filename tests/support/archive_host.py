"""Bybit's archive without a network: a host behind `requests` with a test's answers, and a clock for its sleeps."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

import requests
import urllib3

from bitcoin_pipeline.adapters.bybit_http import BybitArchive
from bitcoin_pipeline.adapters.stdout import log

HTML: Final = {"Content-Type": "text/html"}


class Clock:
    """A clock that advances only by `sleep`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Host(requests.adapters.BaseAdapter):
    """Answers every request with `answer(path)`: status, headers and body. `requested`: the time and path of each."""

    def __init__(self, clock: Clock, answer: Callable[[str], tuple[int, dict[str, str], bytes]]) -> None:
        super().__init__()
        self.clock = clock
        self.answer = answer
        self.requested: list[tuple[float, str]] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.requested.append((self.clock.now, request.path_url))
        status, headers, body = self.answer(request.path_url)
        response = requests.Response()
        response.status_code = status
        response.headers.update(headers)
        response.raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
        response.request, response.url = request, request.url or ""
        return response

    def close(self) -> None:
        pass


def archive_at(host: Host) -> BybitArchive:
    """The archive's client with its requests sent to `host`, its clock and its sleeps; a ban lasts 600 s."""
    session = requests.Session()
    session.mount("https://", host)
    return BybitArchive(
        "https://public.bybit.com",
        "https://s3.ap-southeast-1.amazonaws.com/public.bybit.com/",
        600,
        session,
        log,
        user_agent="test",
        monotonic=host.clock.monotonic,
        sleep=host.clock.sleep,
    )


def listing(etag: str, size: int) -> bytes:
    """A listing of the bucket with the file of BTCUSDT of 2020-03-25."""
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents>'
        "<Key>trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz</Key>"
        f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents></ListBucketResult>"
    ).encode()
