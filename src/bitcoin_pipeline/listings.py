"""The requests that `fetch_archive` accepts, for one day or for the listing of many, and the form of its listing.

Part of the core; any module may import it. One request for a listing shows which days of a symbol the lake lacks; a
caller passes the listed version of a file back with the request for its day, which then needs no listing of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bitcoin_pipeline.ingests import Fetched, FetchStatus, SymbolDay, parse_fetched
from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import parse_day

MOST_DAYS: Final = 10_000
"""Upper bound on the days of one listing, whose answer then has some 3 MB."""

MAX_REQUEST: Final = 4096
"""Upper bound on the bytes of a request's body."""

_LISTED: Final = "listed"
_EXAMPLE: Final = '{"symbol": "BTCUSDT", "date": "2020-03-25"}'


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file by the listing of the archive's bucket: its ETag, and its size in bytes."""

    etag: str
    size: int

    @property
    def has_md5(self) -> bool:
        """True when the ETag is the md5 of the file, in hex; that of a file uploaded in parts is none."""
        return re.fullmatch("[0-9a-f]{32}", self.etag) is not None


@dataclass(frozen=True, slots=True)
class DayRequest:
    """The request to bring one day's file into the lake. `file`: its listed version where the caller has it."""

    item: SymbolDay
    file: ListedFile | None = None

    def as_json(self) -> dict[str, Any]:
        """The body of the request."""
        body = {"symbol": self.item.symbol, "date": self.item.day.isoformat()}
        return {**body, "etag": self.file.etag, "size": self.file.size} if self.file else body


@dataclass(frozen=True, slots=True)
class ListingRequest:
    """The request for the listing of a symbol's days from `start` to `end`, both included."""

    symbol: str
    start: dt.date
    end: dt.date

    def as_json(self) -> dict[str, Any]:
        """The body of the request."""
        return {"symbol": self.symbol, "start": self.start.isoformat(), "end": self.end.isoformat()}


@dataclass(frozen=True, slots=True)
class Listing:
    """The days of a symbol. `answers`: of days that need no fetch; `files`: the listed files that the lake lacks."""

    answers: Mapping[SymbolDay, Fetched]
    files: Mapping[SymbolDay, ListedFile]


class BadRequestError(ValueError):
    """A request that cannot be answered; the message names every fault."""


def parse_request(body: bytes) -> DayRequest | ListingRequest:
    """The request in a body. Raises BadRequestError."""
    if len(body) > MAX_REQUEST:
        raise BadRequestError(f"the body must be at most {MAX_REQUEST} bytes")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError(f"the body must be JSON such as {_EXAMPLE}") from None
    if not isinstance(given, dict):
        raise BadRequestError(f"the body must be a JSON object, got {body[:100].decode('utf-8', 'replace')}")
    if "start" in given or "end" in given:
        values = _parsed(given, {"symbol": parse_symbol, "start": parse_day, "end": parse_day})
        request = ListingRequest(**values)
        if not 0 <= (request.end - request.start).days < MOST_DAYS:
            raise BadRequestError(f"end must be within {MOST_DAYS} days from start {request.start}, got {request.end}")
        return request
    version: dict[str, Callable[[Any], Any]] = {"etag": _parse_etag, "size": _parse_size}
    values = _parsed(
        given, {"symbol": parse_symbol, "date": parse_day, **(version if version.keys() & given.keys() else {})}
    )
    file = ListedFile(values["etag"], values["size"]) if "etag" in values else None
    return DayRequest(SymbolDay(values["symbol"], values["date"]), file)


def listing_body(symbol: str, answers: list[dict[str, Any]], files: Mapping[dt.date, ListedFile]) -> dict[str, Any]:
    """The body of the answer to a ListingRequest. `answers`: bodies of answers to requests for days."""
    listed = {day.isoformat(): {"etag": file.etag, "size": file.size} for day, file in files.items()}
    return {"symbol": symbol, "status": _LISTED, "answers": answers, "files": listed}


def parse_listing(body: Mapping[str, Any]) -> Listing | None:
    """The inverse of `listing_body`; None for the answer that the symbol is unknown. Raises ValueError."""
    if body.get("status") == FetchStatus.UNKNOWN_SYMBOL:
        return None
    try:
        if body["status"] != _LISTED:
            raise ValueError(f"the status of a listing is {_LISTED}, got {body['status']!r}")
        symbol = parse_symbol(body["symbol"])
        answers = {SymbolDay(symbol, parse_day(each["date"])): parse_fetched(each) for each in body["answers"]}
        files = {
            SymbolDay(symbol, parse_day(day)): ListedFile(str(file["etag"]), int(file["size"]))
            for day, file in body["files"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a listing has the fields symbol, answers and files: {error!r}") from error
    return Listing(answers, files)


def _parsed(given: Mapping[str, Any], parsers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """The values of `parsers`, all of which `given` must have, and no others. Raises BadRequestError."""
    faults = [f"{name} is missing" for name in parsers if name not in given]
    faults += [f"{name[:100]!r} is not known" for name in given if name not in parsers]
    values: dict[str, Any] = {}
    for name, parse in parsers.items():
        value = given.get(name, "")
        if not isinstance(value, str) and name != "size":
            faults.append(f"{name} must be a string, got {json.dumps(value)[:100]}")
        elif name in given:
            try:
                values[name] = parse(value)
            except ValueError as error:
                faults.append(f"{name}: {error}")
    if faults:
        raise BadRequestError("; ".join(faults))
    return values


def _parse_etag(text: str) -> str:
    if not ListedFile(text, 0).has_md5:
        raise ValueError(f"must be an md5 of 32 hex digits in small letters, got {text[:100]!r}")
    return text


def _parse_size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 50:
        raise ValueError(f"must be a whole number of bytes, got {json.dumps(value)[:100]}")
    return value
