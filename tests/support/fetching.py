"""The function `fetch_archive` in a running stack, for its integration tests: files are published, calls are made."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import random
import uuid
from pathlib import Path
from typing import Any

import requests
from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

from bitcoin_pipeline.names import archive_file
from local.checkout import ROOT
from local.stack.config import LAKE, STAGING
from tests.support.processes import RunningStack

REAL = (ROOT / "tests" / "fixtures" / "bybit" / "BTCUSDT2020-03-25.csv.gz").read_bytes()
REAL_CSV = gzip.decompress(REAL)
HEADER = REAL_CSV.partition(b"\n")[0] + b"\n"
DAY = "2020-03-25"


class World:
    """A running stack: the exchange publishes files, the function is called, the lake is read."""

    def __init__(self, running: RunningStack, archive: Path) -> None:
        self.running = running
        self.archive = archive
        self.lake = running.storage().bucket(LAKE)

    def publish(self, symbol: str, content: bytes, day: str = DAY) -> str:
        """Puts a file into the archive; returns its md5."""
        path = self.archive / archive_file(symbol, dt.date.fromisoformat(day))
        beside = path.with_suffix(".part")
        beside.write_bytes(content)
        beside.replace(path)
        return hashlib.md5(content, usedforsecurity=False).hexdigest()

    def post(self, **kwargs: Any) -> requests.Response:
        return requests.post(self.running.stack.url("fetch_archive"), timeout=60, **kwargs)

    def fetch(self, symbol: str, day: str = DAY) -> dict[str, Any]:
        """The function's answer without the generation, which is any number."""
        response = self.post(json={"symbol": symbol, "date": day})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        assert isinstance(answer.pop("generation", 1), int)
        return answer

    def fault(self, kind: str, **parameters: object) -> None:
        url = f"{self.running.stack.url('exchange')}/control/faults"
        requests.post(url, json={"fault": kind, **parameters}, timeout=10).raise_for_status()

    def faults_left(self) -> list[Any]:
        faults: list[Any] = requests.get(f"{self.running.stack.url('exchange')}/control/faults", timeout=10).json()[
            "faults"
        ]
        return faults

    def clear_faults(self) -> None:
        requests.delete(f"{self.running.stack.url('exchange')}/control/faults", timeout=10).raise_for_status()

    def raw(self, symbol: str, day: str = DAY) -> storage.Blob | None:
        return self.lake.get_blob(raw_name(symbol, day))

    def staged(self) -> list[str]:
        """The objects of the staging bucket, and those in the lake that are outside of raw/."""
        objects = [*self.lake.client.bucket(STAGING).list_blobs(), *self.lake.list_blobs()]
        return [blob.name for blob in objects if not blob.name.startswith("raw/")]


def raw_name(symbol: str, day: str = DAY) -> str:
    return f"raw/bybit/trading/symbol={symbol}/date={day}/{symbol}{day}.csv.gz"


def of_file(symbol: str, status: str, content: bytes, day: str = DAY, **more: str) -> dict[str, Any]:
    """The answer for a day whose `content` is in the lake."""
    return {
        "symbol": symbol,
        "date": day,
        "status": status,
        "object": raw_name(symbol, day),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "etag": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        **more,
    }


def busy_day(symbol: str, size: int) -> bytes:
    """About `size` bytes of gzip: a header, then one member of random rows over and over."""
    random_of = random.Random(1)
    row = "1585132800.{:06d},{},Buy,0.{:03d},{:.1f},PlusTick,{},1,1,1\n"
    rows = "".join(
        row.format(n, symbol, random_of.randrange(1000), 6500 + n % 50 / 2, uuid.UUID(int=random_of.getrandbits(128)))
        for n in range(20_000)
    )
    member = gzip.compress(rows.encode(), 1)
    return gzip.compress(HEADER) + member * (size // len(member))


def processes(pid: int) -> list[int]:
    """`pid` and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def peak_rss(pid: int) -> int:
    """The largest resident memory of the process so far, in bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
