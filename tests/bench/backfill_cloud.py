"""How long a backfill of years takes on Google Cloud, and what it costs: a simulation in virtual time.

`python -m tests.bench.backfill_cloud` (or `make bench-backfill`). The command's planner, fetcher and pace are the real
ones, and so are the forms of requests and answers, the executors of a batch and the simulator's rate limit. Delays and
prices are the parameters of `Delays` and `Prices`; nothing of it ran on Google Cloud.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
import json
import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from bitcoin_pipeline.answers import exchange_ban
from bitcoin_pipeline.batches import candles_batch_id, spark_properties
from bitcoin_pipeline.ingests import BatchDays, Fetched, FetchStatus, Ingest, IngestStatus, Recorded, SymbolDay
from bitcoin_pipeline.listings import ListedFile, ListingRequest, listing_body, parse_request
from bitcoin_pipeline.pace import BYBIT_REQUESTS_PER_SECOND
from bitcoin_pipeline.planning import CONCURRENT_FETCHES, DAYS_PER_BATCH
from bitcoin_pipeline.summary import Summary
from bitcoin_pipeline.times import days
from local.command.backfill import Backfill, Limits
from local.exchange.shared.rate_limit import RateLimit
from tests.support.virtual_time import run

MB: Final = 1_000_000
FIRST_DAY: Final = dt.date(2020, 3, 25)


@dataclass(frozen=True, slots=True)
class Delays:
    """What the cloud and the exchange take.

    `listing_s`: a page of 1,000 keys of Bybit's bucket, from another continent. `instance_start_s`: a new instance of
    the function. `fetch_s`: the part of a fetch that does not depend on the size; `fetch_mb_s`: megabytes a second
    through download, verification and upload (22 were measured without a network between). `fetches_an_instance`: of
    the function, on average; Cloud Run adds instances when they use 60 % of their vCPU, of which a fetch uses 37 %: 1.5
    CPU seconds to verify a file of 86 MB and by estimate 0.5 for TLS and upload, in 8.2 s. `batch_start_s`: from a
    batch's creation to its first task (60 to 96 s were seen for a batch alone). `publish_s`: load jobs and transaction.
    `day_cpu_s`, `mb_cpu_s`: CPU seconds of a day and of a megabyte of its file, from `make bench-historical`, where a
    day of 86 MB takes 2.6; a vCPU is taken to be slower by `vcpu_factor`. `exchange_requests`: a second, above which
    the exchange bans for `ban_s`.
    """

    listing_s: float = 0.8
    instance_start_s: float = 3.0
    fetch_s: float = 1.0
    fetch_mb_s: float = 12.0
    fetches_an_instance: float = 1.6
    batch_start_s: float = 90.0
    publish_s: float = 30.0
    day_cpu_s: float = 0.15
    mb_cpu_s: float = 0.0285
    vcpu_factor: float = 1.5
    exchange_requests: int = 30
    ban_s: int = 600


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices in dollars.

    `dcu_hour`: of Dataproc Serverless. `vcpu_second`: of a function's instance of one vCPU, whose memory of 256 MiB
    adds three hundredths. `operation`: one write to Cloud Storage. `query_tib`: scanned by BigQuery, which bills 10 MiB
    a table at least.
    """

    dcu_hour: float = 0.06
    vcpu_second: float = 0.0000185
    operation: float = 0.000005
    query_tib: float = 6.25


DCU_A_NODE: Final = 4
"""Data compute units of a driver or an executor of 4 cores."""

WRITES_A_DAY: Final = 3
"""Objects that a day writes: the staged file, its copy to raw/, and the Parquet."""

TABLES_A_BATCH: Final = 12
"""Tables that the statements of a publication read, at 10 MiB each where their partitions are empty."""

Sizes = Callable[[SymbolDay], float]
"""Megabytes of a day's file."""


def busy(item: SymbolDay) -> float:
    """A file as large as BTCUSDT's: 15 to 90 MB."""
    return random.Random(str(item)).uniform(15, 90)


def one_busy(item: SymbolDay) -> float:
    """A file of BTCUSDT, or of another symbol, which has a fifth of the size."""
    return busy(item) if item.symbol == "BTCUSDT" else busy(item) / 5


@dataclass(slots=True)
class Bill:
    """What a backfill used.

    `batch_s`: time of all batches, `task_s`: the part of it in which days are computed; `dcu_s`: DCU-seconds.
    """

    calls: int = 0
    bans: int = 0
    fetched_mb: float = 0
    function_s: float = 0
    batches: int = 0
    batch_s: float = 0
    task_s: float = 0
    dcu_s: float = 0
    first_candles_s: float = 0
    computed: dict[SymbolDay, int] = field(default_factory=dict)

    def dollars(self, prices: Prices) -> float:
        """The cost of the run; storage that stays is not in it."""
        queries = self.batches * TABLES_A_BATCH * 10 / 2**20 * prices.query_tib
        batches = self.dcu_s / 3600 * prices.dcu_hour
        writes = len(self.computed) * WRITES_A_DAY * prices.operation
        return batches + self.function_s * prices.vcpu_second + writes + queries


class SimulatedCloud:
    """The `Services` of a backfill, whose calls take the time of `delays` in the loop's clock."""

    def __init__(self, sizes: Sizes, limits: Limits, delays: Delays) -> None:
        self._sizes = sizes
        self._limits = limits
        self._delays = delays
        self._exchange = RateLimit(delays.exchange_requests, delays.ban_s, _now)
        self._idle_instances = 0
        self._rows: dict[SymbolDay, Ingest] = {}
        self._stored: dict[SymbolDay, dict[str, Any]] = {}
        self.bill = Bill()

    @property
    def limits(self) -> Limits:
        """See local.command.backfill.Services."""
        return self._limits

    async def ingests(self, symbols: Sequence[str], start: dt.date, end: dt.date) -> dict[SymbolDay, Ingest]:
        """See local.command.backfill.Services."""
        items = (SymbolDay(symbol, day) for symbol in symbols for day in days(start, end))
        return {item: self._rows[item] for item in items if item in self._rows}

    async def candle_count(self, loaded: Collection[SymbolDay]) -> int:
        """See local.command.backfill.Services."""
        return 1440 * len(loaded)

    async def call(self, body: dict[str, Any]) -> requests.Response:
        """See local.command.backfill.Services."""
        began = _now()
        self.bill.calls += 1
        is_new = not self._idle_instances
        self._idle_instances -= not is_new
        await asyncio.sleep(self._delays.instance_start_s * is_new)
        request = parse_request(json.dumps(body).encode())
        answer, status = await (self._list(request) if isinstance(request, ListingRequest) else self._day(request.item))
        self._idle_instances += 1
        self.bill.function_s += (_now() - began) / self._delays.fetches_an_instance
        return _response(answer, status)

    async def _list(self, request: ListingRequest) -> tuple[dict[str, Any], int]:
        wanted = list(days(request.start, request.end))
        # The pages of the exchange's bucket, and those of the lake, which is near.
        await asyncio.sleep(math.ceil(len(wanted) / 1000) * (self._delays.listing_s + 0.1))
        items = [SymbolDay(request.symbol, day) for day in wanted]
        answers = [self._stored[item] for item in items if item in self._stored]
        files = {item.day: ListedFile("0" * 32, self._size(item)) for item in items if item not in self._stored}
        return listing_body(request.symbol, answers, files), 200

    async def _day(self, item: SymbolDay) -> tuple[dict[str, Any], int]:
        if not self._exchange.admit("every instance"):
            self.bill.bans += 1
            body, status, _ = exchange_ban("banned", math.ceil(self._exchange.seconds_left("every instance")))
            return body, status
        mb = self._size(item) / MB
        await asyncio.sleep(self._delays.fetch_s + mb / self._delays.fetch_mb_s)
        self.bill.fetched_mb += mb
        answer = {"date": item.day.isoformat(), "sha256": str(item), "etag": "e", "generation": 1}
        self._stored[item] = {**answer, "status": FetchStatus.UNCHANGED}
        return {**answer, "status": FetchStatus.STORED}, 200

    async def ended(self, batch_id: str) -> None:
        """See local.command.backfill.Services."""

    async def compute(
        self, work: BatchDays, answers: Mapping[SymbolDay, Fetched], known: Mapping[SymbolDay, Recorded]
    ) -> None:
        """See local.command.backfill.Services."""
        began = _now()
        delays = self._delays
        name = candles_batch_id(work, answers, known, 1)
        properties = spark_properties(len(work.load))
        executors = int(properties["spark.executor.instances"])
        slots = [0.0] * (executors * int(properties["spark.executor.cores"]))
        for item in work.load:
            cpu_s = delays.day_cpu_s + self._size(item) / MB * delays.mb_cpu_s
            heapq.heapreplace(slots, slots[0] + cpu_s * delays.vcpu_factor)
        await asyncio.sleep(delays.batch_start_s + max(slots) + delays.publish_s)
        for item in work.of_batch:
            recorded = Recorded(IngestStatus.LOADED, answers[item].sha256, answers[item].etag, name)
            self._rows[item] = Ingest(item, recorded, "", 0, 0, 0, 0)
            self.bill.computed[item] = self.bill.computed.get(item, 0) + 1
        self.bill.batches += 1
        self.bill.task_s += max(slots)
        seconds = max(60, _now() - began)
        self.bill.batch_s += seconds
        self.bill.dcu_s += seconds * DCU_A_NODE * (1 + executors)
        self.bill.first_candles_s = self.bill.first_candles_s or _now()

    def _size(self, item: SymbolDay) -> int:
        return round(self._sizes(item) * MB)


class Silent:
    """Progress that is not shown."""

    def step(self, title: str, total: int | None) -> None:
        """See local.command.steps.Progress."""

    def advance(self, title: str, count: int = 1) -> None:
        """See local.command.steps.Progress."""

    def note(self, text: str) -> None:
        """See local.command.steps.Progress."""


def _now() -> float:
    return asyncio.get_running_loop().time()


def _response(body: dict[str, Any], status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps(body).encode()  # as the library itself keeps a body that was read
    return response


DEFAULT_LIMITS: Final = Limits(BYBIT_REQUESTS_PER_SECOND, CONCURRENT_FETCHES, DAYS_PER_BATCH)
"""The defaults of the command's settings."""


def simulate(
    symbols: int, count: int, sizes: Sizes, limits: Limits = DEFAULT_LIMITS, delays: Delays = Delays()
) -> tuple[float, Bill, Summary]:
    """The seconds of the backfill of `count` days of that number of symbols, what it used, and its outcome."""
    names = ["BTCUSDT", *(f"S{number}USDT" for number in range(1, symbols))]
    cloud = SimulatedCloud(sizes, limits, delays)

    async def backfill() -> tuple[float, Summary]:
        summary = await Backfill(cloud, names, FIRST_DAY, FIRST_DAY + dt.timedelta(days=count - 1), Silent()).run()
        return _now(), summary

    seconds, summary = run(backfill())
    return seconds, cloud.bill, summary


def main() -> None:
    """Print the table."""
    goals = {1: (45 / 60, 2), 50: (12, 20)}
    header = ["Backfill", "wall, goal", "cost, goal", "first candles", "batches"]
    header += ["computing", "start-ups, publications", "waiting for files", "simulated in"]
    print(f"| {' | '.join(header)} |\n{'|---' * len(header)}|")  # noqa: T201
    for what, symbols, sizes in (
        ("1 symbol x 2,400 days, 15 to 90 MB each", 1, busy),
        ("50 symbols x 2,400 days, 49 of them with a fifth", 50, one_busy),
        ("50 symbols x 2,400 days, all as busy as BTCUSDT", 50, busy),
    ):
        began = time.monotonic()
        seconds, bill, _ = simulate(symbols, 2400, sizes)
        hours, dollars = goals[symbols]
        cost = bill.dollars(Prices())
        cells = (
            what,
            f"{seconds / 3600:.2f} h, {hours:g} h",
            f"${cost:.2f}, ${dollars}",
            f"{bill.first_candles_s / 60:.1f} min",
            str(bill.batches),
            f"{bill.task_s / 3600:.2f} h",
            f"{(bill.batch_s - bill.task_s) / 3600:.2f} h",
            f"{(seconds - bill.batch_s) / 60:.1f} min",
            f"{time.monotonic() - began:.0f} s",
        )
        print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
