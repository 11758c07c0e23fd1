"""The function's tries, and two calls at the same time.

The GCS stand-in accepts every rewrite, so the effect of two calls on each other is shown here, on a small lake with the
service's rule: a write with a generation precondition is refused unless that generation is current.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable

import pytest
import requests
from google.api_core.exceptions import PreconditionFailed, ServiceUnavailable

from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.listings import ListedFile, ListingRequest
from fetch_archive.fetch import BUDGET_S, fetch
from fetch_archive.lake import Buckets
from fetch_archive.listing import list_days
from tests.support.archive_host import HTML, Clock, Host, archive_at, listing

ITEM = SymbolDay("BTCUSDT", dt.date(2020, 3, 25))
TODAY = dt.date(2020, 4, 1)
NAME = "raw/bybit/trading/symbol=BTCUSDT/date=2020-03-25/BTCUSDT2020-03-25.csv.gz"
CSV = b"timestamp,symbol,side,size,price,trdMatchID\n1585132800.0,BTCUSDT,Buy,1,6500,x\n"
MD5 = "2a2ed0f1a9d5ab1c0a53b3eeb0b7cd2d"


class Lake:
    """A bucket with generations: a write whose precondition does not hold is refused."""

    def __init__(self) -> None:
        self.objects: dict[str, Blob] = {}
        self.writes = 0

    def blob(self, name: str) -> Blob:
        return Blob(self, name)

    def get_blob(self, name: str, retry: object) -> Blob | None:
        return self.objects.get(name)

    def list_blobs(self, prefix: str, start_offset: str, end_offset: str, **options: object) -> list[Blob]:
        names = [name for name in self.objects if name.startswith(prefix) and start_offset <= name < end_offset]
        return [self.objects[name] for name in sorted(names)]


class Blob:
    def __init__(self, bucket: Lake, name: str) -> None:
        self.bucket, self.name = bucket, name
        self.metadata: dict[str, str] | None = None
        self.content_type: str | None = None
        self.content = b""
        self.generation: int | None = None

    @property
    def size(self) -> int:
        return len(self.content)

    def open(self, mode: str, **kwargs: object) -> Upload:
        return Upload(self)

    def put(self, content: bytes) -> None:
        self.bucket.writes += 1
        self.content, self.generation = content, self.bucket.writes
        self.bucket.objects[self.name] = self

    def rewrite(self, source: Blob, token: None, if_generation_match: int, retry: object) -> tuple[None, int, int]:
        current = self.bucket.objects.get(self.name)
        if if_generation_match != (current.generation if current else 0):
            raise PreconditionFailed("conditionNotMet")
        self.put(source.content)
        return None, self.size, self.size

    def delete(self, retry: object) -> None:
        del self.bucket.objects[self.name]


class Upload:
    """An upload that creates its object only at a normal end."""

    def __init__(self, blob: Blob) -> None:
        self.blob, self.written = blob, b""

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.blob.put(self.written)

    def write(self, piece: bytes) -> None:
        self.written += piece


def buckets_of(lake: Lake) -> Buckets:
    """The lake, and a staging bucket of one call."""
    return Buckets(lake, Lake())


def serving(csv: bytes, etag: str) -> Callable[[str], tuple[int, dict[str, str], bytes]]:
    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/public.bybit.com/"):
            return 200, {}, listing(etag, len(csv))
        return 200, {"Content-Length": str(len(csv)), "ETag": f'"{etag}"'}, csv

    return answer


def test_the_second_of_two_calls_finds_the_work_done(capsys: pytest.CaptureFixture[str]) -> None:
    # first:  reads the lake, downloads .................. publishes: refused, tries again: unchanged
    # second:                            whole call: stored
    lake, clock = Lake(), Clock()
    serve = serving(CSV, "e-1")
    second = archive_at(Host(clock, serve))
    answers = []

    def serve_first(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/trading/"):
            answers.append(fetch(ITEM, TODAY, second, buckets_of(lake), clock.sleep))
        return serve(path)

    answers.append(fetch(ITEM, TODAY, archive_at(Host(clock, serve_first)), buckets_of(lake), clock.sleep))
    assert [answer["status"] for answer in answers] == ["stored", "unchanged"]
    assert answers[0]["generation"] == answers[1]["generation"] == lake.objects[NAME].generation
    assert {name: blob.content for name, blob in lake.objects.items()} == {NAME: CSV}
    events = [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["file stored", "try failed"]


def test_an_older_version_never_replaces_a_newer_one() -> None:
    # first:  reads the lake, downloads version 1 .................. publishes: refused, tries again: version 2 is there
    # second:                                     stores version 2
    lake, clock = Lake(), Clock()
    newer = CSV + CSV.splitlines(keepends=True)[1]
    second = archive_at(Host(clock, serving(newer, "e-2")))
    served: list[str] = []

    def serve_first(path: str) -> tuple[int, dict[str, str], bytes]:
        if served:
            return serving(newer, "e-2")(path)
        if path.startswith("/trading/"):
            served.append(path)
            fetch(ITEM, TODAY, second, buckets_of(lake), clock.sleep)
        return serving(CSV, "e-1")(path)

    answer = fetch(ITEM, TODAY, archive_at(Host(clock, serve_first)), buckets_of(lake), clock.sleep)
    assert (answer["status"], answer["etag"], answer["bytes"]) == ("unchanged", "e-2", len(newer))
    assert {name: blob.content for name, blob in lake.objects.items()} == {NAME: newer}


def test_a_listed_file_that_is_not_there_is_no_day_without_trades() -> None:
    clock = Clock()

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        return (200, {}, listing(MD5, 10)) if path.startswith("/public.bybit.com/") else (404, HTML, b"")

    with pytest.raises(RetryableError, match=r"csv\.gz is listed, yet the exchange answers 404"):
        fetch(ITEM, TODAY, archive_at(Host(clock, answer)), buckets_of(Lake()), clock.sleep)
    assert clock.now >= 1003.5  # 0.5 + 1 + 2 s between four tries


@pytest.mark.parametrize(
    "no_listing", [(500, {}, b""), (200, HTML, b"<html><body>busy</body></html>"), (403, HTML, b"<html>")]
)
def test_without_a_listing_an_absent_file_is_no_day_without_trades(
    no_listing: tuple[int, dict[str, str], bytes],
) -> None:
    clock = Clock()

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/public.bybit.com/"):
            return no_listing
        return (200, HTML, b"the folder") if path == "/trading/BTCUSDT/" else (404, HTML, b"")

    with pytest.raises(RetryableError, match=r"answers 404 for trading/.*csv\.gz, and the listing does not answer"):
        fetch(ITEM, TODAY, archive_at(Host(clock, answer)), buckets_of(Lake()), clock.sleep)


def test_a_404_that_passes_does_not_settle_the_day() -> None:
    clock, lake = Clock(), Lake()
    answers = [(404, HTML, b"")]

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        return answers.pop() if path.startswith("/trading/BTCUSDT/BTCUSDT") and answers else serving(CSV, "e-1")(path)

    assert fetch(ITEM, TODAY, archive_at(Host(clock, answer)), buckets_of(lake), clock.sleep)["status"] == "stored"


def test_a_day_that_the_listing_lacks_has_no_trades() -> None:
    clock = Clock()

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/public.bybit.com/"):
            return 200, {}, b"<ListBucketResult/>"
        return (200, HTML, b"the folder") if path == "/trading/BTCUSDT/" else (404, HTML, b"")

    found = fetch(ITEM, TODAY, archive_at(Host(clock, answer)), buckets_of(Lake()), clock.sleep)
    assert found == {"symbol": "BTCUSDT", "date": "2020-03-25", "status": "no_trades"}


def test_after_a_failure_of_the_lake_it_tries_again() -> None:
    clock, lake = Clock(), Lake()
    failures = [ServiceUnavailable("no"), requests.ConnectionError("gone")]
    get = lake.get_blob

    def get_blob(name: str, retry: object) -> Blob | None:
        if failures:
            raise failures.pop()
        return get(name, retry)

    lake.get_blob = get_blob  # type: ignore[method-assign]
    answer = fetch(ITEM, TODAY, archive_at(Host(clock, serving(CSV, "e-1"))), buckets_of(lake), clock.sleep)
    assert answer["status"] == "stored"


def test_a_temporary_object_is_never_in_the_lake() -> None:
    clock, buckets = Clock(), Buckets(Lake(), Lake())
    assert fetch(ITEM, TODAY, archive_at(Host(clock, serving(CSV, "e-1"))), buckets, clock.sleep)["status"] == "stored"
    assert list(buckets.lake.objects) == [NAME]
    assert (buckets.lake.writes, buckets.staging.writes) == (1, 1)
    assert buckets.staging.objects == {}


def test_a_download_that_outlasts_the_functions_time_breaks_off_and_is_not_tried_again() -> None:
    # The host sends a piece in time, again and again; every look at the clock finds a third of the budget gone.
    clock, times = Clock(), iter(range(0, 10 * BUDGET_S, BUDGET_S // 3))
    buckets = Buckets(Lake(), Lake())
    with pytest.raises(RetryableError, match=f"the download takes longer than {BUDGET_S} s"):
        fetch(
            ITEM,
            TODAY,
            archive_at(Host(clock, serving(b"x" * (2 << 20), "e-1"))),
            buckets,
            clock.sleep,
            lambda: next(times),
        )
    assert (buckets.lake.objects, buckets.staging.objects) == ({}, {})


TRUE_MD5 = hashlib.md5(CSV, usedforsecurity=False).hexdigest()
LISTED = ListedFile(TRUE_MD5, len(CSV))


def test_with_the_listed_version_a_day_is_one_request_without_a_listing() -> None:
    clock, lake = Clock(), Lake()
    host = Host(clock, serving(CSV, TRUE_MD5))
    answer = fetch(ITEM, TODAY, archive_at(host), buckets_of(lake), clock.sleep, file=LISTED)
    assert (answer["status"], answer["etag"]) == ("stored", TRUE_MD5)
    assert [path for _, path in host.requested] == ["/trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz"]
    assert fetch(ITEM, TODAY, archive_at(host), buckets_of(lake), clock.sleep, file=LISTED)["status"] == "unchanged"
    assert len(host.requested) == 1


@pytest.mark.parametrize("file", [ListedFile("0" * 32, len(CSV)), ListedFile(TRUE_MD5, len(CSV) - 1)])
def test_a_wrong_version_from_a_caller_decides_nothing(file: ListedFile) -> None:
    # Of a whole file, and of one whose bytes the way has changed: the function's own listing is what counts.
    clock, lake = Clock(), Lake()
    host = Host(clock, serving(CSV, TRUE_MD5))
    answer = fetch(ITEM, TODAY, archive_at(host), buckets_of(lake), clock.sleep, file=file)
    assert (answer["status"], answer["etag"], answer["bytes"]) == ("stored", TRUE_MD5, len(CSV))
    assert len(host.requested) == 2


def test_a_caller_s_md5_of_broken_bytes_does_not_make_them_good() -> None:
    clock, lake = Clock(), Lake()
    broken = CSV.replace(b"6500", b"6501")

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        status, headers, _ = serving(CSV, TRUE_MD5)(path)
        return (status, headers, broken) if path.startswith("/trading/") else serving(CSV, TRUE_MD5)(path)

    host = Host(clock, answer)
    md5 = hashlib.md5(broken, usedforsecurity=False).hexdigest()
    for file in (ListedFile(md5, len(broken)), LISTED):
        with pytest.raises(RetryableError, match=f"got bytes with md5 {md5}, the source has {TRUE_MD5}"):
            fetch(ITEM, TODAY, archive_at(host), buckets_of(lake), clock.sleep, file=file)
    assert lake.objects == {}


def test_with_the_listed_version_the_caller_repeats_what_fails() -> None:
    clock = Clock()
    host = Host(clock, lambda _: (503, {}, b""))
    with pytest.raises(RetryableError, match="the exchange answers 503"):
        fetch(ITEM, TODAY, archive_at(host), buckets_of(Lake()), clock.sleep, file=LISTED)
    assert len(host.requested) == 1


def test_a_file_that_a_caller_says_is_listed_and_that_is_not_there_is_no_day_without_trades() -> None:
    clock = Clock()
    host = Host(clock, lambda _: (404, HTML, b""))
    with pytest.raises(RetryableError, match=r"the exchange answers 404 for .*, which the request's version says"):
        fetch(ITEM, TODAY, archive_at(host), buckets_of(Lake()), clock.sleep, file=LISTED)


def test_the_listing_of_a_symbol_s_days() -> None:
    #             25th          26th      27th       28th         31st (yesterday)   1st (today)
    # exchange    file          -         -          other file   -                  file
    # lake        the same      -         a file     a file       -                  -
    clock, lake = Clock(), Lake()
    fetch(ITEM, TODAY, archive_at(Host(clock, serving(CSV, TRUE_MD5))), buckets_of(lake), clock.sleep)
    stored = lake.objects[NAME]
    for day in (27, 28):
        blob = lake.blob(NAME.replace("03-25", f"03-{day}"))
        blob.metadata = {"sha256": "s", "etag": f"e-{day}", "status": "stored"}
        blob.put(CSV)
    whole = listing(TRUE_MD5, len(CSV))
    page = whole.replace(
        b"</ListBucketResult>",
        b"".join(
            b"<Contents><Key>trading/BTCUSDT/BTCUSDT2020-%s.csv.gz</Key><ETag>new</ETag><Size>7</Size></Contents>" % day
            for day in (b"03-28", b"04-01")
        )
        + b"</ListBucketResult>",
    )
    request = ListingRequest("BTCUSDT", ITEM.day, TODAY)
    answer = list_days(request, TODAY, archive_at(Host(clock, lambda _: (200, {}, page))), lake)
    of_stored = {"object": NAME, "bytes": len(CSV), "sha256": stored.metadata and stored.metadata["sha256"]}
    assert answer["answers"][0] == {
        **{"symbol": "BTCUSDT", "date": "2020-03-25", "status": "unchanged", "etag": TRUE_MD5},
        **of_stored,
        "generation": stored.generation,
    }
    assert [(each["date"][-5:], each["status"]) for each in answer["answers"]] == [
        ("03-25", "unchanged"),
        ("03-26", "no_trades"),
        ("03-27", "unchanged"),
        ("03-29", "not_published"),
        ("03-30", "not_published"),
        ("03-31", "not_published"),
        ("04-01", "not_published"),
    ]
    assert answer["files"] == {"2020-03-28": {"etag": "new", "size": 7}}
    assert (answer["symbol"], answer["status"]) == ("BTCUSDT", "listed")


def test_without_a_listing_no_day_has_an_answer() -> None:
    host = Host(Clock(), lambda _: (500, {}, b""))
    with pytest.raises(RetryableError, match="the listing does not answer"):
        list_days(ListingRequest("BTCUSDT", ITEM.day, ITEM.day), TODAY, archive_at(host), Lake())


def test_the_listing_of_an_unknown_symbol() -> None:
    host = Host(Clock(), lambda _: (200, {}, b"<ListBucketResult/>"))
    answer = list_days(ListingRequest("NOSUCHUSDT", ITEM.day, TODAY), TODAY, archive_at(host), Lake())
    assert answer == {"symbol": "NOSUCHUSDT", "status": "unknown_symbol"}
