"""The requests of `fetch_archive` and the form of its listing."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from bitcoin_pipeline.ingests import Fetched, FetchStatus, SymbolDay
from bitcoin_pipeline.listings import (
    BadRequestError,
    DayRequest,
    ListedFile,
    Listing,
    ListingRequest,
    listing_body,
    parse_listing,
    parse_request,
)

MD5 = "2a2ed0f1a9d5ab1c0a53b3eeb0b7cd2d"
FIRST, SECOND = (SymbolDay("BTCUSDT", dt.date(2024, 1, number)) for number in (1, 2))


@pytest.mark.parametrize(
    "request_",
    [
        DayRequest(FIRST),
        DayRequest(FIRST, ListedFile(MD5, 7)),
        ListingRequest("BTCUSDT", FIRST.day, SECOND.day),
        ListingRequest("BTCUSDT", FIRST.day, FIRST.day),
    ],
)
def test_a_request_and_back(request_: DayRequest | ListingRequest) -> None:
    assert parse_request(json.dumps(request_.as_json()).encode()) == request_


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"date": "2024-01-01", "etag": MD5}, "size is missing"),
        ({"date": "2024-01-01", "size": 7}, "etag is missing"),
        ({"date": "2024-01-01", "etag": f"{MD5}-2", "size": 7}, "etag: must be an md5 of 32 hex digits"),
        ({"date": "2024-01-01", "etag": "http://x", "size": 7}, "etag: must be an md5 of 32 hex digits"),
        ({"date": "2024-01-01", "etag": 7, "size": 7}, "etag must be a string, got 7"),
        ({"date": "2024-01-01", "etag": MD5, "size": "7"}, 'size: must be a whole number of bytes, got "7"'),
        ({"date": "2024-01-01", "etag": MD5, "size": -1}, "size: must be a whole number of bytes, got -1"),
        ({"date": "2024-01-01", "etag": MD5, "size": True}, "size: must be a whole number of bytes, got true"),
        ({"start": "2024-01-01"}, "end is missing"),
        ({"start": "2024-01-01", "end": "2024-01-02", "date": "2024-01-01"}, "'date' is not known"),
        ({"start": "2024-01-02", "end": "2024-01-01"}, "end must be within 10000 days from start 2024-01-02"),
        ({"start": "2024-01-01", "end": "9999-01-01"}, "end must be within 10000 days from start 2024-01-01"),
        ({"start": "2024-01-01", "end": "2024-01-02", "host": "x"}, "'host' is not known"),
    ],
)
def test_no_requests(fields: dict[str, object], message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        parse_request(json.dumps({"symbol": "BTCUSDT", **fields}).encode())


def test_a_listing_and_back() -> None:
    answers = [{"symbol": "BTCUSDT", "date": "2024-01-01", "status": "unchanged", "sha256": "s-1", "etag": "e-1"}]
    body = listing_body("BTCUSDT", answers, {SECOND.day: ListedFile(MD5, 7)})
    assert parse_listing(json.loads(json.dumps(body))) == Listing(
        {FIRST: Fetched(FetchStatus.UNCHANGED, "s-1", "e-1")}, {SECOND: ListedFile(MD5, 7)}
    )
    assert parse_listing({"symbol": "NOSUCHUSDT", "status": "unknown_symbol"}) is None


@pytest.mark.parametrize("body", [{}, {"status": "stored"}, {"status": "listed", "symbol": "BTCUSDT", "answers": [{}]}])
def test_no_listings(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="listing"):
        parse_listing(body)


def test_the_etag_of_a_file_uploaded_in_parts_is_no_md5() -> None:
    assert ListedFile(MD5, 1).has_md5
    assert not ListedFile(f"{MD5}-3", 1).has_md5
