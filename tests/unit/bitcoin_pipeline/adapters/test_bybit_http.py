"""Bybit's archive over HTTP: request rate, bans, and the meaning of responses."""

from __future__ import annotations

import datetime as dt
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from bitcoin_pipeline.adapters.bybit_http import BannedError, FileVersion, ListingError, version_of
from bitcoin_pipeline.errors import FinalError, RetryableError
from tests.support.archive_host import HTML, Clock, Host, archive_at, listing

MD5 = "2a2ed0f1a9d5ab1c0a53b3eeb0b7cd2d"


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (403, HTML, 600),
        (403, {**HTML, "Retry-After": "42"}, 42),
        (429, {"Retry-After": "Wed, 25 Mar 2020 10:36:00 GMT"}, 600),
    ],
)
def test_no_request_is_sent_during_a_ban(status: int, headers: dict[str, str], seconds: int) -> None:
    clock = Clock()
    answers = iter([(status, headers, b"<html>"), (404, HTML, b"")])
    host = Host(clock, lambda _: next(answers))
    bybit = archive_at(host)
    for elapsed in (0, seconds - 1):
        clock.now = 1000.0 + elapsed
        with pytest.raises(BannedError) as caught:
            bybit.open("trading/BTCUSDT/")
        assert caught.value.seconds == seconds - elapsed
    clock.now = 1000.0 + seconds
    assert bybit.open("trading/BTCUSDT/") is None
    assert [time for time, _ in host.requested] == [1000.0, 1000.0 + seconds]


def test_a_refusal_by_the_bucket_is_no_ban() -> None:
    host = Host(Clock(), lambda _: (403, {"Content-Type": "application/xml"}, b"<Error/>"))
    bybit = archive_at(host)
    with pytest.raises(ListingError, match="403"):
        bybit.listed("trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz")
    with pytest.raises(FinalError, match="the exchange answers 403 for trading/BTCUSDT/"):
        bybit.open("trading/BTCUSDT/")


def test_redirects_are_not_followed() -> None:
    host = Host(Clock(), lambda _: (302, {"Location": "https://elsewhere.example/"}, b""))
    with pytest.raises(FinalError, match="the exchange answers 302 for trading/BTCUSDT/"):
        archive_at(host).open("trading/BTCUSDT/")
    assert [path for _, path in host.requested] == ["/trading/BTCUSDT/"]


def test_no_more_than_20_requests_leave_in_a_second() -> None:
    clock = Clock()
    host = Host(clock, lambda _: (404, HTML, b""))
    bybit = archive_at(host)
    for _ in range(41):
        bybit.open("trading/BTCUSDT/")
    times = [time for time, _ in host.requested]
    assert times[0] == 1000.0
    assert times[20] - times[0] == pytest.approx(1)
    assert times[40] - times[0] == pytest.approx(2)


@pytest.mark.parametrize(
    ("etag", "md5"),
    [
        (MD5, MD5),
        (MD5.upper(), MD5),
        (f"{MD5}-11", None),  # uploaded in parts
    ],
)
def test_only_a_plain_etag_is_an_md5(etag: str, md5: str | None) -> None:
    host = Host(Clock(), lambda _: (200, {}, listing(etag, 123)))
    found = archive_at(host).listed("trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz")
    assert found == FileVersion(etag, 123, md5)


@pytest.mark.parametrize(
    "document", [b"<html><body>busy", b"<html><body>busy</body></html>", b"", listing("", 1)[:-60]]
)
def test_a_listing_that_cannot_be_read_is_no_listing_without_the_file(document: bytes) -> None:
    host = Host(Clock(), lambda _: (200, {}, document))
    with pytest.raises(ListingError, match="the listing does not answer: "):
        archive_at(host).listed("trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz")


@pytest.mark.parametrize("document", [b"<ListBucketResult/>", listing(MD5, 1).replace(b"03-25", b"03-26")])
def test_a_listing_may_lack_the_file(document: bytes) -> None:
    host = Host(Clock(), lambda _: (200, {}, document))
    assert archive_at(host).listed("trading/BTCUSDT/BTCUSDT2020-03-25.csv.gz") is None


def test_a_failure_of_the_exchange_is_retryable() -> None:
    with pytest.raises(RetryableError, match="the exchange answers 503 for trading/BTCUSDT/"):
        archive_at(Host(Clock(), lambda _: (503, {}, b""))).open("trading/BTCUSDT/")


def test_a_ban_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    bybit = archive_at(Host(Clock(), lambda _: (429, {}, b"")))
    for _ in range(2):
        with pytest.raises(BannedError):
            bybit.open("trading/BTCUSDT/")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"severity": "ERROR", "message": "banned by the exchange", "seconds": 600}
    ]


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({"ETag": f'W/"{MD5}"', "Content-Length": "7"}, FileVersion(MD5, 7)),
        ({"ETag": f'"{MD5}"', "Content-Length": "-1"}, FileVersion(MD5, None)),
        ({}, FileVersion("", None)),
    ],
)
def test_a_file_s_headers_give_its_version_without_md5(headers: dict[str, str], version: FileVersion) -> None:
    assert version_of(headers) == version


def bucket(*days: str, symbol: str = "BTCUSDT", page: int = 1000) -> Host:
    """S3's listing of a bucket with a file on each of `days`, in pages of at most `page` keys."""
    keys = [f"trading/{symbol}/{symbol}{day}.csv.gz" for day in days]

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        query = {name: value[0] for name, value in parse_qs(urlsplit(path).query).items()}
        found = [key for key in keys if key.startswith(query["prefix"]) and key > query.get("marker", "")]
        most = min(page, int(query["max-keys"]))
        contents = "".join(
            f'<Contents><Key>{key}</Key><ETag>"{key[-9:-7]}"</ETag><Size>{len(key)}</Size></Contents>'
            for key in found[:most]
        )
        more = str(len(found) > most).lower()
        return 200, {}, f"<ListBucketResult><IsTruncated>{more}</IsTruncated>{contents}</ListBucketResult>".encode()

    return Host(Clock(), answer)


def january(number: int) -> dt.date:
    return dt.date(2024, 1, number)


@pytest.mark.parametrize(("page", "requests"), [(1000, 1), (4, 1), (3, 2), (1, 4)])
def test_a_symbol_is_listed_once_for_many_days(page: int, requests: int) -> None:
    host = bucket("2023-12-31", "2024-01-02", "2024-01-03", "2024-01-05", "2024-01-06", "2024-01-07", page=page)
    found = archive_at(host).listed_days("BTCUSDT", january(2), january(6))
    assert found == {january(number): FileVersion(f"0{number}", 40) for number in (2, 3, 5, 6)}
    assert len(host.requested) == requests


def test_a_listing_of_days_without_files_differs_from_that_of_an_unknown_symbol() -> None:
    assert archive_at(bucket("2023-12-31")).listed_days("BTCUSDT", january(1), january(9)) == {}
    assert archive_at(bucket("2024-01-10")).listed_days("BTCUSDT", january(1), january(9)) == {}
    assert archive_at(bucket("2024-01-01")).listed_days("NOSUCHUSDT", january(1), january(9)) is None


def test_only_the_symbol_s_own_files_are_listed() -> None:
    host = bucket("2024-01-01", "2024-01-02-old", "2024-01-03")
    found = archive_at(host).listed_days("BTCUSDT", january(1), january(4))
    assert found is not None
    assert list(found) == [january(1), january(3)]


def test_a_listing_without_an_end_does_not_answer() -> None:
    host = Host(Clock(), lambda _: (200, {}, b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"))
    with pytest.raises(ListingError, match="a page of a listing has no key, yet more follow"):
        archive_at(host).listed_days("BTCUSDT", january(1), january(9))
