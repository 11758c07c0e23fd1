"""The Cloud Function under its real server, between the exchange simulator and the GCS stand-in.

The stand-in ignores the generation precondition of a rewrite. Two calls at the same time are therefore only shown to
leave a whole object and to report it; the unit tests show the preconditions.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import requests

from bitcoin_pipeline import schemas
from local.stack.config import LAKE, STAGING
from local.waiting import wait_for
from tests.support.fetching import DAY, HEADER, REAL, REAL_CSV, World, busy_day, of_file, peak_rss, processes, raw_name
from tests.support.processes import RunningStack

REAL_SHA256 = "cbca6933a8f0a11429661cfa93b04056055d776ee199209e8af9719ad2060a33"
EVENTS = {"file stored", "try failed", "fetch failed", "listing does not answer", "banned by the exchange"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    archive = tmp_path_factory.mktemp("archive")
    names = ("metadata", "gcs", "exchange", "fetch_archive")
    with RunningStack(tmp_path_factory.mktemp("stack"), names, archive) as running:
        world = World(running, archive)
        for bucket in (LAKE, STAGING):
            world.lake.client.create_bucket(bucket)
        yield world


@pytest.fixture
def world(stack: World) -> Iterator[World]:
    yield stack
    stack.clear_faults()
    assert stack.staged() == []


def test_the_real_file_is_stored_byte_for_byte_and_once(world: World) -> None:
    etag = world.publish("BTCUSDT", REAL)
    assert world.fetch("BTCUSDT") == {
        "symbol": "BTCUSDT",
        "date": "2020-03-25",
        "status": "stored",
        "object": "raw/bybit/trading/symbol=BTCUSDT/date=2020-03-25/BTCUSDT2020-03-25.csv.gz",
        "bytes": 121118,
        "sha256": REAL_SHA256,
        "etag": etag,
    }
    stored = world.raw("BTCUSDT")
    assert stored is not None
    assert stored.download_as_bytes(raw_download=True) == REAL
    assert stored.metadata == {"sha256": REAL_SHA256, "etag": etag, "status": "stored"}
    assert (stored.content_type, stored.content_encoding) == ("application/gzip", None)

    assert world.fetch("BTCUSDT") == of_file("BTCUSDT", "unchanged", REAL)
    again = world.raw("BTCUSDT")
    assert again is not None
    assert again.generation == stored.generation


def test_a_file_revised_under_the_same_name_replaces_the_old_one(world: World) -> None:
    revised = gzip.compress(REAL_CSV[:50_000].rpartition(b"\n")[0] + b"\n")
    world.publish("REVISEDUSDT", REAL)
    world.fetch("REVISEDUSDT")
    world.publish("REVISEDUSDT", revised)
    assert world.fetch("REVISEDUSDT") == of_file("REVISEDUSDT", "stored", revised)
    assert world.lake.blob(raw_name("REVISEDUSDT")).download_as_bytes(raw_download=True) == revised
    assert world.fetch("REVISEDUSDT") == of_file("REVISEDUSDT", "unchanged", revised)


def test_a_file_withdrawn_by_the_exchange_is_kept(world: World) -> None:
    world.publish("GONEUSDT", REAL)
    world.publish("GONEUSDT", REAL, "2020-03-26")
    world.fetch("GONEUSDT")
    (world.archive / f"GONEUSDT{DAY}.csv.gz").unlink()
    assert world.fetch("GONEUSDT") == of_file("GONEUSDT", "unchanged", REAL)


def test_what_an_absent_file_means_depends_on_its_age_and_symbol(world: World) -> None:
    today = dt.datetime.now(dt.UTC).date()
    tomorrow, yesterday, last_week = (str(today + dt.timedelta(days=days)) for days in (1, -1, -7))
    world.publish("SPARSEUSDT", REAL)
    # The file of a day that has not ended is not complete, even if the exchange shows one.
    world.publish("SPARSEUSDT", REAL, tomorrow)
    answers = {day: world.fetch("SPARSEUSDT", day) for day in (last_week, yesterday, str(today), tomorrow)}
    assert answers == {
        last_week: {"symbol": "SPARSEUSDT", "date": last_week, "status": "no_trades"},
        yesterday: {"symbol": "SPARSEUSDT", "date": yesterday, "status": "not_published"},
        str(today): {"symbol": "SPARSEUSDT", "date": str(today), "status": "not_published"},
        tomorrow: {"symbol": "SPARSEUSDT", "date": tomorrow, "status": "not_published"},
    }
    assert world.fetch("SPARSEUSDT", "9999-12-31")["status"] == "not_published"
    for day in (last_week, yesterday, str(today)):
        assert world.fetch("NOSUCHUSDT", day) == {"symbol": "NOSUCHUSDT", "date": day, "status": "unknown_symbol"}


def test_a_symbol_is_listed_once_and_its_days_are_fetched_by_what_the_listing_has(world: World) -> None:
    days = [f"2020-03-{number}" for number in range(25, 29)]
    for day in (days[0], days[2], days[3]):
        world.publish("LISTUSDT", REAL, day)
    world.fetch("LISTUSDT", days[0])
    request = {"symbol": "LISTUSDT", "start": days[0], "end": days[3]}
    answer = world.post(json=request).json()
    etag = of_file("LISTUSDT", "", REAL)["etag"]
    generation = answer["answers"][0].pop("generation")
    assert isinstance(generation, int)
    assert answer == {
        "symbol": "LISTUSDT",
        "status": "listed",
        "answers": [
            of_file("LISTUSDT", "unchanged", REAL, days[0]),
            {"symbol": "LISTUSDT", "date": days[1], "status": "no_trades"},
        ],
        "files": {day: {"etag": etag, "size": len(REAL)} for day in days[2:]},
    }
    # The listing is out of reach, and not needed.
    world.fault("status", code=500, path="/public.bybit.com/")
    for day in days[2:]:
        response = world.post(json={"symbol": "LISTUSDT", "date": day, **answer["files"][day]})
        assert response.json()["status"] == "stored"
    assert world.post(json=request).status_code == 503
    world.clear_faults()
    again = world.post(json=request).json()
    assert [each["status"] for each in again["answers"]] == ["unchanged", "no_trades", "unchanged", "unchanged"]
    assert again["files"] == {}
    assert world.post(json={**request, "symbol": "NOSUCHUSDT"}).json()["status"] == "unknown_symbol"


def test_without_the_listing_no_old_day_is_without_trades(world: World) -> None:
    world.publish("HOLEUSDT", REAL)
    world.fault("status", code=500, path="/public.bybit.com/")
    response = world.post(json={"symbol": "HOLEUSDT", "date": "2020-03-26"})
    assert response.status_code == 503
    assert response.json()["error"].startswith(
        "the exchange answers 404 for trading/HOLEUSDT/HOLEUSDT2020-03-26.csv.gz, and the listing does not answer: 500"
    )
    world.clear_faults()
    assert world.fetch("HOLEUSDT", "2020-03-26")["status"] == "no_trades"


@pytest.mark.parametrize(
    ("symbol", "content"),
    [
        pytest.param("PLAINUSDT", REAL_CSV, id="plain CSV"),
        pytest.param(
            "MEMBERSUSDT", gzip.compress(REAL_CSV[:100_000]) + gzip.compress(REAL_CSV[100_000:]), id="two gzip members"
        ),
        pytest.param("CRLFUSDT", gzip.compress(REAL_CSV.replace(b"\n", b"\r\n")), id="CRLF"),
    ],
)
def test_unusual_files_are_stored_as_they_are(world: World, symbol: str, content: bytes) -> None:
    world.publish(symbol, content)
    assert world.fetch(symbol) == of_file(symbol, "stored", content)
    assert world.lake.blob(raw_name(symbol)).download_as_bytes(raw_download=True) == content


@pytest.mark.parametrize(
    ("symbol", "content"),
    [
        pytest.param("HEADERUSDT", gzip.compress(HEADER), id="header only"),
        pytest.param("NOTHINGUSDT", gzip.compress(b""), id="gzip of nothing"),
        pytest.param("EMPTYUSDT", b"", id="empty"),
    ],
)
def test_a_file_without_rows_means_no_trades_and_is_kept(world: World, symbol: str, content: bytes) -> None:
    world.publish(symbol, content)
    expected = {"symbol": symbol, "date": DAY, "status": "no_trades"}
    assert world.fetch(symbol) == expected
    stored = world.raw(symbol)
    assert stored is not None
    assert stored.download_as_bytes(raw_download=True) == content
    assert world.fetch(symbol) == expected
    again = world.raw(symbol)
    assert again is not None
    assert again.generation == stored.generation


@pytest.mark.parametrize(
    ("symbol", "content", "reason"),
    [
        pytest.param("CUTUSDT", REAL[:60_000], "gzip ends too early, after 60000 bytes", id="truncated"),
        pytest.param(
            "CRCUSDT",
            REAL[:-8] + bytes([REAL[-8] ^ 1]) + REAL[-7:],
            "gzip is broken: Error -3 while decompressing data: incorrect data check",
            id="bad checksum",
        ),
        pytest.param(
            "COLUMNUSDT",
            gzip.compress(b"timestamp,symbol,side,size,trdMatchID\n1,COLUMNUSDT,Buy,1,x\n"),
            "header lacks price: 'timestamp,symbol,side,size,trdMatchID'",
            id="needed column missing",
        ),
    ],
)
def test_a_file_broken_at_the_source_is_kept_with_its_reason(
    world: World, symbol: str, content: bytes, reason: str
) -> None:
    world.publish(symbol, content)
    expected = of_file(symbol, "corrupt", content, reason=reason)
    assert world.fetch(symbol) == expected
    stored = world.raw(symbol)
    assert stored is not None
    assert stored.download_as_bytes(raw_download=True) == content
    assert world.fetch(symbol) == expected
    again = world.raw(symbol)
    assert again is not None
    assert again.generation == stored.generation

    world.publish(symbol, REAL)
    assert world.fetch(symbol) == of_file(symbol, "stored", REAL)


@pytest.mark.parametrize(
    ("symbol", "kind", "parameters"),
    [
        ("BREAKUSDT", "break_off", {"after_bytes": 50_000, "times": 2}),
        ("WRONGUSDT", "wrong_bytes", {"at_byte": 70_000, "times": 1}),
        ("STATUSUSDT", "status", {"code": 503, "times": 1}),
    ],
)
def test_troubles_on_the_way_are_overcome(world: World, symbol: str, kind: str, parameters: dict[str, object]) -> None:
    world.publish(symbol, REAL)
    world.fault(kind, **parameters)
    assert world.fetch(symbol) == of_file(symbol, "stored", REAL)
    assert world.faults_left() == []


def test_a_download_that_never_succeeds_is_an_error_and_leaves_nothing(world: World) -> None:
    world.publish("NEVERUSDT", REAL)
    world.fault("break_off", after_bytes=50_000)
    response = world.post(json={"symbol": "NEVERUSDT", "date": DAY})
    assert response.status_code == 503
    assert response.json()["error"].startswith("the download broke off: ")
    assert world.raw("NEVERUSDT") is None


def test_without_the_listing_the_file_itself_is_enough_unless_it_is_broken(world: World) -> None:
    world.publish("UNLISTEDUSDT", REAL)
    world.publish("BROKENUSDT", REAL[:60_000])
    world.fault("status", code=500, path="/public.bybit.com/")
    assert world.fetch("UNLISTEDUSDT") == of_file("UNLISTEDUSDT", "stored", REAL)
    assert world.fetch("UNLISTEDUSDT") == of_file("UNLISTEDUSDT", "unchanged", REAL)
    response = world.post(json={"symbol": "BROKENUSDT", "date": DAY})
    assert response.status_code == 503
    assert response.json() == {
        "error": "gzip ends too early, after 60000 bytes; "
        "without an md5 the file may be broken at the source or by the download"
    }
    world.clear_faults()
    assert world.fetch("UNLISTEDUSDT") == of_file("UNLISTEDUSDT", "unchanged", REAL)


def test_an_answer_that_makes_no_sense_is_final(world: World) -> None:
    world.publish("FINALUSDT", REAL)
    world.fault("status", code=410, times=1)
    response = world.post(json={"symbol": "FINALUSDT", "date": DAY})
    assert response.status_code == 502
    assert response.json() == {"error": f"the exchange answers 410 for trading/FINALUSDT/FINALUSDT{DAY}.csv.gz"}


EXAMPLE = '{"symbol": "BTCUSDT", "date": "2020-03-25"}'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", f"the body must be JSON such as {EXAMPLE}"),
        ("symbol=BTCUSDT&date=2020-03-25", f"the body must be JSON such as {EXAMPLE}"),
        (b"\xff\xfe", f"the body must be JSON such as {EXAMPLE}"),
        ("[" * 4000, f"the body must be JSON such as {EXAMPLE}"),
        (" " * 5000, "the body must be at most 4096 bytes"),
        ("[1]", "the body must be a JSON object, got [1]"),
        ("null", "the body must be a JSON object, got null"),
        ("{}", "symbol is missing; date is missing"),
        ('{"symbol": "BTCUSDT"}', "date is missing"),
        ('{"symbol": "BTCUSDT", "date": "2020-03-25", "url": "http://x"}', "'url' is not known"),
        ('{"symbol": 7, "date": null}', "symbol must be a string, got 7; date must be a string, got null"),
        (
            '{"symbol": "../etc", "date": "2020-02-30"}',
            "symbol: a symbol is 3 to 30 capital letters and digits such as BTCUSDT, got '../etc'; "
            "date: no such day: 2020-02-30",
        ),
        ('{"symbol": "BTCUSDT", "date": "25.3.2020"}', "date: a day is written YYYY-MM-DD, got '25.3.2020'"),
        (
            '{"symbol": "\\ud800", "date": "2020-03-25"}',
            "symbol: a symbol is 3 to 30 capital letters and digits such as BTCUSDT, got '\\ud800'",
        ),
    ],
)
def test_a_bad_request_is_answered_with_its_faults(world: World, body: str | bytes, message: str) -> None:
    response = world.post(data=body)
    assert (response.status_code, response.json()) == (400, {"error": message})


def test_only_post_is_allowed(world: World) -> None:
    response = requests.get(world.running.stack.url("fetch_archive"), timeout=10)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert response.json() == {"error": "the method must be POST, got GET"}


def test_two_calls_at_once_leave_one_whole_object(world: World) -> None:
    world.publish("TWICEUSDT", REAL)
    world.fault("slow", bytes_per_second=200_000, times=2)
    with ThreadPoolExecutor(2) as pool:
        answers = [call.result() for call in [pool.submit(world.fetch, "TWICEUSDT") for _ in range(2)]]
    assert world.faults_left() == []  # both calls have downloaded the file
    for answer in answers:
        assert answer == of_file("TWICEUSDT", answer["status"], REAL)
        assert answer["status"] in ("stored", "unchanged")
    assert world.lake.blob(raw_name("TWICEUSDT")).download_as_bytes(raw_download=True) == REAL
    assert world.fetch("TWICEUSDT") == of_file("TWICEUSDT", "unchanged", REAL)


def test_killed_midway_it_leaves_nothing_and_succeeds_when_called_again(world: World) -> None:
    world.publish("KILLEDUSDT", REAL)
    world.fault("slow", bytes_per_second=20_000, times=1)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(world.fetch, "KILLEDUSDT")
        wait_for("the download to begin", lambda: not world.faults_left())
        world.running.kill("fetch_archive")
        with pytest.raises(requests.ConnectionError):
            call.result()
    assert world.raw("KILLEDUSDT") is None
    world.running.start("fetch_archive")
    assert world.fetch("KILLEDUSDT") == of_file("KILLEDUSDT", "stored", REAL)


def test_sigterm_lets_a_running_call_finish_and_ends_quietly(world: World) -> None:
    world.publish("TERMUSDT", REAL)
    world.fault("slow", bytes_per_second=100_000, times=1)
    server = world.running.processes["fetch_archive"]
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(world.fetch, "TERMUSDT")
        wait_for("the download to begin", lambda: not world.faults_left())
        server.terminate()
        assert call.result() == of_file("TERMUSDT", "stored", REAL)
    assert server.wait(10) == 0
    world.running.start("fetch_archive")
    lines = [json.loads(line) for line in world.running.log("fetch_archive").splitlines()]
    assert {line["message"] for line in lines} <= EVENTS


def test_a_ban_pauses_the_instance_and_is_reported(world: World) -> None:
    world.publish("BANNEDUSDT", REAL)
    world.fault("ban", seconds=60)
    banned = world.post(json={"symbol": "BANNEDUSDT", "date": DAY})
    assert (banned.status_code, banned.headers["Retry-After"]) == (429, "60")
    assert banned.json() == {"error": "the exchange bans this address for another 60 s", "exchange_ban_s": 60}
    # The exchange would answer again, but the instance sends no request.
    world.clear_faults()
    still = world.post(json={"symbol": "BANNEDUSDT", "date": DAY})
    assert still.status_code == 429
    assert 50 <= int(still.headers["Retry-After"]) <= 60
    assert world.raw("BANNEDUSDT") is None
    # A new instance starts without a ban.
    world.running.kill("fetch_archive")
    world.running.start("fetch_archive")
    assert world.fetch("BANNEDUSDT") == of_file("BANNEDUSDT", "stored", REAL)


def test_busy_days_of_90_mb_at_once_fit_in_the_memory_of_an_instance(world: World) -> None:
    content = busy_day("BUSYUSDT", 90 << 20)
    limits = schemas.function_limits("fetch_archive")
    days = [f"2020-03-{number}" for number in range(25, 25 + limits.concurrency)]
    for day in days:
        world.publish("BUSYUSDT", content, day)
    with ThreadPoolExecutor(len(days)) as pool:
        answers = list(pool.map(partial(world.fetch, "BUSYUSDT"), days))
    assert answers == [of_file("BUSYUSDT", "stored", content, day) for day in days]
    peak = max(peak_rss(pid) for pid in processes(world.running.processes["fetch_archive"].pid))
    assert peak <= limits.memory_mib * 3 / 4 * (1 << 20)


def test_all_faults_of_the_settings_come_at_once_when_the_server_starts(world: World) -> None:
    service = next(service for service in world.running.stack.services() if service.name == "fetch_archive")
    environ = {**os.environ, "PIPELINE_LAKE": "", "BYBIT_ARCHIVE_URL": "public.bybit.com", "BYBIT_BAN_SECONDS": "-1"}
    done = subprocess.run(service.command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "bitcoin_pipeline.settings.SettingsError: PIPELINE_LAKE is not set (the bucket that holds raw/); "
        "PIPELINE_STAGING is not set (the bucket of temporary objects, which has no soft delete); "
        "BYBIT_ARCHIVE_URL: must be an address such as https://host, got 'public.bybit.com' "
        "(where the archive's files are); "
        "BYBIT_BAN_SECONDS: must be whole seconds, at most 9999, got '-1' (how long a ban lasts, 5 to 10 minutes were "
        "seen)"
    )
