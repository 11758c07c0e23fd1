"""The Cloud Function's parts that need no process: its tries, and the lake's generations.

The GCS stand-in lets every rewrite pass, so what two calls do to each other is shown here, on a lake of a few lines
that keeps the service's rule: a write with a generation precondition is refused unless that generation is current.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import requests
from google.api_core.exceptions import PreconditionFailed, ServiceUnavailable

from bitcoin_pipeline.ingests import SymbolDay
from tests.support.archive_host import HTML, Clock, Host, listing

ITEM = SymbolDay("BTCUSDT", dt.date(2020, 3, 25))
TODAY = dt.date(2020, 4, 1)
NAME = "raw/bybit/trading/symbol=BTCUSDT/date=2020-03-25/BTCUSDT2020-03-25.csv.gz"
CSV = b"timestamp,symbol,side,size,price,trdMatchID\n1585132800.0,BTCUSDT,Buy,1,6500,x\n"
MD5 = "2a2ed0f1a9d5ab1c0a53b3eeb0b7cd2d"


@pytest.fixture(scope="module")
def main() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_LAKE", "lake")  # read when the module is loaded
        yield importlib.import_module("functions.fetch_archive.main")


class Lake:
    """A bucket with generations: what is written under a precondition that does not hold is refused."""

    def __init__(self) -> None:
        self.objects: dict[str, Blob] = {}
        self.writes = 0

    def blob(self, name: str) -> Blob:
        return Blob(self, name)

    def get_blob(self, name: str, retry: object) -> Blob | None:
        return self.objects.get(name)


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
    """An object appears when its upload ends well."""

    def __init__(self, blob: Blob) -> None:
        self.blob, self.written = blob, b""

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.blob.put(self.written)

    def write(self, piece: bytes) -> None:
        self.written += piece


def exchange(main: ModuleType, host: Host) -> Any:
    session = requests.Session()
    session.mount("https://", host)
    settings, clock = main.Settings("lake"), host.clock
    return main.BybitArchive(
        settings.archive_url,
        settings.listing_url,
        settings.ban_s,
        session,
        main.log,
        user_agent=main.USER_AGENT,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
    )


def serving(csv: bytes, etag: str) -> Callable[[str], tuple[int, dict[str, str], bytes]]:
    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/public.bybit.com/"):
            return 200, {}, listing(etag, len(csv))
        return 200, {"Content-Length": str(len(csv)), "ETag": f'"{etag}"'}, csv

    return answer


def test_the_second_of_two_calls_finds_the_work_done(main: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    # first:  looks, downloads .................. publishes: refused, looks again: unchanged
    # second:                   whole call: stored
    lake, clock = Lake(), Clock()
    serve = serving(CSV, "e-1")
    second = exchange(main, Host(clock, serve))
    answers = []

    def serve_first(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/trading/"):
            answers.append(main.fetch(ITEM, TODAY, second, lake, clock.sleep))
        return serve(path)

    answers.append(main.fetch(ITEM, TODAY, exchange(main, Host(clock, serve_first)), lake, clock.sleep))
    assert [answer["status"] for answer in answers] == ["stored", "unchanged"]
    assert answers[0]["generation"] == answers[1]["generation"] == lake.objects[NAME].generation
    assert {name: blob.content for name, blob in lake.objects.items()} == {NAME: CSV}
    events = [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["file stored", "try failed"]


def test_an_older_version_never_replaces_a_newer_one(main: ModuleType) -> None:
    # first:  looks, downloads version 1 .................. publishes: refused, looks again: version 2 is there
    # second:                            stores version 2
    lake, clock = Lake(), Clock()
    newer = CSV + CSV.splitlines(keepends=True)[1]
    second = exchange(main, Host(clock, serving(newer, "e-2")))
    served: list[str] = []

    def serve_first(path: str) -> tuple[int, dict[str, str], bytes]:
        if served:
            return serving(newer, "e-2")(path)
        if path.startswith("/trading/"):
            served.append(path)
            main.fetch(ITEM, TODAY, second, lake, clock.sleep)
        return serving(CSV, "e-1")(path)

    answer = main.fetch(ITEM, TODAY, exchange(main, Host(clock, serve_first)), lake, clock.sleep)
    assert (answer["status"], answer["etag"], answer["bytes"]) == ("unchanged", "e-2", len(newer))
    assert {name: blob.content for name, blob in lake.objects.items()} == {NAME: newer}


def test_a_listed_file_that_is_not_there_is_no_day_without_trades(main: ModuleType) -> None:
    clock = Clock()

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        return (200, {}, listing(MD5, 10)) if path.startswith("/public.bybit.com/") else (404, HTML, b"")

    with pytest.raises(main.RetryableError, match=r"csv\.gz is listed, yet the exchange answers 404"):
        main.fetch(ITEM, TODAY, exchange(main, Host(clock, answer)), Lake(), clock.sleep)
    assert clock.now >= 1003.5  # 0.5 + 1 + 2 s between four tries


def test_trouble_with_the_lake_is_tried_again(main: ModuleType) -> None:
    clock, lake = Clock(), Lake()
    troubles = [ServiceUnavailable("no"), requests.ConnectionError("gone")]
    look = lake.get_blob

    def get_blob(name: str, retry: object) -> Blob | None:
        if troubles:
            raise troubles.pop()
        return look(name, retry)

    lake.get_blob = get_blob  # type: ignore[method-assign]
    answer = main.fetch(ITEM, TODAY, exchange(main, Host(clock, serving(CSV, "e-1"))), lake, clock.sleep)
    assert answer["status"] == "stored"
