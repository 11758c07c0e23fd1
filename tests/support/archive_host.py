"""Bybit's archive behind `requests`, without a network: a host that answers as a test says, and a clock to sleep on."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

import requests
import urllib3

HTML: Final = {"Content-Type": "text/html"}


class Clock:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Host(requests.adapters.BaseAdapter):
    """Answers every request by `answer(path)`: status, headers and body. `asked` has the paths and the times."""

    def __init__(self, clock: Clock, answer: Callable[[str], tuple[int, dict[str, str], bytes]]) -> None:
        super().__init__()
        self.clock = clock
        self.answer = answer
        self.asked: list[tuple[float, str]] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.asked.append((self.clock.now, request.path_url))
        status, headers, body = self.answer(request.path_url)
        response = requests.Response()
        response.status_code = status
        response.headers.update(headers)
        response.raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
        response.request, response.url = request, request.url or ""
        return response

    def close(self) -> None:
        pass


def listing(etag: str, size: int) -> bytes:
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents>'
        "<Key>trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz</Key>"
        f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents></ListBucketResult>"
    ).encode()
