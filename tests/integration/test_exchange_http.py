"""The exchange simulator over HTTP: files, listing, rate limit and faults, on clocks that the tests set."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import hashlib
import http.client
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from aiohttp import web

from bitcoin_pipeline.bybit.archive import read_day
from local.checkout import ROOT
from local.exchange.archive.folder import Folder
from local.exchange.archive.publication import Publication
from local.exchange.archive.synthetic import SyntheticArchive
from local.exchange.server import exchange
from local.exchange.shared.rate_limit import RateLimit
from local.exchange.synthetic.day import synthetic_day

REAL = ROOT / "tests" / "fixtures" / "bybit" / "BTCUSDT2020-03-25.csv.gz"
FILE = f"/trading/BTCUSDT/{REAL.name}"
BODY = REAL.read_bytes()
ETAG = f'"{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"'
S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass
class Answer:
    status: int
    headers: Message
    body: bytes


@dataclass
class Server:
    """A running simulator; `monotonic` and `now` are the values of its clocks."""

    port: int = 0
    monotonic: float = 1000.0
    now: dt.datetime = field(default_factory=lambda: dt.datetime(2024, 5, 6, 12, tzinfo=dt.UTC))

    def request(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        """The answer to a request, which has a User-Agent by default; a broken connection gives the body so far."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            fields = {"User-Agent": "test"} | {name.replace("_", "-"): value for name, value in headers.items()}
            fields = {name: value for name, value in fields.items() if value}
            connection.request(method, path, None if body is None else json.dumps(body), fields)
            response = connection.getresponse()
            try:
                content = response.read()
            except http.client.IncompleteRead as error:
                content = error.partial
            return Answer(response.status, response.headers, content)
        finally:
            connection.close()

    def set_fault(self, **fault: Any) -> Answer:
        return self.request("/control/faults", "POST", fault)

    def listing(self, query: str) -> tuple[list[str], bool]:
        """The keys of a page of the bucket's listing, and whether more follow."""
        root = ElementTree.fromstring(self.request(f"/public.bybit.com/?{query}").body)  # noqa: S314  # the simulator's own
        keys = [element.text or "" for element in root.iterfind(f"{S3}Contents/{S3}Key")]
        return keys, root.findtext(f"{S3}IsTruncated") == "true"


@contextmanager
def serving(publication: Publication, server: Server) -> Iterator[Server]:
    """The simulator in a thread of this process, on a free port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = web.AppRunner(exchange(publication, RateLimit(40, 300, lambda: server.monotonic)), shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result(20)
        server.port = runner.addresses[0][1]
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(REAL, tmp_path)
    (tmp_path / "PROVENANCE.md").write_text("not a day's file")
    return tmp_path


@pytest.fixture
def real(folder: Path) -> Iterator[Server]:
    """Serves a folder with the real day."""
    with serving(Folder(folder), Server()) as server:
        yield server


@pytest.fixture
def synthetic(tmp_path: Path) -> Iterator[Server]:
    """Serves the synthetic market, 100 trades a day."""
    server = Server()
    with serving(SyntheticArchive(tmp_path, 0, 100, lambda: server.now), server):
        yield server


def test_the_index_pages_lead_to_the_file(real: Server) -> None:
    assert b'<a href="BTCUSDT/">' in real.request("/trading/").body
    page = real.request("/trading/BTCUSDT/")
    assert page.body.count(b"<li>") == 1
    assert f'<a href="{REAL.name}">'.encode() in page.body
    assert page.headers["Content-Type"].startswith("text/html")


def test_a_file_is_served_unchanged(real: Server) -> None:
    for method, body in (("GET", BODY), ("HEAD", b"")):
        answer = real.request(FILE, method, Accept_Encoding="gzip")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["Content-Length"] == "121118"
        assert answer.headers["ETag"] == ETAG
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Last-Modified"].endswith(" GMT")
        assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/trading/ETHUSDT/",
        "/trading/ETHUSDT/ETHUSDT2020-03-25.csv.gz",
        "/trading/BTCUSDT/BTCUSDT2020-03-26.csv.gz",
        "/trading/BTCUSDT/PROVENANCE.md",
        "/trading/ETHUSDT/BTCUSDT2020-03-25.csv.gz",
        "/trading/BTCUSDT/..%2FBTCUSDT2020-03-25.csv.gz",
        "/trading/%2e%2e/",
        "/",
    ],
)
def test_what_is_not_published_is_not_found(real: Server, path: str) -> None:
    assert real.request(path).status == 404


@pytest.mark.parametrize(
    ("wanted", "status", "content_range", "body"),
    [
        ("bytes=0-9", 206, "bytes 0-9/121118", BODY[:10]),
        ("bytes=121000-", 206, "bytes 121000-121117/121118", BODY[121000:]),
        ("bytes=121000-999999", 206, "bytes 121000-121117/121118", BODY[121000:]),
        ("bytes=-8", 206, "bytes 121110-121117/121118", BODY[-8:]),
        ("bytes=-999999", 206, "bytes 0-121117/121118", BODY),
        ("bytes=121118-", 416, "bytes */121118", b""),
        ("bytes=9-5", 200, None, BODY),
        ("lines=0-9", 200, None, BODY),
        ("bytes=0-1,5-6", 200, None, BODY),
    ],
)
def test_ranges(real: Server, wanted: str, status: int, content_range: str | None, body: bytes) -> None:
    answer = real.request(FILE, Range=wanted)
    assert (answer.status, answer.headers["Content-Range"], answer.body) == (status, content_range, body)


def test_conditions(real: Server) -> None:
    known = real.request(FILE, If_None_Match=ETAG)
    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", ETAG)
    assert real.request(FILE, If_None_Match='"other"').status == 200
    assert real.request(FILE, Range="bytes=0-9", If_Range=ETAG).status == 206
    assert real.request(FILE, Range="bytes=0-9", If_Range='"other"').body == BODY


def test_a_revised_file_has_another_etag_even_at_the_same_size_and_time(real: Server, folder: Path) -> None:
    assert real.request(FILE, "HEAD").headers["ETag"] == ETAG
    times = (folder / REAL.name).stat()
    revised = folder / "new"
    revised.write_bytes(BODY[:-1] + b"?")
    os.utime(revised, ns=(times.st_atime_ns, times.st_mtime_ns))
    revised.replace(folder / REAL.name)
    answer = real.request(FILE)
    assert answer.body == BODY[:-1] + b"?"
    assert answer.headers["ETag"] == f'"{hashlib.md5(answer.body, usedforsecurity=False).hexdigest()}"'
    (folder / REAL.name).unlink()
    assert real.request(FILE).status == 404
    assert real.listing("prefix=trading/BTCUSDT/") == ([], False)


def test_the_listing_gives_size_and_md5_as_s3_does(real: Server) -> None:
    answer = real.request("/public.bybit.com/?prefix=trading/BTCUSDT/")
    assert f"<ETag>&quot;{ETAG[1:-1]}&quot;</ETag>".encode() in answer.body
    assert answer.headers["Content-Type"].startswith("application/xml")
    elements = ElementTree.fromstring(answer.body).iter()  # noqa: S314  # the simulator's own
    found = {element.tag.removeprefix(S3): element.text for element in elements}
    assert dt.datetime.fromisoformat(found.pop("LastModified") or "").tzinfo is dt.UTC
    assert found == {
        "ListBucketResult": None,
        "Name": "public.bybit.com",
        "Prefix": "trading/BTCUSDT/",
        "Marker": None,
        "MaxKeys": "1000",
        "IsTruncated": "false",
        "Contents": None,
        "Key": "trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz",
        "ETag": ETAG,
        "Size": "121118",
        "StorageClass": "STANDARD",
    }


def test_the_listing_has_prefix_and_pages_in_the_order_of_keys(tmp_path: Path) -> None:
    # BTCUSD/ comes before BTCUSDT/, as "/" sorts before any letter.
    names = ["BTCUSD2020-01-01", "BTCUSDT2020-01-01", "BTCUSDT2020-01-02", "BTCUSDT2020-02-01", "ETHUSDT2020-01-01"]
    for name in names:
        (tmp_path / f"{name}.csv.gz").touch()
    keys = [f"trading/{name[:-10]}/{name}.csv.gz" for name in names]
    with serving(Folder(tmp_path), Server()) as server:
        assert server.listing("") == (keys, False)
        assert server.listing("prefix=trad") == (keys, False)
        assert server.listing("prefix=trading/BTCUSD") == (keys[:4], False)
        assert server.listing("prefix=trading/BTCUSDT/BTCUSDT2020-01") == (keys[1:3], False)
        assert server.listing(f"prefix={keys[1]}") == (keys[1:2], False)
        assert server.listing(f"prefix={keys[1]}&marker={keys[1]}") == ([], False)
        assert server.listing("prefix=trading/BTCUSDT/BTCUSDT2020-01-03.csv.gz") == ([], False)
        assert server.listing("prefix=spot/") == ([], False)
        assert server.listing("max-keys=2") == (keys[:2], True)
        assert server.listing(f"max-keys=2&marker={keys[1]}") == (keys[2:4], True)
        assert server.listing(f"max-keys=2&marker={keys[3]}") == (keys[4:], False)
        assert server.listing("max-keys=5") == (keys, False)
        assert server.listing("max-keys=0") == ([], False)
        for query, status in (("max-keys=-1", 400), ("max-keys=x", 400), ("list-type=2", 501), ("delimiter=/", 501)):
            assert server.request(f"/public.bybit.com/?{query}").status == status


def test_more_keys_than_a_page_holds(tmp_path: Path) -> None:
    start = dt.date(2020, 1, 1)
    for offset in range(1001):
        (tmp_path / f"BTCUSDT{start + dt.timedelta(days=offset)}.csv.gz").touch()
    with serving(Folder(tmp_path), Server()) as server:
        keys, truncated = server.listing("prefix=trading/BTCUSDT/&max-keys=5000")
        assert (len(keys), truncated) == (1000, True)
        assert server.listing(f"prefix=trading/BTCUSDT/&marker={keys[-1]}") == (
            ["trading/BTCUSDT/BTCUSDT2022-09-27.csv.gz"],
            False,
        )


def test_a_request_without_user_agent_is_refused(real: Server) -> None:
    answer = real.request(FILE, User_Agent="")
    assert answer.status == 403
    assert real.request("/public.bybit.com/?prefix=x", User_Agent="").status == 200


def test_too_many_requests_in_a_second_get_a_ban(real: Server) -> None:
    assert {real.request(FILE, "HEAD").status for _ in range(40)} == {200}
    banned = real.request(FILE)
    assert banned.status == 403
    assert banned.headers["Content-Type"].startswith("text/html")
    assert b"<html>" in banned.body
    assert real.request("/trading/").status == 403
    assert real.request("/trading/nothing/here/at/all").status == 403
    assert real.listing("prefix=trading/BTCUSDT/")[0] == ["trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz"]
    assert json.loads(real.request("/control/faults").body) == {"faults": [], "banned_seconds": 300}
    real.monotonic += 300
    assert real.request(FILE).status == 200


def test_the_listing_does_not_count(real: Server) -> None:
    for _ in range(45):
        real.listing("prefix=trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz")
    assert real.request(FILE).status == 200


def test_a_download_breaks_off_as_often_as_set_and_can_be_resumed(real: Server) -> None:
    assert real.set_fault(fault="break_off", after_bytes=60000, times=1).status == 201
    assert real.request(FILE, "HEAD").status == 200
    broken = real.request(FILE)
    assert (broken.status, broken.headers["Content-Length"], broken.body) == (200, "121118", BODY[:60000])
    rest = real.request(FILE, Range="bytes=60000-", If_Range=broken.headers["ETag"])
    assert broken.body + rest.body == BODY
    assert json.loads(real.request("/control/faults").body)["faults"] == []


def test_a_file_breaks_off_even_if_it_is_shorter(real: Server) -> None:
    real.set_fault(fault="break_off", after_bytes=10**9)
    assert real.request(FILE).body == BODY[:-1]
    assert real.request(FILE).body == BODY[:-1]
    assert real.request("/control/faults", "DELETE").status == 204
    assert real.request(FILE).body == BODY


def test_a_byte_is_changed_in_transfer(real: Server) -> None:
    real.set_fault(fault="wrong_bytes", at_byte=70000, times=1)
    answer = real.request(FILE)
    assert [at for at in range(len(BODY)) if answer.body[at] != BODY[at]] == [70000]
    assert (len(answer.body), answer.headers["ETag"]) == (len(BODY), ETAG)
    assert real.request(FILE).body == BODY


def test_a_status_on_chosen_paths(real: Server) -> None:
    real.set_fault(fault="status", code=503, times=2)
    real.set_fault(fault="status", code=500, path="/public.bybit.com/")
    assert [real.request(FILE).status for _ in range(3)] == [503, 503, 200]
    assert real.request("/public.bybit.com/?prefix=x").status == 500
    assert real.request("/control/health").status == 200


def test_a_ban_on_request(real: Server) -> None:
    real.set_fault(fault="ban", seconds=5)
    assert real.request(FILE).status == 403
    real.monotonic += 5
    assert real.request(FILE).status == 200
    real.set_fault(fault="ban", seconds=5)
    real.request("/control/faults", "DELETE")
    assert real.request(FILE).status == 200


def test_a_slow_file_is_whole(real: Server) -> None:
    real.set_fault(fault="slow", bytes_per_second=1_000_000, times=1)
    begun = time.monotonic()
    assert real.request(FILE).body == BODY
    assert time.monotonic() - begun >= len(BODY) / 1_000_000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b'{"fault": "flood"}', "fault must be one of ban, break_off, slow, status, wrong_bytes, got 'flood'"),
    ],
)
def test_a_wrong_fault_is_a_bad_request(real: Server, body: bytes, message: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", real.port, timeout=20)
    connection.request("POST", "/control/faults", body)
    response = connection.getresponse()
    found = json.loads(response.read())["error"]
    connection.close()
    assert response.status == 400
    assert message in found


def test_the_synthetic_market_is_made_on_demand(synthetic: Server) -> None:
    path = "/trading/1000PEPEUSDT/1000PEPEUSDT2023-04-05.csv.gz"
    answer = synthetic.request(path)
    day = dt.date(2023, 4, 5)
    found = read_day(gzip.decompress(answer.body).decode().split("\n"), "1000PEPEUSDT", day)
    assert found.trades == list(synthetic_day("1000PEPEUSDT", day, 100).trades())
    assert answer.headers["Last-Modified"] == "Thu, 06 Apr 2023 01:10:00 GMT"
    listed = synthetic.request(f"/public.bybit.com/?prefix={path[1:]}").body
    assert f"<ETag>&quot;{answer.headers['ETag'][1:-1]}&quot;</ETag>".encode() in listed
    assert f"<Size>{len(answer.body)}</Size>".encode() in listed


def test_a_day_is_published_on_the_next_one_at_ten_past_one(synthetic: Server) -> None:
    path = "/trading/BTCUSDT/BTCUSDT2024-05-05.csv.gz"
    synthetic.now = dt.datetime(2024, 5, 6, 1, 9, 59, tzinfo=dt.UTC)
    assert synthetic.request(path).status == 404
    assert b"2024-05-05" not in synthetic.request("/trading/BTCUSDT/").body
    assert synthetic.listing(f"prefix={path[1:]}") == ([], False)
    synthetic.now += dt.timedelta(seconds=1)
    assert synthetic.request(path).status == 200
    assert b"2024-05-05" in synthetic.request("/trading/BTCUSDT/").body
    assert synthetic.request("/trading/BTCUSDT/BTCUSDT2024-05-06.csv.gz").status == 404


def test_symbols_have_a_first_day(synthetic: Server) -> None:
    assert synthetic.request("/trading/BTCUSDT/BTCUSDT2020-03-24.csv.gz").status == 404
    assert synthetic.request("/trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz").status == 200
    assert synthetic.request("/trading/BTCUSD/BTCUSD2019-10-01.csv.gz").status == 200
    assert synthetic.request("/trading/XRPUSDT/").status == 404


def test_the_listing_of_the_synthetic_market_makes_few_files_at_once(synthetic: Server, tmp_path: Path) -> None:
    keys, truncated = synthetic.listing("prefix=trading/ETHUSDT/")
    assert truncated
    assert keys[0] == "trading/ETHUSDT/ETHUSDT2020-03-25.csv.gz"
    assert len(keys) == len(list(tmp_path.rglob("*.csv.gz"))) == 10
    more, _ = synthetic.listing(f"prefix=trading/ETHUSDT/&marker={keys[-1]}")
    assert more[0] == "trading/ETHUSDT/ETHUSDT2020-04-04.csv.gz"
    last, truncated = synthetic.listing("prefix=trading/ETHUSDT/&marker=trading/ETHUSDT/ETHUSDT2024-05-03.csv.gz")
    assert (last, truncated) == ([f"trading/ETHUSDT/ETHUSDT2024-05-0{day}.csv.gz" for day in (4, 5)], False)
