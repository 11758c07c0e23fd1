"""Shared by the parts of `make bench-dashboard`: filled stores, a market that writes to them, pages under measure."""

from __future__ import annotations

import random
import select
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.times import DAY_US, MINUTE_US, SECOND_US, floor_us
from local.waiting import wait_for
from tests.support.dashboard import Stores, minute

UPDATES_PER_SECOND: Final = 5
"""Mean rate of commits to Postgres, each with a trade in the topic; the page of the usual shape polls as often."""
LIVE_MINUTES: Final = 1500
VIEWPORT: Final[Any] = {"width": 1360, "height": 760}


class Market(threading.Thread):
    """Writes what Flink and the producer would: the forming minute grows, with a trade for each change.

    A context manager. `forms`: [open time (s), close, trades] of each row that was committed.
    """

    def __init__(self, stores: Stores) -> None:
        super().__init__(daemon=True)
        self._stores = stores
        self._ended = threading.Event()
        self.forms: list[tuple[int, float, int]] = []

    def __enter__(self) -> Market:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Write until the end, at random intervals: commits must not fall into step with the dashboard's refreshes."""
        pauses = random.Random(1)
        # No id comes twice, also where several markets follow each other.
        number, due, candle = int(time.time() * UPDATES_PER_SECOND), time.monotonic(), self._minute()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += pauses.uniform(0.5, 1.5) / UPDATES_PER_SECOND
            number += 1
            fresh = self._minute()
            if fresh.open_time_us != candle.open_time_us:
                self._commit(replace(candle, status=Status.FINAL))
                candle = fresh
            price = Decimal(620_000 + number * 7919 % 1000) / 10
            # Milliseconds into the minute: it grows, as the table's guard demands.
            count = (time.time_ns() // 1000 - candle.open_time_us) // 1000
            candle = replace(candle, close=price, high=max(price, candle.high), trade_count=count)
            self._stores.trade(number, time.time_ns() // 1000, "Buy", str(price), "0.042")
            self._commit(candle)

    def _commit(self, candle: Candle) -> None:
        self._stores.write([candle])
        self.forms.append((candle.open_time_us // SECOND_US, float(candle.close), candle.trade_count or 0))

    @staticmethod
    def _minute() -> Candle:
        return minute(floor_us(time.time_ns() // 1000), Source.LIVE, Status.FORMING)


@contextmanager
def filled(archive_days: int) -> Iterator[Stores]:
    """Stores whose live minutes end now, with `archive_days` before them."""
    now_us = floor_us(time.time_ns() // 1000)
    live = [minute(at, Source.LIVE) for at in range(now_us - LIVE_MINUTES * MINUTE_US, now_us, MINUTE_US)]
    end = now_us - now_us % DAY_US - DAY_US
    archive = [minute(at, Source.ARCHIVE) for at in range(end - archive_days * DAY_US, end, MINUTE_US)]
    with tempfile.TemporaryDirectory() as folder, Stores(Path(folder) / "home", live, archive) as stores:
        yield stores


class Wire(socketserver.ThreadingTCPServer):
    """A relay in front of a server at 127.0.0.1, which counts what TCP carries both ways; a context manager."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.server = ("127.0.0.1", urlsplit(url).port)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._lock = threading.Lock()
        self.carried = 0
        """Bytes."""

    def __enter__(self) -> Wire:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def count(self, size: int) -> None:
        """Add to what was carried."""
        with self._lock:
            self.carried += size


class _Relay(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wire: Wire = self.server  # type: ignore[assignment]  # it is always one
        browser: socket.socket = self.request
        with socket.create_connection(wire.server) as server:
            other = {browser: server, server: browser}
            for end in other:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                for end in select.select(list(other), [], [])[0]:
                    try:
                        piece = end.recv(1 << 16)
                        other[end].sendall(piece)
                    except ConnectionError:
                        return
                    if not piece:
                        return
                    wire.count(len(piece))


def opened(browser: Browser, url: str) -> tuple[Page, float]:
    """The dashboard's page in a fresh profile, which records what it paints; and the seconds until its first chart."""
    page = browser.new_context(viewport=VIEWPORT).new_page()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("#chart[data-state=ready]", timeout=120_000)
    painted_ms: float = page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.evaluate("candles.painted = []")
    return page, painted_ms / 1000


def painted(page: Page, seconds: float) -> list[tuple[str, Any, int]]:
    """(Kind, what, time in ms) of all that a page paints for so many seconds, after four bars of warm-up."""
    wait_for("four bars on the screen", lambda: page.evaluate(f"{_BARS}.length > 3"), 120)
    page.evaluate("candles.painted.length = 0")
    page.wait_for_timeout(seconds * 1000)
    found: list[tuple[str, Any, int]] = page.evaluate("candles.painted.splice(0)")
    return found


_BARS: Final = "(window.candles?.painted || []).filter(([kind]) => kind === 'bar')"


def bar_delays(events: list[tuple[str, Any, int]]) -> list[float]:
    """Milliseconds from each bar's commit to its painting."""
    return [at - bar[-1] for kind, bar, at in events if kind == "bar"]


def trade_delays(events: list[tuple[str, Any, int]]) -> list[float]:
    """Milliseconds from each trade to its painting in the list of trades."""
    return [at - trade[0] for kind, trades, at in events if kind == "trades" for trade in trades]
